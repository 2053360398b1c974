package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/session"
	"tertulia/wire"
)

// Poll serves POST /api/v1/poll (docs/protocol.md §42). An error says why
// nothing was written, as with [Gateway.Stream].
func (g *Gateway) Poll(w http.ResponseWriter, r *http.Request) error {
	who := g.cfg.Proxies.Of(r)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errQuery
	}
	id, err := g.follower(r, query)
	if err != nil {
		return err
	}
	if err := g.admitRequest(r, who, limit.Use{Class: limit.Request, User: id.User.ID, Address: who.Addr}); err != nil {
		return err
	}
	ask, err := readPoll(w, r)
	if err != nil {
		return err
	}
	ask.Identity = id
	seat, err := g.cfg.Limits.Sit(id.User.ID, who.Addr)
	if err != nil {
		return err
	}
	defer g.cfg.Limits.Leave(seat)
	p := newPoll()
	if !g.begin(p) {
		return errStopping
	}
	defer g.end(p)
	ask.Hurry = p.hurry
	answer, err := g.poll(r, ask)
	if err != nil {
		return err
	}
	answer.RetryAfter = p.after()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(wire.AppendPolled(nil, &answer), '\n')) // who is gone asks again
	return nil
}

// poll calls the session. A panic in there is this request's own trouble.
func (g *Gateway) poll(r *http.Request, ask session.Poll) (answer wire.Polled, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic in a poll", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("poll: panic: %v", p)
		}
	}()
	return g.cfg.Services.Poll(r.Context(), ask)
}

func readPoll(w http.ResponseWriter, r *http.Request) (session.Poll, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxPollBytes))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return session.Poll{}, chat.Errorf(chat.TooLarge, "The body of a poll has at most %d bytes.", wire.MaxPollBytes)
	}
	if err != nil {
		return session.Poll{}, chat.Errorf(chat.InvalidJSON, "The body has not come whole.")
	}
	p, err := wire.DecodePoll(body)
	if err != nil {
		return session.Poll{}, err
	}
	places, err := placesOf(p.Rooms, p.Cursor)
	return session.Poll{Rooms: places, History: p.History, Limit: p.Limit, Wait: p.Wait}, err
}

// poll is one poll that waits.
type poll struct {
	hurry chan struct{} // closed when there is no time left
	back  chan time.Duration
}

func newPoll() *poll { return &poll{hurry: make(chan struct{}), back: make(chan time.Duration, 1)} }

// after returns how long the client is to wait before its next poll.
func (p *poll) after() time.Duration {
	select {
	case after := <-p.back:
		return after
	default:
		return 0
	}
}

func (p *poll) transport() string { return pollTransport }

// sendAway implements [guest].
func (p *poll) sendAway(within time.Duration) {
	select {
	case p.back <- spread(within):
		close(p.hurry)
	default: // it has been told
	}
}

// Abort implements [guest].
func (p *poll) Abort() { p.sendAway(time.Second) }
