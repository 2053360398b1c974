package cache

import (
	"encoding/binary"

	"tertulia/chat"
	"tertulia/internal/packed"
	"tertulia/internal/store"
)

// entry is an event as it is kept:
//
//	as of  uvarint: the head of the log when the event had this form
//	       a run of one event
//	seal
type entry struct {
	event chat.Event
	asOf  uint64
}

// pack returns an entry as Redis keeps it; ok is false if it is too large.
func (s *Store) pack(e *entry) (sealed []byte, ok bool) {
	if len(e.event.Body) > maxEntryBytes {
		return nil, false
	}
	b := binary.AppendUvarint(make([]byte, 0, 256+len(e.event.Body)), e.asOf)
	sealed = s.key.Seal(packed.Append(b, []chat.Event{e.event}))
	return sealed, len(sealed) <= maxEntryBytes
}

// unpack reads what pack has made, for this log.
func (s *Store) unpack(sealed string, room *chat.Room) (e entry, ok bool) {
	if len(sealed) > maxEntryBytes {
		return e, false
	}
	data, ok := s.key.Open(sealed)
	if !ok {
		return e, false
	}
	asOf, data, ok := packed.Number(data)
	if !ok {
		return e, false
	}
	events, err := packed.Parse(data)
	if err != nil || len(events) != 1 || events[0].Room != room.ID || events[0].Epoch != room.Epoch {
		return e, false
	}
	return entry{events[0], asOf}, true
}

// window is the end of a log: the entries of all seqs from its first up to the
// head.
type window struct {
	first   uint64
	entries []entry
}

// proven puts what was found for the seqs from first on into order and
// returns it, if it is the end of the log as the store has it now.
func proven(found []entry, head *store.Head, first uint64) (w window, ok bool) {
	top := head.Room.Head
	w = window{first: first, entries: make([]entry, top-first+1)}
	for _, e := range found {
		seq := e.event.Seq
		if seq < first {
			continue
		}
		// What lies beyond the head, or is as of beyond it, is younger than
		// the room as it was read.
		if seq > top || e.asOf > top || e.asOf < seq {
			return window{}, false
		}
		at := &w.entries[seq-first]
		if at.asOf != 0 && at.event.Tag != e.event.Tag {
			return window{}, false // one of the two is not in the log any more
		}
		if e.asOf > at.asOf {
			*at = e
		}
	}
	for i := range w.entries {
		if w.entries[i].asOf == 0 {
			return window{}, false
		}
	}
	return w, w.entries[top-first].event.Tag == head.Tag && w.linked() && w.current()
}

// linked reports whether each event follows the one before it, where it was kept
// what it follows, and takes that away: what is read of a log does not say so.
func (w *window) linked() bool {
	for i := range w.entries {
		e := &w.entries[i].event
		if i > 0 && e.Follows != 0 && e.Follows != w.entries[i-1].event.Tag {
			return false
		}
		e.Follows = 0
	}
	return true
}

// current reports whether no event changes another one that was kept in an
// older form. A deletion empties the edits of its message too, and what an
// erasure touches cannot be told from here: everything before it.
func (w *window) current() bool {
	for i := range w.entries {
		c := &w.entries[i].event
		touches := func(e *chat.Event) bool { return e.Seq == c.Target || e.Target == c.Target }
		switch c.Kind {
		case chat.KindMessageEdited, chat.KindMessageDeleted:
		case chat.KindMessagesErased:
			touches = func(*chat.Event) bool { return true }
		default:
			continue
		}
		for j := range w.entries[:i] {
			if w.entries[j].asOf < c.Seq && touches(&w.entries[j].event) {
				return false
			}
		}
	}
	return true
}
