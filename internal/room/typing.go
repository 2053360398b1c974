package room

import (
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// Typing tells the others in a room that a user is typing or has stopped.
// Nothing is stored: the event may be lost, and takes no seq.
func (s *Service) Typing(id chat.RoomID, user chat.User, on bool) {
	kind := chat.KindTypingStopped
	if on {
		kind = chat.KindTyping
	}
	s.counts.Typing.Inc()
	s.bus.Publish(bus.RoomTopic(id), []chat.Event{{
		Room:  id,
		Kind:  kind,
		Actor: user,
		At:    time.Now().UTC(),
	}})
}
