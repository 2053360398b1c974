package client

import (
	"errors"
	"fmt"
	"time"

	"tertulia/chat"
)

var (
	// ErrClosed is the end of a client by [Client.Close].
	ErrClosed = errors.New("the client is closed")
	// ErrUnknown marks a post that was written and never answered: it may be
	// stored or not. Posting it again with its nonce is safe.
	ErrUnknown = errors.New("it is not known whether the message was stored")
	// ErrExpired is a post that waited for longer than [WithOutbox] allows.
	ErrExpired = errors.New("the post waited too long")
	// ErrOutboxFull is a post beyond what [WithOutbox] allows.
	ErrOutboxFull = errors.New("too many posts wait for an acknowledgement")
	// ErrCanceled is a post taken back by [Outgoing.Cancel].
	ErrCanceled = errors.New("the post was taken back")
	// ErrOffline is a ping that no connection could carry.
	ErrOffline = errors.New("the client is not online")
)

// RemovedError is the end of a subscription because the user was removed from
// the room.
type RemovedError struct {
	Room chat.RoomID
	// Reason is the server's word; the event before it says more.
	Reason string
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("removed from room %s (%s)", e.Room, e.Reason)
}

// PostError is a message that [Room.Send] did not get acknowledged.
type PostError struct {
	// Nonce posts the same message again without posting it twice.
	Nonce chat.Nonce
	Err   error
}

func (e *PostError) Error() string { return "send: " + e.Err.Error() }

func (e *PostError) Unwrap() error { return e.Err }

// RefusedError ends a client: the server does not want this client back.
type RefusedError struct {
	// Code is the WebSocket close code, 0 if the handshake was refused.
	Code int
	// Status is the HTTP status of a refused handshake, else 0.
	Status int
	// Reason is the server's sentence.
	Reason string
	// Err is the [*chat.Error] that came before the close, nil if none.
	Err error
}

func (e *RefusedError) Error() string {
	what := fmt.Sprintf("refused with close code %d", e.Code)
	if e.Status != 0 {
		what = fmt.Sprintf("refused with HTTP status %d", e.Status)
	}
	switch {
	case e.Err != nil:
		return what + ": " + e.Err.Error()
	case e.Reason != "":
		return what + ": " + e.Reason
	}
	return what
}

func (e *RefusedError) Unwrap() error { return e.Err }

// CloseError is the close frame that ended a connection.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("closed by the server with code %d", e.Code)
	}
	return fmt.Sprintf("closed by the server with code %d: %s", e.Code, e.Reason)
}

// HandshakeError is an HTTP answer that did not lead to a WebSocket.
type HandshakeError struct {
	Status int
	// RetryAfter is what the server asked to wait, 0 if it did not say.
	RetryAfter time.Duration
	// Reason is the beginning of the answer's body.
	Reason string
}

func (e *HandshakeError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the server answered with HTTP status %d", e.Status)
	}
	return fmt.Sprintf("the server answered with HTTP status %d: %s", e.Status, e.Reason)
}

// final reports whether the same handshake would be refused again.
func (e *HandshakeError) final() bool {
	switch e.Status {
	case 408, 425, 429:
		return false
	}
	return e.Status < 500
}
