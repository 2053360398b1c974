package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/auth"
	"tertulia/internal/config"
)

const tokenSecret = "a secret of thirty-two bytes and more"

func tokenNode(t testing.TB) *node {
	return newNode(t, func(c *config.Config) {
		c.Auth.Mode, c.Auth.HS256Secret = config.AuthToken, tokenSecret
	})
}

// token is one that the server takes for a life, and up to a second more.
func token(t testing.TB, user chat.User, life time.Duration) string {
	t.Helper()
	issuedAt := time.Now().Add(life - auth.Leeway)
	text, err := auth.Sign([]byte(tokenSecret), auth.Grant{User: user, IssuedAt: issuedAt, Lifetime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bearer is a client that lives on short tokens, and what it has seen.
type bearer struct {
	t      *testing.T
	client *client.Client

	mu     sync.Mutex
	asked  int
	online int      // times that it came online
	seqs   []uint64 // of the messages
	errs   []error  // of renewals that failed
	until  []time.Time
	ended  error
	done   chan struct{} // closed when its events have ended
}

// bear opens a client whose source is called with the number of the call, from 1.
func bear(t *testing.T, n *node, source func(ctx context.Context, call int) (string, error)) *bearer {
	t.Helper()
	b := &bearer{t: t, done: make(chan struct{})}
	trace := func(_ client.Direction, frame []byte) {
		if bytes.Contains(frame, []byte(`"token"`)) {
			t.Errorf("the trace shows a credential: %s", frame)
		}
	}
	c, err := client.Dial(within(t), n.url(), client.WithLongestWaits(), client.WithBackoff(time.Millisecond, 10*time.Millisecond), client.WithTrace(trace),
		client.WithToken(func(ctx context.Context) (string, error) {
			b.mu.Lock()
			b.asked++
			call := b.asked
			b.mu.Unlock()
			return source(ctx, call)
		}))
	if err != nil {
		t.Fatal(err)
	}
	b.client, b.online = c, 1
	if err := c.Room("1").Subscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	go b.listen()
	t.Cleanup(func() { c.Close(); <-b.done })
	return b
}

func (b *bearer) listen() {
	defer close(b.done)
	for e, err := range b.client.Room("1").Events(context.Background()) {
		b.mu.Lock()
		switch e := e.(type) {
		case client.Message:
			b.seqs = append(b.seqs, e.Seq)
		case client.ConnectionState:
			if e.State == client.Online {
				b.online++
			}
		case client.Renewal:
			if e.Err != nil {
				b.errs = append(b.errs, e.Err)
			} else {
				b.until = append(b.until, e.ExpiresAt)
			}
		}
		b.ended = err
		b.mu.Unlock()
	}
}

// when waits until the bearer has come to something.
func (b *bearer) when(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		reached := ok()
		b.mu.Unlock()
		if reached {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("it never came to this: %s", what)
		}
	}
}

// wantAll waits for the message with the last seq and wants each before once.
func (b *bearer) wantAll(name string, last uint64) {
	b.t.Helper()
	b.when(name+" has all messages", func() bool { return len(b.seqs) >= int(last) })
	for i, seq := range b.seqs {
		if seq != uint64(i+1) {
			b.t.Fatalf("%s: message %d has seq %d", name, i+1, seq)
		}
	}
}

// Five clients live on tokens that end while they are connected, in a room in
// which something is said all the time. They are tested together because they
// wait for the same seconds.
func TestShortTokens(t *testing.T) {
	n := tokenNode(t)
	steady := bear(t, n, func(context.Context, int) (string, error) { return token(t, juan, 8*time.Second), nil })
	failing := bear(t, n, func(_ context.Context, call int) (string, error) {
		if call == 2 {
			return "", errors.New("no luck")
		}
		return token(t, juan, 10*time.Second), nil
	})
	foreign := bear(t, n, func(_ context.Context, call int) (string, error) {
		if call == 2 {
			return token(t, bob, 10*time.Second), nil
		}
		return token(t, juan, 10*time.Second), nil
	})
	hanging := bear(t, n, func(ctx context.Context, call int) (string, error) {
		if call == 2 {
			<-ctx.Done()
			return "", ctx.Err()
		}
		return token(t, juan, 8*time.Second), nil
	})
	expired := bear(t, n, func(_ context.Context, call int) (string, error) {
		if call > 1 {
			return token(t, juan, -time.Minute), nil
		}
		return token(t, juan, 8*time.Second), nil
	})
	said := speak(t, n)

	steady.when("three renewals", func() bool { return len(steady.until) >= 3 }) // 12 s at least, longer than a life
	for name, b := range map[string]*bearer{"failing": failing, "foreign": foreign} {
		b.when(name+" has another token", func() bool { return len(b.until) >= 1 })
	}
	hanging.when("a second connection and a renewal on it", func() bool { return hanging.online >= 2 && len(hanging.until) >= 1 })
	<-expired.done
	last := said()

	for name, b := range map[string]*bearer{"steady": steady, "failing": failing, "foreign": foreign} {
		b.wantAll(name, last)
		if b.online != 1 {
			t.Errorf("%s was online %d times, want once", name, b.online)
		}
		if got, want := b.client.Session().ExpiresAt, b.until[len(b.until)-1]; got.Before(want) {
			t.Errorf("%s: the session ends at %v, and the last renewal said %v", name, got, want)
		}
	}
	hanging.wantAll("hanging", last)
	if len(steady.errs) > 0 {
		t.Errorf("steady: renewals failed with %v", steady.errs)
	}
	if len(failing.errs) != 1 || failing.errs[0].Error() != "get a token: no luck" {
		t.Errorf("failing: renewals failed with %v, want no luck", failing.errs)
	}
	if len(foreign.errs) != 1 || !hasCode(foreign.errs[0], chat.Forbidden) {
		t.Errorf("foreign: renewals failed with %v, want forbidden", foreign.errs)
	}
	if len(expired.errs) == 0 || !hasCode(expired.errs[0], chat.TokenExpired) {
		t.Errorf("expired: renewals failed with %v, want token_expired", expired.errs)
	}
	if r, ok := errors.AsType[*client.RefusedError](expired.ended); !ok || r.Code != 4003 || !hasCode(r, chat.TokenExpired) {
		t.Errorf("expired ended with %v, want 4003 and token_expired", expired.ended)
	}
}

// speak has bob say something ten times a second; stop ends that and returns
// the seq of the last message.
func speak(t *testing.T, n *node) (stop func() uint64) {
	c, err := client.Dial(within(t), n.url(), client.WithToken(func(context.Context) (string, error) { return token(t, bob, time.Minute-time.Second), nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ending, ended := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var last client.Sent
		defer func() { ended <- last.Seq }()
		for i := 0; ; i++ {
			select {
			case <-ending:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if last, err = c.Room("1").Send(context.Background(), fmt.Sprint(i)); err != nil {
				t.Errorf("send: %v", err)
				return
			}
		}
	}()
	stop = sync.OnceValue(func() uint64 { close(ending); return <-ended })
	t.Cleanup(func() { stop() })
	return stop
}
