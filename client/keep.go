package client

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"tertulia/chat"
)

// keepInterval is how long a moved cursor or a settled post may wait to be
// saved. Losing that much repeats events after a crash, and sends posts again
// that the server recognizes by their nonce. New posts are saved at once.
const keepInterval = 200 * time.Millisecond

// snapshot is what the Store shall have, and the posts that it has then.
func (p *protocol) snapshot() (Kept, []*Outgoing) {
	k := Kept{Cursors: map[chat.RoomID]chat.Cursor{}, Posts: p.left}
	for room, c := range p.kept.Cursors {
		k.Cursors[room] = c
	}
	for room, s := range p.rooms {
		if s.taken.Epoch != "" {
			k.Cursors[room] = s.taken
		}
	}
	if p.status.State == Closed {
		return k, nil
	}
	k.Posts = p.keptPosts()
	var fresh []*Outgoing
	for _, o := range p.outbox {
		if !o.kept {
			fresh = append(fresh, o)
		}
	}
	return k, fresh
}

func (p *protocol) keptPosts() []KeptPost {
	var all []KeptPost
	for _, o := range p.outbox {
		all = append(all, KeptPost{Room: o.room, Kind: string(o.kind), Nonce: o.nonce, Text: o.text, MessageID: o.target,
			IfChanged: o.ifChanged, ExpiresAt: o.expiresAt, Unknown: o.mayBeStored()})
	}
	return all
}

// restore puts the posts that the Store had into the outbox.
func (c *Client) restore(posts []KeptPost) {
	for _, k := range posts {
		c.p.outbox = append(c.p.outbox, &Outgoing{client: c, room: k.Room, kind: outgoingKind(k.Kind), text: k.Text, target: k.MessageID,
			ifChanged: k.IfChanged, nonce: k.Nonce, expiresAt: k.ExpiresAt, kept: true, unknown: k.Unknown, done: make(chan struct{})})
	}
}

// keeper saves the client's state. Its goroutine saves what changes; after
// the client's end, save does it in the caller's.
type keeper struct {
	client *Client
	store  Store
	wake   chan struct{} // a new post wants to be saved now

	mu sync.Mutex // held while saving
}

// run saves until the client has ended.
func (k *keeper) run() {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-k.wake:
		case <-tick.C:
		case <-k.client.stopping:
			return
		}
		k.save()
	}
}

// save saves what has changed. A post that cannot be kept fails.
func (k *keeper) save() {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.client
	c.mu.Lock()
	dirty := c.p.dirty
	c.p.dirty = false
	var kept Kept
	var fresh []*Outgoing
	if dirty {
		kept, fresh = c.p.snapshot()
	}
	c.mu.Unlock()
	if !dirty {
		return
	}
	err := k.store.Save(kept)
	if err != nil {
		c.opt.logger.Error("the client's state is not kept", "error", err)
	}
	c.do(func(time.Time) { c.p.saved(fresh, err) })
}

// errNotKept is a post that the Store could not take.
var errNotKept = errors.New("the post could not be kept")

// saved reports the end of a Save with these new posts.
func (p *protocol) saved(fresh []*Outgoing, err error) {
	p.dirty = p.dirty || err != nil && p.status.State != Closed
	for _, o := range fresh {
		if err != nil {
			p.withdraw(o, fmt.Errorf("%w: %w", errNotKept, err))
		}
		o.kept = true
	}
}
