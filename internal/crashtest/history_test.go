package crashtest

import (
	"testing"

	"tertulia/chat"
)

// A message that its sender gave up may be stored behind a later one; any
// other that is, is out of order.
func TestGivenUpMessagesComeWhenTheyWill(t *testing.T) {
	for _, gaveUp := range []bool{false, true} {
		h := NewHistory()
		first, second := Key{"1", "ana", "n1"}, Key{"1", "ana", "n2"}
		h.Sent(first, "one")
		if gaveUp {
			h.GaveUp(first)
		}
		h.Sent(second, "two")
		h.Acked(second, 1, 10)
		h.Stored(Message{second, 1, 10, "two"})
		h.Stored(Message{first, 2, 11, "one"})
		report := h.Finish(map[chat.RoomID]uint64{"1": 2})
		want := uint64(1)
		if gaveUp {
			want = 0
		}
		if report.Count[FIFO] != want || report.Anomalies() != want {
			t.Errorf("given up %v: %s\n%s, want %d out of order and nothing else", gaveUp, &report, report.Details(), want)
		}
	}
}

// What a reader was given has to be stored in the end, also if its sender was
// told nothing. What is stored after the readers have ended need not be given.
func TestWhatWasGivenIsStored(t *testing.T) {
	for _, c := range []struct {
		name        string
		given, late bool
		diverges    uint64
	}{
		{"given and gone", true, false, 1},
		{"given, and stored late", true, true, 0},
		{"not given, and stored late", false, true, 0},
	} {
		h := NewHistory()
		reader := h.Reader("1", "leo")
		reader.Connected(0)
		one := Message{Key{"1", "ana", "n1"}, 1, 10, "one"}
		two := Message{Key{"1", "ana", "n2"}, 2, 11, "two"}
		h.Sent(one.Key, one.Content)
		h.Acked(one.Key, one.Seq, one.ID)
		h.Sent(two.Key, two.Content)
		h.GaveUp(two.Key)
		reader.Took(one)
		h.Stored(one)
		h.Owed()
		head := uint64(1)
		if c.given {
			reader.Took(two)
		}
		if c.late {
			h.Stored(two)
			head = 2
		}
		report := h.Finish(map[chat.RoomID]uint64{"1": head})
		if report.Count[Divergence] != c.diverges || report.Anomalies() != c.diverges {
			t.Errorf("%s: %s\n%s, want %d divergences and nothing else", c.name, &report, report.Details(), c.diverges)
		}
	}
}
