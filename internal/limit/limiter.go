package limit

import (
	"net/netip"
	"time"

	"tertulia/chat"
	"tertulia/internal/count"
)

// Policy is the limits of a node. The zero value of each is no limit.
type Policy struct {
	Handshakes Rate // by address
	Commands   Rate // by connection, posts among them
	Posts      Rate // by user
	RoomPosts  Rate // by room
	RoomsMade  Rate // by user
	Requests   Rate // of REST, by user
	Anonymous  Rate // requests of REST by nobody known, by address
	UserConns  int  // connections of a user at one time
	AddrConns  int  // connections from an address at one time
}

// Limiter holds what has been done against a [Policy]. Its methods may be
// called from any goroutine. A nil Limiter sets no limits.
type Limiter struct {
	policy     Policy
	handshakes *Buckets[Address]
	posts      *Buckets[chat.UserID]
	roomPosts  *Buckets[chat.RoomID]
	roomsMade  *Buckets[chat.UserID]
	requests   *Buckets[chat.UserID]
	anonymous  *Buckets[Address]
	userConns  *Places[chat.UserID]
	addrConns  *Places[Address]

	refused [classes]count.Counter
	seats   count.Counter // refused
}

// New makes a limiter that has seen nothing yet.
func New(p Policy) *Limiter {
	return &Limiter{
		policy:     p,
		handshakes: NewBuckets[Address](p.Handshakes),
		posts:      NewBuckets[chat.UserID](p.Posts),
		roomPosts:  NewBuckets[chat.RoomID](p.RoomPosts),
		roomsMade:  NewBuckets[chat.UserID](p.RoomsMade),
		requests:   NewBuckets[chat.UserID](p.Requests),
		anonymous:  NewBuckets[Address](p.Anonymous),
		userConns:  NewPlaces[chat.UserID](p.UserConns),
		addrConns:  NewPlaces[Address](p.AddrConns),
	}
}

// Class is a kind of thing that is limited.
type Class uint8

// The classes, and the fields of [Use] that each is counted by. Those of a
// connection count against one rate.
const (
	Handshake Class = iota // Address
	Command                // Conn: what no other class names
	Typing                 // Conn
	Subscribe              // Conn
	History                // Conn, as much as historyCost commands
	Post                   // Conn, User and Room
	MakeRoom               // Conn and User
	Request                // User, or Address while User is empty
	classes
)

var classNames = [classes]string{"handshake", "command", "typing", "subscribe", "history", "post", "make_room", "request"}

// historyCost is what reading a page of the past counts for: it is the only
// command that makes the server read, up to 200 messages.
const historyCost = 5

// Use is one thing that somebody wants to do.
type Use struct {
	Class   Class
	User    chat.UserID
	Address netip.Addr
	Room    chat.RoomID
	// Conn belongs to the connection, whose reader alone uses it. Nil is none:
	// a post by REST counts against its user and room.
	Conn *Bucket
}

// Allow counts a use. It returns nil, or a *chat.Error with code
// chat.RateLimited that says when to try again; what is refused by one limit
// has still been counted by those that let it pass.
func (l *Limiter) Allow(u Use) error {
	if l == nil {
		return nil
	}
	err := l.allow(u)
	if err != nil {
		l.refused[u.Class].Inc()
	}
	return err
}

// Refused yields how often was refused what there is a limit on, since the
// limiter began: each class, and connection, a place that was asked for with
// [Limiter.Sit].
func (l *Limiter) Refused(yield func(class string, n uint64) bool) {
	for i, name := range classNames {
		if !yield(name, l.refused[i].Value()) {
			return
		}
	}
	yield("connection", l.seats.Value())
}

func (l *Limiter) allow(u Use) error {
	if u.Conn != nil {
		if ok, wait := u.Conn.Allow(l.policy.Commands, u.Class.cost()); !ok {
			return tooOften(wait, "This connection sends commands faster than the server allows")
		}
	}
	switch u.Class {
	case Handshake:
		if ok, wait := l.handshakes.Allow(AddressOf(u.Address), 1); !ok {
			return tooOften(wait, "This address connects more often than the server allows")
		}
	case Post:
		return l.allowPost(u)
	case MakeRoom:
		if ok, wait := l.roomsMade.Allow(u.User, 1); !ok {
			return tooOften(wait, "You make rooms faster than the server allows")
		}
	case Request:
		return l.allowRequest(u)
	}
	return nil
}

func (c Class) cost() int {
	if c == History {
		return historyCost
	}
	return 1
}

func (l *Limiter) allowPost(u Use) error {
	if ok, wait := l.posts.Allow(u.User, 1); !ok {
		return tooOften(wait, "You post faster than the server allows")
	}
	if ok, wait := l.roomPosts.Allow(u.Room, 1); !ok {
		return tooOften(wait, "More is posted in this room than the server allows")
	}
	return nil
}

func (l *Limiter) allowRequest(u Use) error {
	if u.User != "" {
		if ok, wait := l.requests.Allow(u.User, 1); !ok {
			return tooOften(wait, "You send requests faster than the server allows")
		}
		return nil
	}
	if ok, wait := l.anonymous.Allow(AddressOf(u.Address), 1); !ok {
		return tooOften(wait, "This address sends requests faster than the server allows")
	}
	return nil
}

func tooOften(wait time.Duration, what string) error {
	e := chat.Errorf(chat.RateLimited, "%s; try again in %v.", what, max(wait.Round(time.Millisecond), time.Millisecond))
	e.RetryAfter = wait
	return e
}

// Seat is a connection's place among those of its user and its address.
type Seat struct{ user, addr Place }

// Sit takes a seat for a connection; the caller leaves it. The error is a
// *chat.Error with code chat.TooManyConnections, and no seat is taken then.
func (l *Limiter) Sit(user chat.UserID, addr netip.Addr) (Seat, error) {
	if l == nil {
		return Seat{}, nil
	}
	var s Seat
	var ok bool
	if s.user, ok = l.userConns.Take(user); !ok {
		l.seats.Inc()
		return Seat{}, chat.Errorf(chat.TooManyConnections, "You have %d connections, which is all that one user may have; close one first.", l.policy.UserConns)
	}
	if s.addr, ok = l.addrConns.Take(AddressOf(addr)); !ok {
		l.userConns.GiveBack(s.user)
		l.seats.Inc()
		return Seat{}, chat.Errorf(chat.TooManyConnections, "There are %d connections from this address, which is all that one may have; close one first.", l.policy.AddrConns)
	}
	return s, nil
}

// Leave gives a seat back. It is called once for each; the zero Seat is none.
func (l *Limiter) Leave(s Seat) {
	if l != nil {
		l.userConns.GiveBack(s.user)
		l.addrConns.GiveBack(s.addr)
	}
}

// Address is what counts as one client's address: an IPv4 address, or the /64
// that a network of IPv6 has for itself at the least.
type Address [16]byte

// AddressOf returns what addr counts as. Addresses that are not known are one.
func AddressOf(addr netip.Addr) Address {
	if !addr.IsValid() {
		return Address{}
	}
	a := addr.As16()
	if !addr.Unmap().Is4() {
		clear(a[8:])
	}
	return a
}
