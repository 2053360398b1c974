package crashtest

import (
	"hash/maphash"
	"sync"

	"tertulia/chat"
)

// History records what clients saw and checks it on the way. It takes about
// 100 bytes for each message that was sent, and constant time for each call.
// Its methods, and those of its readers, may be called from any goroutine.
//
// Sent, Acked, Refused and the readers come first, in the order in which
// things happened to each client. Then, when nobody sends or reads any more,
// Stored tells the whole store, and Finish gives the report.
type History struct {
	seed maphash.Seed

	mu      sync.Mutex
	rooms   map[chat.RoomID]*roomHistory
	readers []*Reader
	late    bool // Owed has been called
	report  Report
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{seed: maphash.MakeSeed(), rooms: make(map[chat.RoomID]*roomHistory)}
}

// Key names one message of one sender, before the server has seen it.
type Key struct {
	Room  chat.RoomID
	User  chat.UserID
	Nonce chat.Nonce
}

// Message is a message as the server gives it, stored or delivered.
type Message struct {
	Key
	Seq     uint64
	ID      int64
	Content string
}

// roomHistory is what is known of one room.
type roomHistory struct {
	senders map[chat.UserID]*sender
	sent    uint64  // distinct messages
	ids     []int64 // by seq − 1: the id that the first observer saw there, 0 for nobody yet
	stored  uint64  // the last seq told by Stored
	owed    uint64  // stored when Owed was called
}

// sender is one user in one room.
type sender struct {
	messages []message // in the order of sending
	index    map[chat.Nonce]int
	acked    int // messages[acked:] have not been acknowledged
	stored   int // messages[stored:] may still come from the store
}

type message struct {
	content  uint64 // its hash
	unknown  int    // attempts that were neither acknowledged nor refused
	ackSeq   uint64 // 0 until acknowledged
	ackID    int64
	isStored bool
	gaveUp   bool
}

func (h *History) room(id chat.RoomID) *roomHistory {
	r := h.rooms[id]
	if r == nil {
		r = &roomHistory{senders: make(map[chat.UserID]*sender)}
		h.rooms[id] = r
	}
	return r
}

// find returns the message that k names and its place among its sender's, or
// nil if nobody sent it.
func (h *History) find(k Key) (s *sender, m *message, place int) {
	s = h.room(k.Room).senders[k.User]
	if s == nil {
		return nil, nil, 0
	}
	place, ok := s.index[k.Nonce]
	if !ok {
		return s, nil, 0
	}
	return s, &s.messages[place], place
}

// Sent records an attempt to post, the first or a repeated one. It is called
// before the command can have reached the server.
func (h *History) Sent(k Key, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.room(k.Room)
	s := r.senders[k.User]
	if s == nil {
		s = &sender{index: make(map[chat.Nonce]int)}
		r.senders[k.User] = s
	}
	place, again := s.index[k.Nonce]
	if !again {
		place = len(s.messages)
		s.index[k.Nonce] = place
		s.messages = append(s.messages, message{content: maphash.String(h.seed, content)})
		r.sent++
	}
	s.messages[place].unknown++
}

// Acked records the answer to an attempt: stored, at this place.
func (h *History) Acked(k Key, seq uint64, id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Acked++
	s, m, place := h.find(k)
	if m == nil {
		h.report.found(Phantom, "acknowledged %v, which was not sent", k)
		return
	}
	if place < s.acked {
		h.report.found(FIFO, "%v acknowledged after a later one, or again", k)
		return
	}
	s.acked = place + 1
	m.ackSeq, m.ackID = seq, id
}

// Refused records the answer to an attempt: not stored, and never will be.
func (h *History) Refused(k Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, m, _ := h.find(k); m != nil {
		m.unknown--
	}
}

// GaveUp records that the sender will not send a message again of which it does
// not know whether it is stored. It may be, at any later time, and then behind
// what was sent after it by another way.
func (h *History) GaveUp(k Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, m, _ := h.find(k); m != nil {
		m.gaveUp = true
	}
}

// Stored tells the next message of a room from the store, from seq 1 on.
func (h *History) Stored(got Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.late {
		h.report.Stored++
	}
	r := h.room(got.Room)
	if got.Seq != r.stored+1 {
		h.report.found(Hole, "room %s: seq %d is stored after %d", got.Room, got.Seq, r.stored)
	}
	r.stored = got.Seq
	h.observe(got, "store")
	s, m, place := h.find(got.Key)
	if m == nil {
		return // observe has said so
	}
	switch {
	case m.isStored:
		h.report.found(Double, "%v is stored again at seq %d", got.Key, got.Seq)
	case m.ackSeq != 0 && (m.ackSeq != got.Seq || m.ackID != got.ID):
		h.report.found(AckMismatch, "%v was acknowledged at seq %d with id %d, and is stored at %d with %d", got.Key, m.ackSeq, m.ackID, got.Seq, got.ID)
	case place < s.stored && !m.gaveUp:
		h.report.found(FIFO, "%v is stored at seq %d, after a later one of its sender", got.Key, got.Seq)
	}
	m.isStored = true
	if !m.gaveUp {
		s.stored = max(s.stored, place+1)
	}
}

// observe checks what anybody sees at one place of a log. The caller holds mu.
func (h *History) observe(got Message, observer string) {
	r := h.room(got.Room)
	if _, m, _ := h.find(got.Key); m == nil || m.ackSeq == 0 && m.unknown == 0 {
		h.report.found(Phantom, "%s has %v at seq %d, which nobody sent or which was refused", observer, got.Key, got.Seq)
	} else if m.content != maphash.String(h.seed, got.Content) {
		h.report.found(AckMismatch, "%s has %v at seq %d with other content than was sent", observer, got.Key, got.Seq)
	}
	if got.Seq == 0 || got.Seq > r.sent {
		return // a room has no more places than messages; more is a hole or a phantom, and takes no memory
	}
	for uint64(len(r.ids)) < got.Seq {
		r.ids = append(r.ids, 0)
	}
	switch seen := &r.ids[got.Seq-1]; *seen {
	case 0:
		*seen = got.ID
	case got.ID:
	default:
		h.report.found(Divergence, "%s has id %d at seq %d of room %s, where another saw %d", observer, got.ID, got.Seq, got.Room, *seen)
	}
}

// Owed says that readers need not have got further than what Stored has told so
// far, which is what the report counts. More may follow: what was given up, and
// stored when they had ended.
func (h *History) Owed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late = true
	for _, r := range h.rooms {
		r.owed = r.stored
	}
}

// Finish looks for what is missing and returns the report. heads are the
// heads that the store tells of its rooms. The history ends here.
func (h *History) Finish(heads map[chat.RoomID]uint64) Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.rooms {
		if heads[id] != r.stored {
			h.report.found(Hole, "room %s has head %d, and its last stored seq is %d", id, heads[id], r.stored)
		}
		h.findLost(id, r)
	}
	for _, r := range h.readers {
		r.finish(h.rooms[r.room])
	}
	return h.report
}

func (h *History) findLost(id chat.RoomID, r *roomHistory) {
	for user, s := range r.senders {
		for nonce, place := range s.index {
			if m := s.messages[place]; m.ackSeq != 0 && !m.isStored {
				h.report.found(Lost, "%v, acknowledged at seq %d, is not stored", Key{id, user, nonce}, m.ackSeq)
			}
		}
	}
}
