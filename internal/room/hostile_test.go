package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// hostile is a store in memory that fails as it is told. Beside that it keeps
// the contract of package store, and notes when its caller does not.
type hostile struct {
	store.Store // what the cases do not need is nil
	writers     int
	// fate says what happens to the n-th call of Append (0, 1, …). Nil is
	// that all goes well. It is called under mu.
	fate func(n int, batch []store.Append) fate

	mu       sync.Mutex
	calls    []call
	logs     map[chat.RoomID][]chat.Event
	lastID   int64
	filled   int
	busy     map[chat.RoomID]bool           // rooms in a batch under way
	unknown  map[chat.RoomID][]store.Append // batches that must come again
	breaches []string
}

// fate is what becomes of one Append.
type fate struct {
	before, after time.Duration // around the commit
	err           error
	commits       bool // whether the batch is stored in spite of err
}

// call is one Append as it came.
type call struct {
	at   time.Time
	rows int
}

func newHostile(writers int) *hostile {
	return &hostile{
		writers: writers,
		logs:    make(map[chat.RoomID][]chat.Event),
		busy:    make(map[chat.RoomID]bool),
		unknown: make(map[chat.RoomID][]store.Append),
	}
}

func (h *hostile) Writers() int { return h.writers }

func (h *hostile) Append(_ context.Context, batch []store.Append) ([]store.Result, error) {
	f := h.begin(batch)
	defer h.end(batch)
	time.Sleep(f.before)
	if f.err != nil && !f.commits {
		return nil, h.fail(batch, f.err)
	}
	results := h.commit(batch)
	time.Sleep(f.after)
	if f.err != nil {
		return nil, h.fail(batch, f.err)
	}
	return results, nil
}

func (h *hostile) begin(batch []store.Append) fate {
	h.mu.Lock()
	defer h.mu.Unlock()
	mine := make(map[chat.RoomID]bool)
	for i := range batch {
		row := &batch[i]
		if h.busy[row.Room] && !mine[row.Room] {
			h.breach("room %s is in two batches at once", row.Room)
		}
		h.busy[row.Room], mine[row.Room] = true, true
		if row.Nonce == "" {
			h.filled++
			row.Nonce = chat.Nonce(fmt.Sprintf(" %d", h.filled))
		}
	}
	for i := range batch {
		if before := h.unknown[batch[i].Room]; before != nil && !slices.EqualFunc(before, batch, sameRow) {
			h.breach("after an unknown outcome another batch came for room %s", batch[i].Room)
		}
	}
	n := len(h.calls)
	h.calls = append(h.calls, call{time.Now(), len(batch)})
	if h.fate == nil {
		return fate{}
	}
	return h.fate(n, batch)
}

func (h *hostile) end(batch []store.Append) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range batch {
		delete(h.busy, batch[i].Room)
	}
}

func (h *hostile) fail(batch []store.Append, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, store.ErrUnknown) {
		rows := slices.Clone(batch)
		for i := range rows {
			h.unknown[rows[i].Room] = rows
		}
	}
	return fmt.Errorf("hostile: %w", err)
}

func (h *hostile) commit(batch []store.Append) []store.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	results := make([]store.Result, len(batch))
	for i := range batch {
		delete(h.unknown, batch[i].Room)
		results[i] = h.store(&batch[i])
	}
	return results
}

// store stores one row. The caller holds mu.
func (h *hostile) store(row *store.Append) store.Result {
	log := h.logs[row.Room]
	for _, e := range log {
		if e.Actor.ID == row.Actor.ID && e.Nonce == row.Nonce {
			if string(e.Body) != string(row.Body) {
				return store.Result{Err: chat.Errorf(chat.IdempotencyConflict, "other content")}
			}
			return store.Result{Event: e, Duplicate: true}
		}
	}
	if len(log) == 0 && !row.MayCreate {
		return store.Result{Err: chat.Errorf(chat.RoomNotFound, "no such room")}
	}
	h.lastID++
	e := chat.Event{
		Room: row.Room, Kind: row.Kind, Actor: row.Actor, At: time.Now().UTC(),
		Seq: uint64(len(log)) + 1, ID: h.lastID, Epoch: h.Epoch(), Nonce: row.Nonce,
		Msgs: uint64(len(log)) + 1, Body: row.Body,
	}
	h.logs[row.Room] = append(log, e)
	return store.Result{Event: e}
}

func (h *hostile) breach(format string, args ...any) {
	h.breaches = append(h.breaches, fmt.Sprintf(format, args...))
}

func (h *hostile) Epoch() string { return "e1" }

func (h *hostile) Room(_ context.Context, id chat.RoomID) (chat.Room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.room(id), nil
}

// room is Room for a caller that holds mu.
func (h *hostile) room(id chat.RoomID) chat.Room {
	n := uint64(len(h.logs[id]))
	return chat.Room{ID: id, Exists: n > 0, Epoch: h.Epoch(), Head: n, Floor: 1, Msgs: n}
}

func (h *hostile) Heads(_ context.Context, ids []chat.RoomID) ([]store.Head, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var heads []store.Head
	for _, id := range ids {
		if n := len(h.logs[id]); n > 0 {
			heads = append(heads, store.Head{Room: h.room(id), Tag: h.logs[id][n-1].Tag})
		}
	}
	return heads, nil
}

func (h *hostile) After(_ context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	log := h.logs[id]
	from := min(int(after), len(log))
	to := min(from+limit.Events, len(log))
	return store.Page{Room: h.room(id), Events: slices.Clone(log[from:to])}, nil
}

func (h *hostile) Before(_ context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	log := h.logs[id]
	to := len(log)
	if before > 0 {
		to = min(int(before-1), len(log))
	}
	return store.Page{Room: h.room(id), Events: slices.Clone(log[max(0, to-limit.Events):to])}, nil
}

// Member is of a user without a standing.
func (h *hostile) Member(_ context.Context, id chat.RoomID, user chat.UserID) (chat.Room, chat.Member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.room(id), chat.Member{Room: id, User: chat.User{ID: user}}, nil
}

func (h *hostile) Account(context.Context, chat.UserID) (chat.Account, bool, error) {
	return chat.Account{}, false, nil
}

func (h *hostile) Rooms(context.Context, []chat.Access, chat.RoomID, int) ([]chat.Room, error) {
	return nil, nil
}

func (h *hostile) Ping(context.Context) error { return nil }
func (h *hostile) Close() error               { return nil }

func sameRow(a, b store.Append) bool {
	return a.Room == b.Room && a.Actor == b.Actor && a.Nonce == b.Nonce && string(a.Body) == string(b.Body)
}
