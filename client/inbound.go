package client

import (
	"time"

	"tertulia/chat"
)

// inbound is a frame from the server in the terms of the protocol, whichever
// profile it came in: one of the types below.
type inbound interface{ inbound() }

// place is where a durable event stands in its room's log; seq 0 is nowhere,
// and only a place moves the cursor.
type place struct {
	seq    uint64
	epoch  string // empty is the epoch of the connection
	tag    uint32
	hasTag bool
}

type connectedFrame struct {
	active      []chat.User
	activeCount int
	head        uint64
	// cursor is where the frames that follow begin, head on a fresh
	// connection; zero if the server cannot resume.
	cursor  chat.Cursor
	history []historyItem
	resumed bool
	gap     *Gap // nil if the server named none
}

// historyItem is a message of the past, or why it is not legible.
type historyItem struct {
	message Message
	err     error
}

type messageFrame struct {
	place
	message Message
}

type sentFrame struct{ sent Sent }

type errorFrame struct {
	err       *chat.Error
	nonce     chat.Nonce // of the post that was refused
	re        string     // the id of the request that was refused
	retryable bool
}

type presenceFrame struct {
	user   chat.User
	joined bool
}

type typingFrame struct {
	user      chat.User
	on        bool
	expiresIn time.Duration
}

type pongFrame struct{ id string }

type otherFrame struct {
	place
	typ   string
	frame []byte
}

// badFrame could not be understood. Its place is kept if it was legible.
type badFrame struct {
	place
	typ string
	err error
}

func (connectedFrame) inbound() {}
func (messageFrame) inbound()   {}
func (sentFrame) inbound()      {}
func (errorFrame) inbound()     {}
func (presenceFrame) inbound()  {}
func (typingFrame) inbound()    {}
func (pongFrame) inbound()      {}
func (otherFrame) inbound()     {}
func (badFrame) inbound()       {}
