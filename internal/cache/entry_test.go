package cache

import (
	"slices"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// kept is an entry of an event with its target. Its tag is its seq.
func kept(kind chat.Kind, seq, target, asOf uint64) entry {
	return entry{chat.Event{Kind: kind, Seq: seq, Tag: uint32(seq), Target: target, Subject: "ana"}, asOf}
}

// tagged is an entry of a message with another tag, that follows what has one.
func tagged(seq uint64, tag, follows uint32) entry {
	e := kept(chat.KindMessage, seq, 0, seq)
	e.event.Tag, e.event.Follows = tag, follows
	return e
}

func TestProven(t *testing.T) {
	const message, edit, deletion, erasure = chat.KindMessage, chat.KindMessageEdited, chat.KindMessageDeleted, chat.KindMessagesErased
	for _, test := range []struct {
		name  string
		found []entry
		want  bool
	}{
		{"as posted", []entry{kept(message, 3, 0, 3), kept(message, 4, 0, 4)}, true},
		{"in any order", []entry{kept(message, 4, 0, 4), kept(message, 3, 0, 3)}, true},
		{"older than asked for", []entry{kept(message, 2, 0, 2), kept(message, 3, 0, 3), kept(message, 4, 0, 4)}, true},
		{"nothing", nil, false},
		{"a hole", []entry{kept(message, 4, 0, 4)}, false},
		{"not up to the head", []entry{kept(message, 3, 0, 3)}, false},
		{"beyond the head", []entry{kept(message, 3, 0, 3), kept(message, 4, 0, 4), kept(message, 5, 0, 5)}, false},
		{"form from beyond the head", []entry{kept(message, 3, 0, 5), kept(message, 4, 0, 4)}, false},
		{"form from before the event", []entry{kept(message, 3, 0, 2), kept(message, 4, 0, 4)}, false},
		{"edited since", []entry{kept(message, 3, 0, 3), kept(edit, 4, 3, 4)}, false},
		{"edited form", []entry{kept(message, 3, 0, 4), kept(edit, 4, 3, 4)}, true},
		{"both forms", []entry{kept(message, 3, 0, 4), kept(message, 3, 0, 3), kept(edit, 4, 3, 4)}, true},
		{"another edited", []entry{kept(message, 3, 0, 3), kept(edit, 4, 1, 4)}, true},
		{"deleted since", []entry{kept(message, 3, 0, 3), kept(deletion, 4, 3, 4)}, false},
		{"edit of what is deleted", []entry{kept(edit, 3, 1, 3), kept(deletion, 4, 1, 4)}, false},
		{"erased since", []entry{kept(message, 3, 0, 3), kept(erasure, 4, 0, 4)}, false},
		{"each after the other", []entry{tagged(3, 3, 2), tagged(4, 4, 3)}, true},
		{"after another", []entry{tagged(3, 33, 2), tagged(4, 4, 3)}, false},
		{"another head", []entry{tagged(3, 3, 2), tagged(4, 44, 3)}, false},
		{"two of a seq", []entry{tagged(3, 33, 0), tagged(3, 3, 0), tagged(4, 4, 0)}, false},
		{"erased form", []entry{kept(message, 3, 0, 4), kept(erasure, 4, 0, 4)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, got := proven(slices.Clone(test.found), &store.Head{Room: chat.Room{Head: 4}, Tag: 4}, 3)
			if got != test.want {
				t.Errorf("proven = %t, want %t", got, test.want)
			}
			if got && (w.entries[0].event.Seq != 3 || w.entries[1].event.Seq != 4) {
				t.Errorf("entries %+v, want 3 and 4", w.entries)
			}
		})
	}
}
