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
