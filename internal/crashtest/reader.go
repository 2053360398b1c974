package crashtest

import "tertulia/chat"

// Reader is one client that follows one room, through as many connections as
// it takes. Its methods are for one goroutine.
type Reader struct {
	history *History
	name    string
	room    chat.RoomID

	begun   bool
	last    uint64              // the highest seq taken, or where the reader began
	missing map[uint64]struct{} // below last, and not taken
}

// Reader adds a reader. Its name stands in examples.
func (h *History) Reader(room chat.RoomID, name string) *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.room(room)
	r := &Reader{history: h, name: name, room: room, missing: make(map[uint64]struct{})}
	h.readers = append(h.readers, r)
	return r
}

// Connected records that a connection has begun, and will give what comes
// after the seq.
func (r *Reader) Connected(after uint64) {
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	if r.begun && after > r.last {
		r.history.report.found(Hole, "reader %s has seq %d, and its next connection begins after %d", r.name, r.last, after)
		r.last = after
	}
	if !r.begun {
		r.begun, r.last = true, after
	}
}

// Took records one delivered message.
func (r *Reader) Took(got Message) {
	h := r.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Delivered++
	h.observe(got, "reader "+r.name)
	_, wasMissing := r.missing[got.Seq]
	switch {
	case got.Seq > r.last:
		r.skip(got.Seq)
		r.last = got.Seq
	case wasMissing:
		delete(r.missing, got.Seq)
		h.report.found(Swap, "reader %s got seq %d after %d", r.name, got.Seq, r.last)
	default:
		h.report.found(DupDelivery, "reader %s got seq %d again", r.name, got.Seq)
	}
}

// maxMissing bounds what a reader remembers of a gap; what is beyond it is
// one hole.
const maxMissing = 10_000

// skip notes the seqs between last and seq.
func (r *Reader) skip(seq uint64) {
	if seq-r.last > maxMissing {
		r.history.report.found(Hole, "reader %s got seq %d after %d", r.name, seq, r.last)
		return
	}
	for n := r.last + 1; n < seq; n++ {
		r.missing[n] = struct{}{}
	}
}

// finish looks for what never came, and for what came and is not there. The
// caller holds the history's mu.
func (r *Reader) finish(room *roomHistory) {
	found := r.history.report.found
	for seq := range r.missing {
		found(Hole, "reader %s never got seq %d", r.name, seq)
	}
	owed := room.stored
	if r.history.late {
		owed = room.owed
	}
	if r.last < owed {
		found(Undelivered, "reader %s got no further than seq %d of %d", r.name, r.last, owed)
	}
	if r.last > room.stored {
		found(Divergence, "reader %s got seq %d, and the store ends at %d", r.name, r.last, room.stored)
	}
}
