package client

import (
	"fmt"
	"time"
)

// State is where a room stands with its server:
//
//	Idle → Connecting → Online
//	           ↑  ↓        ↓
//	          Waiting ←────┘      and from everywhere to Closed
type State uint8

// The states.
const (
	// Idle: nothing was tried yet.
	Idle State = iota
	// Connecting: an attempt is under way, up to the server's greeting.
	Connecting
	// Online: the server has greeted; frames go both ways.
	Online
	// Waiting: the next attempt is at RetryAt.
	Waiting
	// Closed: by [Room.Close], or refused; nothing follows.
	Closed
)

var stateNames = [...]string{"idle", "connecting", "online", "waiting", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// StateChanged is a step of the room's one state machine.
type StateChanged struct {
	State, Previous State
	// Attempt counts the attempts to connect, 1, 2, 3…, since the last
	// connection that stood for 10 s.
	Attempt int
	// Code is the WebSocket close code that ended the connection: 1006 if it
	// broke without one, 0 if there was no connection.
	Code int
	// Reason is for people; the server's own words if it gave any.
	Reason string
	// RetryAt is the instant of the next attempt while State is Waiting.
	RetryAt time.Time
	// Err is what happened, nil if nothing failed.
	Err error
}
