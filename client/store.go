package client

import (
	"maps"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
)

// Store keeps what has to outlive a process: how far each room was read, and
// what was not acknowledged. It belongs to one user at one server, and to one
// client at a time. [MemoryStore] and [FileStore] are Stores.
type Store interface {
	// Load returns what was saved last; the zero value if nothing was.
	Load() (Kept, error)
	// Save replaces what is kept. When it returns nil, a crash no longer loses
	// it. It may keep nothing of its argument. One call is made at a time.
	Save(Kept) error
}

// Kept is what a [Store] keeps.
type Kept struct {
	Cursors map[chat.RoomID]chat.Cursor
	// Posts are in the order of posting.
	Posts []KeptPost
}

// KeptPost is a post, edit or deletion that is not acknowledged.
type KeptPost struct {
	Room  chat.RoomID
	Kind  string // post, edit or delete
	Nonce chat.Nonce
	// Text is the content, or the reason of a deletion.
	Text string
	// MessageID is what is edited or deleted.
	MessageID int64
	IfChanged *uint64
	// ExpiresAt is when it is given up; zero is never.
	ExpiresAt time.Time
	// Unknown says that it may be stored already.
	Unknown bool
}

// MemoryStore keeps things for as long as the process lives: a client that is
// closed and dialled again goes on where the last one stopped. The zero value
// is empty.
type MemoryStore struct {
	mu   sync.Mutex
	kept Kept
}

// Load is [Store.Load].
func (m *MemoryStore) Load() (Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept.clone(), nil
}

// Save is [Store.Save].
func (m *MemoryStore) Save(k Kept) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = k.clone()
	return nil
}

func (k Kept) clone() Kept {
	return Kept{Cursors: maps.Clone(k.Cursors), Posts: slices.Clone(k.Posts)}
}
