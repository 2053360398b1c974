package storetest

import (
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

var empty = []byte(`{}`)

// changed is a message as an event left it.
func changed(message, by chat.Event, body []byte) chat.Event {
	message.Changed, message.ChangedAt, message.Body = by.Seq, by.At, body
	message.Deleted = by.Kind != chat.KindMessageEdited
	return message
}

// blank is an edit whose message was deleted.
func blank(e chat.Event) chat.Event {
	e.Body = empty
	return e
}

var changeCases = []testCase{
	{"an edit is an event that names its message", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), edit("r", "ana", 1, "hi"))
		want := e[1]
		want.Target, want.TargetID, want.Seq, want.Msgs = 1, e[0].ID, 2, 1
		w.wantEvent(e[1], want)
		w.wantEvent(w.log("r")[1], want)
	}},
	{"an edit gives the message its body", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), post("r", "ana", "", "other"))
		by := w.every(edit("r", "ana", 1, "hi"))[0]
		w.wantEvents(w.log("r"), []chat.Event{changed(e[0], by, by.Body), e[1], by})
		again := w.every(edit("r", "bob", 1, "ho"))[0]
		want := []chat.Event{changed(e[0], again, again.Body), e[1], by, again}
		w.wantEvents(w.log("r"), want)
		w.wantEvents(w.before("r", 2, everything).Events, want[:1])
		w.reopen()
		w.wantEvents(w.log("r"), want)
	}},
	{"an edit within the batch of its message", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), edit("r", "ana", 1, "hi"))
		w.wantEvents(w.log("r"), []chat.Event{changed(e[0], e[1], e[1].Body), e[1]})
	}},
	{"a deletion leaves {} of a message and all its edits", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), post("r", "ana", "", "other"),
			edit("r", "ana", 1, "a"), edit("r", "ana", 2, "b"), edit("r", "bob", 1, "c"), edit("r", "ana", 1, "d"))
		by := w.every(remove("r", "ana", 1))[0]
		want := []chat.Event{changed(e[0], by, empty), changed(e[1], e[3], e[3].Body), blank(e[2]), e[3], blank(e[4]), blank(e[5]), by}
		w.wantEvents(w.log("r"), want)
		w.reopen()
		w.wantEvents(w.log("r"), want)
	}},
	{"a deletion of a message that was never edited", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), edit("r", "ana", 1, "x"), post("r", "ana", "", "other"))
		by := w.every(remove("r", "ana", 3))[0]
		w.wantEvents(w.log("r"), []chat.Event{changed(e[0], e[1], e[1].Body), e[1], changed(e[2], by, empty), by})
	}},
	{"a deletion keeps its own body", func(w *world) {
		w.every(post("r", "ana", "n", "hello"))
		row := remove("r", "ana", 1)
		row.Body = []byte(`{"reason":"spam"}`)
		by := w.every(row)[0]
		w.wantEvent(w.log("r")[1], by)
	}},
	{"only a message that is there can be changed", func(w *world) {
		w.every(post("r", "ana", "n", "hello"), edit("r", "ana", 1, "hi"), post("r", "ana", "", "other"), remove("r", "ana", 3), post("s", "ana", "", "x"))
		w.every(post("s", "ana", "", "x"), post("s", "ana", "", "x"), post("s", "ana", "", "x"), post("s", "ana", "", "x"))
		for name, target := range map[string]uint64{"none": 0, "an edit": 2, "deleted": 3, "a deletion": 4, "another room's": 5, "beyond": 1 << 63} {
			for _, row := range []store.Append{edit("r", "ana", target, "x"), remove("r", "ana", target)} {
				if w.refused(row, chat.MessageNotFound); w.failed() {
					w.Fatalf("the target was %s", name)
				}
			}
		}
		row := edit("nowhere", "ana", 1, "x")
		w.refused(row, chat.RoomNotFound)
		row.MayCreate = true
		w.refused(row, chat.MessageNotFound)
	}},
	{"a message that its own batch deletes is not found after", func(w *world) {
		r := w.append(post("r", "ana", "n", "hello"), remove("r", "ana", 1), edit("r", "ana", 1, "x"), remove("r", "ana", 1))
		w.wantCode(r[2].Err, chat.MessageNotFound)
		w.wantCode(r[3].Err, chat.MessageNotFound)
		w.wantSeqs(w.log("r"), 1, 2)
	}},
	{"other kinds have no target", func(w *world) {
		row := post("r", "ana", "n", "hello")
		row.Target = 7
		e := w.stored(row)
		if e.Target != 0 || e.TargetID != 0 {
			w.Errorf("Target = %d, TargetID = %d, want 0, 0", e.Target, e.TargetID)
		}
		w.wantEvents(w.log("r"), []chat.Event{e})
	}},
	{"the repeat of a changed message returns its current form", func(w *world) {
		row := post("r", "ana", "n", "hello")
		e := w.stored(row)
		by := w.every(edit("r", "ana", 1, "hi"))[0]
		for _, want := range []chat.Event{changed(e, by, by.Body), {}} {
			if want.Seq == 0 {
				by = w.every(remove("r", "ana", 1))[0]
				want = changed(e, by, empty)
			}
			r := w.append(row)[0]
			if r.Err != nil || !r.Duplicate {
				w.Errorf("the repeat = duplicate %v, %v, want true, nil", r.Duplicate, r.Err)
			}
			w.wantEvent(r.Event, want)
			w.wantCode(w.append(post("r", "ana", "n", "hi"))[0].Err, chat.IdempotencyConflict)
			w.wantCode(w.append(post("r", "ana", "n", ""))[0].Err, chat.IdempotencyConflict)
		}
	}},
	{"an edit and a deletion repeat like messages", func(w *world) {
		w.every(post("r", "ana", "n", "hello"), post("r", "ana", "", "other"))
		first, second, gone := edit("r", "ana", 1, "a"), edit("r", "ana", 1, "b"), remove("r", "ana", 1)
		e := w.every(first, second)
		w.wantDuplicates([]store.Append{first, second}, e)
		w.wantEvent(w.log("r")[0], changed(w.log("r")[0], e[1], e[1].Body)) // the repeat has changed nothing
		by := w.every(gone)[0]
		w.wantDuplicates([]store.Append{gone, first, second}, []chat.Event{by, blank(e[0]), blank(e[1])})
		other := first
		other.Target = 2
		w.wantCode(w.append(other)[0].Err, chat.IdempotencyConflict)
		w.wantSeqs(w.log("r"), upTo(5)...)
	}},
	{"an erasure leaves {} of all that a user has said", func(w *world) {
		e := w.every(post("r", "ana", "a", "one"), post("r", "bob", "", "two"), edit("r", "eve", 1, "three"), edit("r", "ana", 2, "four"),
			post("r", "ana", "", "five"), remove("r", "ana", 5), post("s", "ana", "", "elsewhere"))
		by := w.every(erase("r", "ana"))[0]
		if by.Subject != "ana" || by.Target != 0 {
			w.Errorf("Subject = %q, Target = %d, want ana, 0", by.Subject, by.Target)
		}
		want := []chat.Event{changed(e[0], by, empty), changed(e[1], e[3], e[3].Body), blank(e[2]), e[3], changed(e[4], e[5], empty), e[5], by}
		w.wantEvents(w.log("r"), want)
		w.wantEvents(w.log("s"), e[6:])
		w.refused(edit("r", "ana", 1, "x"), chat.MessageNotFound)
		later := w.every(post("r", "ana", "", "again"))[0]
		w.reopen()
		w.wantEvents(w.log("r"), append(want, later))
	}},
	{"an erasure leaves {} of a user's own edits of what was trimmed", func(w *world) {
		e := w.every(post("r", "ana", "", "1"), post("r", "bob", "", "2"), edit("r", "ana", 1, "a"), edit("r", "bob", 2, "b"), edit("r", "ana", 2, "c"))
		w.trim("r", chat.Retention{Events: 3})
		by := w.every(erase("r", "ana"))[0]
		w.wantEvents(w.log("r"), []chat.Event{blank(e[2]), e[3], blank(e[4]), by})
	}},
	{"changes leave counts and places as they are", func(w *world) {
		e := w.every(post("r", "ana", "n", "hello"), edit("r", "ana", 1, "x"), remove("r", "ana", 1), erase("r", "ana"))
		for i, e := range e {
			if e.Msgs != 1 || e.Seq != uint64(i)+1 {
				w.Errorf("event %d: Msgs = %d, Seq = %d, want 1, %d", i, e.Msgs, e.Seq, i+1)
			}
		}
		w.wantRoom(chat.Room{ID: "r", Exists: true, Epoch: w.s.Epoch(), Head: 4, Floor: 1, Msgs: 1, CreatedAt: e[0].At})
	}},
	{"a row without what its kind needs is refused", func(w *world) {
		w.every(post("r", "ana", "n", "hello"))
		for _, row := range []store.Append{stand("r", "bob", chat.StateJoined, chat.RoleMember), erase("r", "bob"), settled("r", chat.Settings{})} {
			row.Member, row.Settings = nil, nil
			w.refused(row, chat.Internal)
		}
		row := stand("r", "", chat.StateJoined, chat.RoleMember)
		w.refused(row, chat.Internal)
	}},
}

// failed reports whether the test has failed so far.
func (w *world) failed() bool {
	t, ok := w.tb.(*testing.T)
	return ok && t.Failed()
}

// wantDuplicates checks that rows are known, and return these events.
func (w *world) wantDuplicates(rows []store.Append, want []chat.Event) {
	w.Helper()
	for i, r := range w.append(rows...) {
		if r.Err != nil || !r.Duplicate {
			w.Errorf("repeat %d = duplicate %v, %v, want true, nil", i, r.Duplicate, r.Err)
		}
		w.wantEvent(r.Event, want[i])
	}
}
