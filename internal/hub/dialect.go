package hub

import "tertulia/chat"

// Profile says which of a room's events a connection gets, and in which form.
type Profile uint8

// The profiles of the protocol.
const (
	// Seed is the prototype's: of the durable events the messages only, and of
	// the passing ones those that the prototype knew.
	Seed Profile = iota
	// V1 is tertulia.v1: all durable events, and the passing ones in its form.
	V1

	profiles = 2
)

// Encoder makes frames. Its functions append to dst, keep nothing of it, and
// are called from any goroutine, often under a lock: they do not wait.
type Encoder struct {
	// Durable appends the whole frame of an event of the log. Both profiles
	// share it.
	Durable func(dst []byte, e *chat.Event) []byte
	// Passing appends the whole frame of a passing event as a profile has it,
	// or nothing, if the profile has no such event.
	Passing func(dst []byte, e *chat.Event, p Profile) []byte
	// Notice appends the whole frame of what was published under a user's
	// topic. Nil if nobody calls [Hub.AttachUser].
	Notice func(dst []byte, e *chat.Event) []byte
	// Payload returns a whole frame without what the transport puts around it,
	// for connections that wrap. Nil if frames are bare.
	Payload func(frame []byte) []byte
}

func (c *Encoder) payload(frame []byte) []byte {
	if c.Payload == nil {
		return frame
	}
	return c.Payload(frame)
}

// hides reports whether the seed profile passes over a durable event: it gets
// the messages.
func hides(e *chat.Event) bool { return e.Kind != chat.KindMessage }

// Dialect is how one kind of connection is spoken to. It is fixed, and shared
// by all connections of the kind. The loops call its functions, which
// therefore wait for nobody; they may call the methods of Conn and Sub.
type Dialect struct {
	Profile Profile
	// Bye returns the frame that ends a connection for a reason of the hub's.
	Bye func(Reason) []byte
	// Ended appends the frame that says that s has ended because its user has
	// been removed from the room, and may tell the session. It is called once,
	// after the event that says so has been added to what is written, and not
	// if Detach came first. Detach is still to be called. Nil closes the
	// connection, with [Removed].
	Ended func(dst []byte, s *Sub) []byte
	// Gap appends the frame that says that the events from to to were trimmed
	// before s had taken them. Nil closes the connection, with [Rewritten].
	Gap func(dst []byte, s *Sub, from, to uint64) []byte
	// Wrap appends one frame as the transport has it, if that is not the shared
	// frame itself. It is given every event, marker and end of a subscription:
	// payload is what Encoder.Payload left of the frame, or what a [Marker],
	// Ended or Gap has made; seq is 0 for all but durable events. The cursors of the
	// connection, s included, count the event as written. Replies and the
	// close frame are written as they are. Nil wraps nothing.
	Wrap func(dst []byte, s *Sub, seq uint64, payload []byte) []byte
}

// Marker is a frame with a place in the stream of a subscription.
type Marker struct {
	// At is the place: right after the event of that seq has been written, and
	// before anything that comes later. A subscription whose cursor is there
	// or beyond gets it first of all.
	At uint64
	// Make appends the frame; nothing, if there is no need for one after all.
	// It is called by the loop, once, when the marker is written. A connection
	// that wraps is given the bare payload.
	Make func(dst []byte, s *Sub) []byte
}
