package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tertulia/chat"
	"tertulia/internal/peer"
	"tertulia/internal/session"
)

// readHello reads who connects and where to from the address,
// docs/protocol.md §2.1. The result refers to nothing of the request. On an
// error, a *chat.Error, it holds what was understood.
func (g *Gateway) readHello(r *http.Request, who peer.Peer) (session.Hello, error) {
	hello := session.Hello{History: g.cfg.History}
	if err := g.cfg.Origins.Check(r, who); err != nil {
		return hello, err
	}
	room, err := chat.ParseRoomID(r.PathValue("room_id"))
	if err != nil {
		return hello, err
	}
	hello.Room = chat.RoomID(strings.Clone(string(room)))
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return hello, chat.Errorf(chat.InvalidParameter, "The parameters behind ? are not well-formed; percent-encode them.")
	}
	if hello.User, err = g.cfg.Auth.Identify(query); err != nil {
		return hello, err
	}
	if err := readAfter(&hello, query.Get("after")); err != nil {
		return hello, err
	}
	return hello, readHistory(&hello, query.Get("history"))
}

func readAfter(hello *session.Hello, s string) error {
	if s == "" {
		return nil
	}
	cursor, err := chat.ParseCursor(strings.Clone(s))
	hello.After = &cursor
	return err
}

func readHistory(hello *session.Hello, s string) error {
	switch s {
	case "":
		return nil
	case "events":
		hello.Replay = true
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || !chat.IsCanonicalInteger(s) || n > session.MaxHistory {
		return chat.Errorf(chat.InvalidParameter, "The parameter history is a number from 0 to %d, or events.", session.MaxHistory)
	}
	hello.History = n
	return nil
}
