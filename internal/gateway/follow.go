package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/peer"
	"tertulia/internal/session"
	"tertulia/wire"
)

// streamRequest is who asks for a stream, and of what.
type streamRequest struct {
	id    session.Identity
	rooms []wire.Subscription
}

var errStopping = &chat.Error{Code: chat.ShuttingDown, Message: "The server is stopping; connect again in a moment.", RetryAfter: time.Second}

// admitRequest decides whether a stream or a poll may begin at all, as admit
// does for handshakes. The error is a *chat.Error.
func (g *Gateway) admitRequest(r *http.Request, who peer.Peer, use limit.Use) error {
	status, why, wait := g.refuse(r, use)
	code := chat.Forbidden
	switch {
	case status == 0:
		return g.cfg.Origins.Check(r, who)
	case status == http.StatusTooManyRequests:
		code = chat.RateLimited
	case g.draining.Load():
		return errStopping
	case status == http.StatusServiceUnavailable:
		code = chat.TooManyConnections
	}
	return &chat.Error{Code: code, Message: why, RetryAfter: wait}
}

// readStreamRequest reads the parameters of a stream, docs/protocol.md §41.1.
// The result refers to nothing of r. The error is a *chat.Error.
func (g *Gateway) readStreamRequest(r *http.Request) (ask streamRequest, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ask, errQuery
	}
	if ask.id, err = g.follower(r, query); err != nil {
		return ask, err
	}
	cursor, err := streamCursor(r, query)
	if err != nil {
		return ask, err
	}
	places, err := placesOf(namesIn(query), cursor)
	if err != nil {
		return ask, err
	}
	history, presence, err := streamOptions(query)
	for _, p := range places {
		ask.rooms = append(ask.rooms, wire.Subscription{Room: p.Room, After: p.After, History: history, Presence: presence})
	}
	return ask, err
}

var errQuery = chat.Errorf(chat.InvalidParameter, "The parameters behind ? are not well-formed; percent-encode them.")

// follower says who asks for a stream or a poll: a user.
func (g *Gateway) follower(r *http.Request, query url.Values) (session.Identity, error) {
	id, err := g.identify(r, query)
	switch {
	case err != nil && chat.AsError(err).Code == chat.MissingParameter: // in open mode
		err = chat.Errorf(chat.Unauthenticated, "Say who is asking, with ?user_id=…&username=… in the URL.")
	case err == nil && id.User.ID == "":
		err = chat.Errorf(chat.Forbidden, "What is followed is followed for a user: name the one that the service acts for.")
	}
	return id, err
}

// namesIn returns the rooms that a query names, by room and by rooms.
func namesIn(query url.Values) []string {
	names := query["room"]
	for _, list := range query["rooms"] {
		if list != "" {
			names = append(names, strings.Split(list, ",")...)
		}
	}
	return names
}

// streamCursor returns where the client has stopped: what its browser says
// after a cut counts more than what the page said at first.
func streamCursor(r *http.Request, query url.Values) (string, error) {
	cursor, after := query.Get("cursor"), query.Get("after")
	switch last := r.Header.Get("Last-Event-ID"); {
	case last != "":
		return last, nil
	case cursor != "" && after != "":
		return "", chat.Errorf(chat.InvalidParameter, "Give one of cursor and after.")
	case cursor != "":
		return cursor, nil
	case after != "" && !strings.Contains(after, ":"):
		return "", chat.Errorf(chat.CursorInvalid, "The parameter after is a cursor of one room, epoch:seq:tag; one of several is given as cursor.")
	}
	return after, nil
}

// streamOptions reads history and presence.
func streamOptions(query url.Values) (history int, presence wire.PresenceMode, err error) {
	if s := query.Get("history"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || !chat.IsCanonicalInteger(s) || n > wire.MaxHistory {
			return 0, 0, chat.Errorf(chat.InvalidParameter, "The parameter history is a number from 0 to %d.", wire.MaxHistory)
		}
		history = n
	}
	presence, ok := map[string]wire.PresenceMode{
		"": wire.PresenceCount, "count": wire.PresenceCount, "none": wire.PresenceNone, "list": wire.PresenceList,
	}[query.Get("presence")]
	if !ok {
		return 0, 0, chat.Errorf(chat.InvalidParameter, "The parameter presence is none, count or list.")
	}
	return history, presence, nil
}
