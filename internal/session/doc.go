// Package session is one client's conversation with a node: what its commands
// do, and the order of what it is told.
//
// A session reads commands from one goroutine, its connection's reader.
// Posts are not waited for: many may be in flight, and their replies go out
// in the order of the commands. Events do not pass through here at all; the
// hub writes them to the connection from the room's feed.
//
// There are two profiles: [Session] is the prototype's, one room a connection,
// and [V1] has many rooms (docs/protocol.md, Part 2). What they share is in
// dialogue.
//
// # Promises
//
//   - The first frame is connected, or hello and subscribed. Everything after
//     the cursor that they name follows as events.
//   - Replies come in the order of the commands.
//   - message_sent means stored, and comes before the author's own copy.
//   - A peer that does not read its replies is not read from either.
//   - A session ends with its credential.
package session

import (
	"log/slog"
	"time"

	"tertulia/internal/hub"
	"tertulia/internal/inbox"
	"tertulia/internal/presence"
	"tertulia/internal/room"
	"tertulia/wire"
)

// Limits of a session, docs/protocol.md §9.
const (
	// MaxHistory bounds the history that a client may ask for on connecting.
	MaxHistory = 200
	// historyBytes keeps connected below the smallest frame limit that common
	// clients have (1 MiB in Python's websockets) by a wide margin.
	historyBytes = 192 << 10
	// maxInFlight posts may wait for their replies; then nothing more is read.
	maxInFlight = 64
	// maxErrors within errorWindow end the session.
	maxErrors   = 20
	errorWindow = 10 * time.Second
	// typingEvery is how often an unchanged typing state is passed on.
	typingEvery = 2 * time.Second
)

// Framing puts JSON and close codes into the frames of a transport. Both
// functions append to dst.
type Framing struct {
	Text  func(dst, json []byte) []byte
	Close func(dst []byte, code wire.CloseCode, reason string) []byte
	// Wraps says that the connections wrap what stands among their events
	// (hub.Dialect): markers are left as they are.
	Wraps bool
}

// marker appends the JSON of a marker.
func (f *Framing) marker(dst, json []byte) []byte {
	if f.Wraps {
		return append(dst, json...)
	}
	return f.Text(dst, json)
}

// Services are what sessions stand on.
type Services struct {
	Rooms    *room.Service
	Hub      *hub.Hub
	Presence *presence.Tracker
	// Inbox tells users of their rooms; without it no inbox is served.
	Inbox   *inbox.Service
	Framing Framing
	Log     *slog.Logger
	// Watch ends sessions whose credential is revoked; nil ends none.
	Watch *Watch
	// Server is what the server calls itself to clients of v1: name/version.
	Server string
	// Heartbeat is how often a silent client is pinged.
	Heartbeat time.Duration
}
