package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"tertulia/chat"
)

// Options says where a room is and who comes. URL, Room and User are
// required; the zero value of everything else is a good default.
type Options struct {
	// URL is the server's address: scheme ws, wss, http or https, a host, and
	// a path if the server is mounted below one.
	URL  string
	Room chat.RoomID
	User chat.User

	// Cursor is the last event that the program has taken, to continue after
	// it. The zero value begins with the room's recent history.
	Cursor chat.Cursor
	// History is how many messages of the past to ask for when there is no
	// cursor to continue; 0 is the server's default, negative is none.
	History int

	// Outbox bounds the posts that wait for an acknowledgement; 0 is 100.
	Outbox int
	// PostTimeout is how long a post may wait for its acknowledgement,
	// connections lost meanwhile included; 0 is 10 minutes, negative is
	// for ever.
	PostTimeout time.Duration
	// Pipeline is how many posts may be on their way at once; 0 is 1. With 1,
	// the order of posts holds even if the server refuses one for the moment.
	// With more, such a post (rate_limited) may end up after those that were
	// already on their way behind it.
	Pipeline int

	// Buffer bounds the events that wait for [Room.Events]; 0 is 256. It may
	// be exceeded by one, and by what one frame brings.
	Buffer int
	// SendOnly discards every event, for programs that only post.
	SendOnly bool

	// TLS configures wss and https; nil is the default configuration.
	TLS *tls.Config
	// DialContext makes the network connection; nil is a [net.Dialer].
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Trace is shown the payload of every text frame, in both directions. It
	// may be called from two goroutines at once and must not keep the slice.
	Trace func(dir Direction, frame []byte)
}

// Direction says which way a traced frame went.
type Direction bool

// The directions.
const (
	Received Direction = false
	Posted   Direction = true
)

const (
	defaultOutbox      = 100
	defaultPostTimeout = 10 * time.Minute
	defaultPipeline    = 1
	defaultBuffer      = 256
)

// checked returns o with its defaults filled in, and its URL parsed with
// scheme ws or wss.
func (o Options) checked() (Options, *url.URL, error) {
	base, err := parseBase(o.URL)
	if err != nil {
		return o, nil, err
	}
	if _, err := chat.ParseRoomID(string(o.Room)); err != nil {
		return o, nil, err
	}
	if _, err := chat.ParseUser(string(o.User.ID), o.User.Name); err != nil {
		return o, nil, err
	}
	if o.Cursor != (chat.Cursor{}) {
		if _, err := chat.ParseCursor(o.Cursor.String()); err != nil {
			return o, nil, err
		}
	}
	for _, n := range []struct {
		name  string
		value *int
		def   int
	}{
		{"Outbox", &o.Outbox, defaultOutbox},
		{"Pipeline", &o.Pipeline, defaultPipeline},
		{"Buffer", &o.Buffer, defaultBuffer},
	} {
		if *n.value < 0 {
			return o, nil, fmt.Errorf("option %s is negative", n.name)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.PostTimeout == 0 {
		o.PostTimeout = defaultPostTimeout
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	return o, base, nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("server address %q does not begin with ws://, wss://, http:// or https://", s)
	}
	switch {
	case u.Hostname() == "":
		return nil, fmt.Errorf("server address %q has no host", s)
	case u.User != nil:
		return nil, errors.New("server address holds a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("server address %q goes on after its path", s)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, nil
}
