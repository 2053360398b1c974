package client

import (
	"time"

	"tertulia/chat"
)

// Sent is the acknowledgement of a post: the message is stored.
type Sent struct {
	ID int64
	// Seq is the message's place in the room's log, 0 if the server does not
	// number its messages.
	Seq uint64
	At  time.Time
	// Nonce is the post's.
	Nonce chat.Nonce
	// Duplicate reports that an earlier try had already stored it.
	Duplicate bool
}

// PostState is how far a post has come.
type PostState uint8

// The states of a post. Pending becomes one of the others, once.
const (
	PostPending PostState = iota
	PostSent
	PostFailed
)

func (s PostState) String() string {
	switch s {
	case PostPending:
		return "pending"
	case PostSent:
		return "sent"
	}
	return "failed"
}

// Outgoing is the handle of a post. Its methods may be called from any
// goroutine.
type Outgoing struct {
	// Fixed after construction.
	room  *Room
	text  string
	nonce chat.Nonce
	done  chan struct{}

	// Owned by the protocol.
	expiresAt time.Time // zero is never
	inFlight  bool      // written on the present connection, not answered
	unknown   bool      // an earlier try may have stored it
	refusals  int       // retryable ones

	// Written before done is closed, fixed after.
	sent Sent
	err  error
}

// Text returns what was posted.
func (o *Outgoing) Text() string { return o.text }

// Nonce returns the post's nonce, which everybody's copy of the message carries.
func (o *Outgoing) Nonce() chat.Nonce { return o.nonce }

// Done is closed when the post is no longer pending.
func (o *Outgoing) Done() <-chan struct{} { return o.done }

// State returns how far the post has come.
func (o *Outgoing) State() PostState {
	select {
	case <-o.done:
	default:
		return PostPending
	}
	if o.err != nil {
		return PostFailed
	}
	return PostSent
}

// Result returns the acknowledgement, or why the post failed. Both are zero
// while it is pending.
func (o *Outgoing) Result() (Sent, error) {
	if o.State() == PostPending {
		return Sent{}, nil
	}
	return o.sent, o.err
}

// Cancel takes a post back that was not written yet: it fails with
// [ErrCanceled]. It reports false, and does nothing, if it is too late.
func (o *Outgoing) Cancel() bool {
	return o.room.cancelPost(o)
}

func (o *Outgoing) mayBeStored() bool { return o.inFlight || o.unknown }

func (o *Outgoing) finish(sent Sent, err error) {
	o.sent, o.err = sent, err
	close(o.done)
}
