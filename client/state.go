package client

import (
	"fmt"
	"time"

	"tertulia/chat"
)

// State is where a client stands with its server:
//
//	Connecting → Online
//	   ↑  ↓        ↓
//	  Waiting ←────┘      and from everywhere to Offline, and to Closed
type State uint8

// The states.
const (
	// Connecting: an attempt is under way, up to the server's hello.
	Connecting State = 1 + iota
	// Online: the server has said hello; frames go both ways.
	Online
	// Waiting: the next attempt is at RetryAt.
	Waiting
	// Offline: the program has said [Client.GoOffline]; nothing is tried
	// before [Client.Reconnect].
	Offline
	// Closed: by [Client.Close], or refused; nothing follows.
	Closed
)

var stateNames = [...]string{"idle", "connecting", "online", "waiting", "offline", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// ConnectionState is a step of the client's one state machine.
type ConnectionState struct {
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

// Session is what the server has said of the present connection, or of the
// last one.
type Session struct {
	// Server is the server's name and version, for people; ID its name for the
	// connection, for its log.
	Server, ID string
	// User is who the client is.
	User     chat.User
	Limits   Limits
	Features []string
	// ExpiresAt is when the credential ends; zero if it does not.
	ExpiresAt time.Time
}

// Limits are those that the server has told (docs/protocol.md §20).
type Limits struct {
	FrameBytes, ContentBytes        int
	Rooms, RoomsPerCommand, History int
}
