package room

import (
	"testing"
	"testing/synctest"

	"tertulia/chat"
	"tertulia/internal/bus"
)

func TestTypingIsPublishedAndNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, newHostile(1))
		for _, on := range []bool{true, false} {
			if err := s.Typing(t.Context(), byAlice, "1", on); err != nil {
				t.Errorf("Typing(%v) = %v, want nil", on, err)
			}
		}
		synctest.Wait()
		for i, want := range []chat.Kind{chat.KindTyping, chat.KindTypingStopped} {
			e := s.bus.runs[i][0]
			if s.bus.topics[i] != bus.RoomTopic("1") || e.Kind != want || e.Actor != alice || e.Room != "1" || e.Seq != 0 {
				t.Errorf("published %+v on %q, want kind %d by Alice in room 1", e, s.bus.topics[i], want)
			}
		}
		if len(s.store.calls) != 0 {
			t.Errorf("the store was called %d times, want none", len(s.store.calls))
		}
	})
}
