package client

import (
	"context"
	"time"

	"tertulia/chat"
)

// Sent is the acknowledgement of a post: the message is stored.
type Sent struct {
	// ID is the message's.
	ID int64
	// Seq is the place in the room's log: the message's, or that of the edit
	// or deletion.
	Seq uint64
	// At is when a message was stored; zero for edits and deletions.
	At time.Time
	// Nonce is the post's.
	Nonce chat.Nonce
	// Duplicate reports that an earlier try had already stored it.
	Duplicate bool
}

// PostState is how far a post has come.
type PostState uint8

// The states of a post. Pending becomes one of the others; [Outgoing.Retry]
// makes a failed one pending again.
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

// outgoingKind is what is on its way.
type outgoingKind string

const (
	kindPost   outgoingKind = "post"
	kindEdit   outgoingKind = "edit"
	kindDelete outgoingKind = "delete"
)

// command is the type of the command on the wire.
func (k outgoingKind) command() string {
	if k == kindPost {
		return "message"
	}
	return string(k)
}

// Outgoing is the handle of a post, an edit or a deletion. Its methods may be
// called from any goroutine.
type Outgoing struct {
	// Fixed after construction.
	client    *Client
	room      chat.RoomID
	kind      outgoingKind
	text      string // content, or the reason of a deletion
	target    int64  // the message that is edited or deleted
	ifChanged *uint64
	nonce     chat.Nonce

	// Owned by the protocol.
	expiresAt time.Time // zero is never
	kept      bool      // the Store has it, or there is none
	inFlight  bool      // written on the present connection, not answered
	unknown   bool      // an earlier try may have stored it
	refusals  int       // retryable ones
	notBefore time.Time // a retryable refusal asked to wait
	settled   bool
	done      chan struct{} // closed when settled
	sent      Sent
	err       error
}

// Room returns the room it is for.
func (o *Outgoing) Room() chat.RoomID { return o.room }

// Text returns what was posted.
func (o *Outgoing) Text() string { return o.text }

// Nonce returns the post's nonce, which everybody's copy of the message carries.
func (o *Outgoing) Nonce() chat.Nonce { return o.nonce }

// Done returns a channel that is closed when the post is no longer pending.
// After [Outgoing.Retry] it is another one.
func (o *Outgoing) Done() <-chan struct{} {
	o.client.mu.Lock()
	defer o.client.mu.Unlock()
	return o.done
}

// State returns how far the post has come.
func (o *Outgoing) State() PostState {
	o.client.mu.Lock()
	defer o.client.mu.Unlock()
	switch {
	case !o.settled:
		return PostPending
	case o.err != nil:
		return PostFailed
	}
	return PostSent
}

// Result returns the acknowledgement, or why the post failed. Both are zero
// while it is pending.
func (o *Outgoing) Result() (Sent, error) {
	o.client.mu.Lock()
	defer o.client.mu.Unlock()
	return o.sent, o.err
}

// Wait waits until the post is no longer pending, and returns what
// [Outgoing.Result] does then. If ctx ends first the post stays pending.
func (o *Outgoing) Wait(ctx context.Context) (Sent, error) {
	select {
	case <-o.Done():
		return o.Result()
	case <-ctx.Done():
		return Sent{}, context.Cause(ctx)
	}
}

// Retry makes a failed post pending again, behind what was posted meanwhile.
// Its nonce stays, so that it is never stored twice. It does nothing for a post
// that has not failed.
func (o *Outgoing) Retry() {
	o.client.do(func(now time.Time) {
		if o.settled && o.err != nil {
			o.settled, o.err, o.done, o.refusals = false, nil, make(chan struct{}), 0
			o.client.p.post(now, o)
		}
	})
}

// Cancel takes a post back that was not written yet: it fails with
// [ErrCanceled]. It reports false, and does nothing, if it is too late.
func (o *Outgoing) Cancel() (canceled bool) {
	o.client.do(func(time.Time) {
		canceled = !o.mayBeStored() && o.client.p.withdraw(o, ErrCanceled)
	})
	return canceled
}

func (o *Outgoing) mayBeStored() bool { return o.inFlight || o.unknown }

func (o *Outgoing) finish(sent Sent, err error) {
	o.sent, o.err, o.settled = sent, err, true
	close(o.done)
}
