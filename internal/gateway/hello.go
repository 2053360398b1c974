package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/peer"
	"tertulia/internal/session"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// arrival is what a handshake says.
type arrival struct {
	session.Hello // Replay is the seed profile's
	who           peer.Peer
	v1            bool
	// late says that the client of v1 has yet to say who it is.
	late bool
	// claims is the user_id of the address, empty if it has none: who comes
	// late must not turn out to be somebody else.
	claims string
	// authID is the request id of the auth with which it has, nil if it was
	// known before.
	authID *string
}

// readHello reads who connects and where to from the address,
// docs/protocol.md §2.1 and §12. The result refers to nothing of the request.
// On an error, a *chat.Error or *session.Refusal, it holds what was
// understood.
func (g *Gateway) readHello(r *http.Request, who peer.Peer) (arrival, error) {
	a := arrival{who: who}
	v1, versionErr := profileOf(r.Header)
	a.v1 = v1
	if !v1 {
		a.History = g.cfg.History
	}
	if err := g.cfg.Origins.Check(r, who); err != nil {
		return a, &session.Refusal{Code: wire.CloseOrigin, Err: err}
	}
	if versionErr != nil {
		return a, versionErr
	}
	if err := readRoom(&a, r); err != nil {
		return a, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, errQuery
	}
	a.Identity, err = g.identify(r, query)
	a.claims = strings.Clone(query.Get("user_id"))
	if a.late = v1 && errors.Is(err, auth.ErrNoCredential); err != nil && !a.late {
		return a, err
	}
	if err := readAfter(&a.Hello, query.Get("after")); err != nil {
		return a, err
	}
	return a, readHistory(&a, query.Get("history"))
}

// profileOf reads which profile a client has chosen, docs/protocol.md §12.1.
func profileOf(h http.Header) (v1 bool, err error) {
	offered := websocket.Protocols(h)
	if slices.Contains(offered, wire.Protocol) {
		return true, nil
	}
	for _, p := range offered {
		if strings.HasPrefix(p, "tertulia.") {
			return false, &session.Refusal{Code: wire.CloseVersion, Err: chat.Errorf(chat.InvalidParameter, "This server speaks the subprotocol %s.", wire.Protocol)}
		}
	}
	return false, nil
}

// readRoom reads the room of the address. In v1 there need be none.
func readRoom(a *arrival, r *http.Request) (err error) {
	id := r.PathValue("room_id")
	switch {
	case !a.v1:
		a.Room, err = chat.ParseRoomID(id)
	case id != "":
		a.Room, err = chat.ParseAnyRoomID(id)
	}
	a.Room = chat.RoomID(strings.Clone(string(a.Room)))
	return err
}

// identify returns who sends the request.
func (g *Gateway) identify(r *http.Request, query url.Values) (session.Identity, error) {
	if g.cfg.Tokens != nil {
		id, err := g.cfg.Tokens.Identify(r)
		return session.Identity(id), err
	}
	user, err := g.cfg.Auth.Identify(query)
	return session.Identity{Principal: chat.Principal{User: user}}, err
}

func readAfter(hello *session.Hello, s string) error {
	if s == "" {
		return nil
	}
	cursor, err := chat.ParseCursor(strings.Clone(s))
	hello.After = &cursor
	return err
}

func readHistory(a *arrival, s string) error {
	switch {
	case s == "":
		return nil
	case s == "events" && !a.v1:
		a.Replay = true
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || !chat.IsCanonicalInteger(s) || n > session.MaxHistory {
		return chat.Errorf(chat.InvalidParameter, "The parameter history is a number from 0 to %d, or events.", session.MaxHistory)
	}
	a.History = n
	return nil
}
