package inbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/room"
)

// What happens on another node shows within 2 s, though the bus carries
// nothing: messages, and rooms that the user has come into.
func TestInboxBesideADeadBus(t *testing.T) {
	var buses []bus.Bus
	inBubble(t, func(w *world) {
		other := room.New(room.Config{Store: w.store, Bus: buses[1], AutoCreate: true})
		defer buses[1].Close()
		defer other.Close()
		w.found("1")
		w.must(nil, w.post(ana, "1"))
		time.Sleep(time.Minute)
		s := w.open(ana)
		s.check("at first")
		done := make(chan error, 1)
		other.Post(room.Post{Room: "1", By: bob, Content: "Ola"}, func(_ room.Posted, err error) { done <- err })
		w.must(nil, <-done)
		_, err := other.Create(context.Background(), bob, room.Create{Room: "2", Settings: private, Members: []chat.User{ana.User}})
		w.must(nil, err)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.check("after a message and a new room")
		if rooms, _ := s.shown(); len(rooms) != 2 {
			t.Errorf("shown are %d rooms, want 2", len(rooms))
		}
		s.off()
	}, func(inner bus.Bus) bus.Bus {
		inner.Close()
		buses = bustest.Cluster(func() bus.Bus { return local.New() }, 2, 1, bustest.Faults{Drop: 1})
		return buses[0]
	})
}
