package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Log reads the logs of rooms, as store.Reader does, with one promise more: by
// the time a read returns, the callback has been called of every local post
// whose event is in the result. So a reader never sees a message before its
// author has been told that it is stored.
//
// For that a read waits until a batch in flight that concerns its rooms has
// been answered; it never waits for posts that are queued. A post answered
// with chat.StoreUnavailable because its outcome stayed unknown counts as
// answered, and repeating a post of which the event is already visible delays
// nobody. The callback of a post must not read a Log, for it would wait for
// itself.
//
// All methods may be called from any goroutine. Errors are those of
// store.Reader.
type Log struct{ s *Service }

// Epoch is the life of logs that do not exist yet.
func (l *Log) Epoch() string { return l.s.store.Epoch() }

// Room is store.Reader's Room.
func (l *Log) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	room, err := l.s.store.Room(ctx, id)
	if err == nil {
		err = l.settle(ctx, id)
	}
	if err != nil {
		return chat.Room{}, err
	}
	return room, nil
}

// Heads is store.Reader's Heads.
func (l *Log) Heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	heads, err := l.s.store.Heads(ctx, ids)
	if err == nil {
		err = l.settleLanes(ctx, heads)
	}
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// After is store.Reader's After.
func (l *Log) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	page, err := l.s.store.After(ctx, id, after, limit)
	if err == nil {
		err = l.settle(ctx, id)
	}
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// Before is store.Reader's Before.
func (l *Log) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	page, err := l.s.store.Before(ctx, id, before, limit)
	if err == nil {
		err = l.settle(ctx, id)
	}
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// settle waits until the batch in flight that holds posts to a room has been
// answered. It comes after the read: what the read has seen was committed by
// then, so it is in the batch in flight now or in one already answered.
func (l *Log) settle(ctx context.Context, id chat.RoomID) error {
	lane, key := l.s.lane(id)
	return await(ctx, lane.settledFor(key))
}

// settleLanes waits until the batches in flight in the lanes of these rooms
// have been answered. Which of them hold posts to which rooms is not looked
// at, for a check of heads asks for thousands of rooms.
func (l *Log) settleLanes(ctx context.Context, heads []store.Head) error {
	seen := make(map[*lane]bool, len(l.s.lanes))
	for i := range heads {
		lane, _ := l.s.lane(heads[i].Room.ID)
		if seen[lane] {
			continue
		}
		seen[lane] = true
		if err := await(ctx, lane.settled()); err != nil {
			return err
		}
		if len(seen) == len(l.s.lanes) {
			break
		}
	}
	return nil
}

// await waits for settled to be closed; nil is nothing to wait for.
func await(ctx context.Context, settled <-chan struct{}) error {
	if settled == nil {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
