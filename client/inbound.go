package client

import (
	"time"

	"tertulia/chat"
)

// inbound is a frame of the server, decoded: one of the types below.
type inbound interface{ inbound() }

// answerFrame is what every frame that may answer a command has.
type answerFrame struct {
	re   string // the command's id, empty if it answers none
	room chat.RoomID
}

type helloFrame struct {
	answerFrame
	session Session
}

type subscribedFrame struct {
	answerFrame
	epoch   string
	cursor  chat.Cursor
	resumed bool
	// gap is why the events after the given cursor do not follow, empty if
	// none was given or they do.
	gap     GapReason
	event   Subscribed
	version uint64 // of the presence
	history []durableFrame
}

type unsubscribedFrame struct {
	answerFrame
	reason string
}

// durableFrame is an event of a room's log; stored is also in event.
type durableFrame struct {
	stored Stored
	event  Event
	size   int // bytes of the frame
}

type historyFrame struct {
	answerFrame
	page Page
	size int
}

type sentFrame struct {
	answerFrame
	sent Sent
}

// okFrame answers edit and delete with sent, read and delivered with mark, auth
// with expiresAt.
type okFrame struct {
	answerFrame
	sent      Sent
	mark      chat.Mark
	expiresAt time.Time
}

type presenceFrame struct {
	answerFrame
	version  uint64
	presence Presence
}

type inboxFrame struct {
	answerFrame
	rooms []RoomChanged
}

type pongFrame struct{ answerFrame }

type errorFrame struct {
	answerFrame
	err       *chat.Error
	nonce     chat.Nonce // of the post that was refused
	retryable bool
}

// caughtUpFrame, gapFrame and skipFrame have a place among the events.
type caughtUpFrame struct {
	room chat.RoomID
	seq  uint64
}

type gapFrame struct{ gap Gap }

type skipFrame struct {
	room chat.RoomID
	to   uint64
}

type reconnectFrame struct {
	after  time.Duration
	reason string
}

type presenceDiffFrame struct {
	version uint64 // 0 if only the count is told
	event   PresenceChanged
	counted bool
}

// passingFrame is an event that needs no more than to be handed over.
type passingFrame struct {
	room  chat.RoomID
	event Event
}

// unknownFrame is of a type that this client does not know, and no event.
type unknownFrame struct{}

// badFrame could not be understood at all.
type badFrame struct{ err error }

func (helloFrame) inbound()        {}
func (subscribedFrame) inbound()   {}
func (unsubscribedFrame) inbound() {}
func (durableFrame) inbound()      {}
func (historyFrame) inbound()      {}
func (sentFrame) inbound()         {}
func (okFrame) inbound()           {}
func (presenceFrame) inbound()     {}
func (inboxFrame) inbound()        {}
func (pongFrame) inbound()         {}
func (errorFrame) inbound()        {}
func (caughtUpFrame) inbound()     {}
func (gapFrame) inbound()          {}
func (skipFrame) inbound()         {}
func (reconnectFrame) inbound()    {}
func (presenceDiffFrame) inbound() {}
func (passingFrame) inbound()      {}
func (unknownFrame) inbound()      {}
func (badFrame) inbound()          {}
