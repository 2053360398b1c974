package hub

import (
	"context"
	"sync/atomic"

	"tertulia/chat"
	"tertulia/internal/store"
)

// counted is a log that counts its reads.
type counted struct {
	store.Reader
	heads, after, before atomic.Int64
}

func (l *counted) Heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	l.heads.Add(1)
	return l.Reader.Heads(ctx, ids)
}

func (l *counted) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	l.after.Add(1)
	return l.Reader.After(ctx, id, after, limit)
}

func (l *counted) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	l.before.Add(1)
	return l.Reader.Before(ctx, id, before, limit)
}
