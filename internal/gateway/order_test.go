package gateway

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"tertulia/chat"
	goclient "tertulia/client"
	"tertulia/internal/store"
)

// flaky is a store that fails for a moment: two batches are not stored, and of
// two it is not known.
type flaky struct {
	store.Store
	calls atomic.Int64
}

func (s *flaky) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	switch s.calls.Add(1) {
	case 10, 11:
		return nil, fmt.Errorf("this call: %w", store.ErrUnavailable)
	case 30, 31:
		if _, err := s.Store.Append(ctx, batch); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("this call: %w", store.ErrUnknown)
	}
	return s.Store.Append(ctx, batch)
}

// docs/protocol.md §6.2 and §6.3: whatever the store refuses for a moment, the
// Go client's posts are stored in the order in which they were made, each once.
func TestClientKeepsItsOrderOverAStoreThatFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := newNodeOn(t, below{store: func(s store.Store) store.Store { return &flaky{Store: s} }}, l)
	defer n.close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := goclient.Dial(ctx, "ws://"+l.Addr().String(), goclient.WithUser(chat.User{ID: "1", Name: "Ana"}), goclient.WithBackoff(time.Millisecond, 2*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const posts = 100
	r := c.Room("1")
	var pending []*goclient.Outgoing
	for i := range posts {
		pending = append(pending, r.Post(fmt.Sprint("post ", i+1)))
	}
	for i, o := range pending {
		sent, err := o.Wait(ctx)
		if err != nil || sent.Seq != uint64(i+1) {
			t.Fatalf("post %d: stored as %d, %v, want its own place", i+1, sent.Seq, err)
		}
	}
	page, err := n.store.After(ctx, "1", 0, store.Limit{Events: 2 * posts, Bytes: 1 << 20})
	if err != nil || len(page.Events) != posts {
		t.Fatalf("the log has %d events, %v, want %d", len(page.Events), err, posts)
	}
	for i, e := range page.Events {
		if want := string(chat.MessageBody(fmt.Sprint("post ", i+1))); string(e.Body) != want {
			t.Errorf("event %d is %s, want %s", e.Seq, e.Body, want)
		}
	}
}
