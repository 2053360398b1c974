package limit

import (
	"errors"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
)

func TestLimiter(t *testing.T) {
	second := func(n int) Rate { return Rate{n, time.Second, n} }
	conn := new(Bucket)
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name   string
		policy Policy
		use    Use
		times  int // that are allowed
		other  Use // is allowed still
	}{
		{"handshakes by address", Policy{Handshakes: second(3)}, Use{Class: Handshake, Address: here}, 3, Use{Class: Handshake, Address: there}},
		{"commands by connection", Policy{Commands: second(10)}, Use{Class: Command, Conn: conn}, 10, Use{Class: Command, Conn: new(Bucket)}},
		{"typing", Policy{Commands: second(10)}, Use{Class: Typing, Conn: new(Bucket)}, 10, Use{}},
		{"subscriptions", Policy{Commands: second(10)}, Use{Class: Subscribe, Conn: new(Bucket)}, 10, Use{}},
		{"history costs more", Policy{Commands: second(10)}, Use{Class: History, Conn: new(Bucket)}, 2, Use{}},
		{"posts are commands", Policy{Commands: second(4)}, Use{Class: Post, User: "1", Room: "1", Conn: new(Bucket)}, 4, Use{Class: Post, User: "1", Room: "1"}},
		{"posts by user", Policy{Posts: second(3)}, Use{Class: Post, User: "1", Room: "1"}, 3, Use{Class: Post, User: "2", Room: "1"}},
		{"posts by room", Policy{RoomPosts: second(3)}, Use{Class: Post, User: "1", Room: "1"}, 3, Use{Class: Post, User: "1", Room: "2"}},
		{"rooms by user", Policy{RoomsMade: Rate{2, time.Hour, 2}}, Use{Class: MakeRoom, User: "1", Room: "1"}, 2, Use{Class: MakeRoom, User: "2", Room: "1"}},
		{"requests by user", Policy{Requests: second(3), Anonymous: second(1)}, Use{Class: Request, User: "1", Address: here}, 3, Use{Class: Request, User: "2", Address: here}},
		{"requests by address", Policy{Requests: second(1), Anonymous: second(3)}, Use{Class: Request, Address: here}, 3, Use{Class: Request, Address: there}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(c.policy)
				for i := range c.times {
					if err := l.Allow(c.use); err != nil {
						t.Fatalf("refused at %d of %d: %v", i+1, c.times, err)
					}
				}
				err := l.Allow(c.use)
				told, ok := errors.AsType[*chat.Error](err)
				if !ok || told.Code != chat.RateLimited || told.RetryAfter <= 0 {
					t.Fatalf("Allow = %v, want rate_limited and when to try again", err)
				}
				if err := l.Allow(c.other); err != nil {
					t.Errorf("another is refused too: %v", err)
				}
				refused := maps.Collect(l.Refused)
				maps.DeleteFunc(refused, func(_ string, n uint64) bool { return n == 0 })
				if want := map[string]uint64{classNames[c.use.Class]: 1}; !maps.Equal(refused, want) {
					t.Errorf("refused is %v, want %v", refused, want)
				}
				time.Sleep(told.RetryAfter)
				if err := l.Allow(c.use); err != nil {
					t.Errorf("refused after the wait that was named: %v", err)
				}
			})
		})
	}
}

func TestNoLimits(t *testing.T) {
	for name, l := range map[string]*Limiter{"nil": nil, "zero policy": New(Policy{})} {
		for range 1000 {
			for class := Handshake; class <= Request; class++ {
				if err := l.Allow(Use{Class: class, Conn: new(Bucket)}); err != nil {
					t.Fatalf("%s: class %d is refused: %v", name, class, err)
				}
			}
			if _, err := l.Sit("1", netip.Addr{}); err != nil {
				t.Fatalf("%s: no seat: %v", name, err)
			}
		}
	}
}

func TestSeats(t *testing.T) {
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	l := New(Policy{UserConns: 2, AddrConns: 3})
	sit := func(user chat.UserID, addr netip.Addr, want bool) Seat {
		t.Helper()
		s, err := l.Sit(user, addr)
		if (err == nil) != want {
			t.Errorf("Sit(%s, %s) = %v, want a seat: %v", user, addr, err, want)
		}
		if told, ok := errors.AsType[*chat.Error](err); err != nil && (!ok || told.Code != chat.TooManyConnections) {
			t.Errorf("Sit(%s, %s) = %v, want too_many_connections", user, addr, err)
		}
		return s
	}
	first := sit("1", here, true)
	sit("1", here, true)
	sit("1", there, false) // of this user
	bob := sit("2", here, true)
	sit("3", here, false) // from this address
	sit("3", there, true)
	l.Leave(first)
	l.Leave(Seat{})
	sit("3", here, true) // the refusal above took nothing of user 3
	l.Leave(bob)
	sit("1", here, true)
	sit("1", here, false)
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:2", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		if got := AddressOf(netip.MustParseAddr(c.a)) == AddressOf(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s are one address: %v, want %v", c.a, c.b, got, c.same)
		}
	}
	if AddressOf(netip.Addr{}) != (Address{}) {
		t.Error("an address that is not known is none of its own")
	}
}

// A place that is refused counts as a connection, whoever has too many.
func TestRefusedPlaces(t *testing.T) {
	here := netip.MustParseAddr("192.0.2.1")
	for name, policy := range map[string]Policy{"user": {UserConns: 1}, "address": {AddrConns: 1}} {
		l := New(policy)
		for range 3 {
			_, _ = l.Sit("1", here) // the first has a place
		}
		if got := maps.Collect(l.Refused); got["connection"] != 2 {
			t.Errorf("by %s: refused is %v, want connection 2", name, got)
		}
	}
}
