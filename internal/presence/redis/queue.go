package redis

import (
	"sync"

	"tertulia/chat"
	"tertulia/internal/presence"
)

// outbox holds what is to be written: the newest statement about each user in
// each room.
type outbox struct {
	woken chan struct{} // one slot

	mu      sync.Mutex
	waiting map[who]presence.Statement
}

// who is a user in a room.
type who struct {
	room chat.RoomID
	user chat.UserID
}

func newOutbox() *outbox {
	return &outbox{woken: make(chan struct{}, 1), waiting: make(map[who]presence.Statement)}
}

// put is called by the tracker, under its locks.
func (o *outbox) put(s presence.Statement) {
	o.mu.Lock()
	o.waiting[who{s.Room, s.User.ID}] = s
	o.mu.Unlock()
	wake(o.woken)
}

// take returns at most limit statements, about different users or rooms.
func (o *outbox) take(limit int) []presence.Statement {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := make([]presence.Statement, 0, min(limit, len(o.waiting)))
	for w, s := range o.waiting {
		if len(batch) == limit {
			return batch
		}
		batch = append(batch, s)
		delete(o.waiting, w)
	}
	o.waiting = make(map[who]presence.Statement) // a map does not shrink
	return batch
}

// drop forgets everything.
func (o *outbox) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = make(map[who]presence.Statement)
}

// maxInboxBytes bounds the announcements that wait to be taken. Beyond it they
// are dropped, and found by reading pages.
const maxInboxBytes = 4 << 20

// inbox holds announcements of other nodes in the order of their coming.
type inbox struct {
	// Fixed after construction.
	self  string
	woken chan struct{} // one slot

	mu      sync.Mutex
	waiting []announcement
	bytes   int
	lost    bool
}

func newInbox(self string) *inbox { return &inbox{self: self, woken: make(chan struct{}, 1)} }

// put is a handler on the bus.
func (i *inbox) put(events []chat.Event) {
	var heard []announcement
	size, lost := 0, len(events) == 0
	for n := range events {
		if events[n].Actor.ID == chat.UserID(i.self) {
			continue
		}
		a, err := parseAnnouncement(&events[n])
		if err != nil {
			lost = true // of another version, perhaps
			continue
		}
		heard = append(heard, a)
		size += len(events[n].Body)
	}
	if len(heard) > 0 || lost {
		i.add(heard, size, lost)
		wake(i.woken)
	}
}

func (i *inbox) add(heard []announcement, size int, lost bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lost = i.lost || lost
	if i.bytes+size > maxInboxBytes {
		i.waiting, i.bytes, i.lost = nil, 0, true
		return
	}
	i.waiting = append(i.waiting, heard...)
	i.bytes += size
}

// take returns what has come, and whether something may have been lost.
func (i *inbox) take() (heard []announcement, lost bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	heard, lost = i.waiting, i.lost
	i.waiting, i.bytes, i.lost = nil, 0, false
	return heard, lost
}

// wake fills a slot that may be full.
func wake(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}
