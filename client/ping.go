package client

import (
	"slices"
	"strconv"
	"time"

	"tertulia/internal/websocket"
)

// pinging is one call of [Room.Ping].
type pinging struct {
	id      string
	written bool
	sentAt  time.Time
	// done is closed when rtt and err are set.
	done chan struct{}
	rtt  time.Duration
	err  error
}

// ping asks for a round trip; done is closed at its end.
func (p *protocol) ping() *pinging {
	p.lastPing++
	g := &pinging{id: "p" + strconv.FormatUint(p.lastPing, 10), done: make(chan struct{})}
	if p.status.State != Online {
		g.finish(0, ErrOffline)
		return g
	}
	p.pings = append(p.pings, g)
	return g
}

func (p *protocol) appendPings(out []outFrame, now time.Time) []outFrame {
	for _, g := range p.pings {
		if !g.written {
			g.written, g.sentAt = true, now
			out = append(out, outFrame{websocket.Text, appendSeedPing(nil, g.id)})
		}
	}
	return out
}

// ponged ends the ping with this id, or the oldest if the server does not say
// which it answers.
func (p *protocol) ponged(now time.Time, id string) {
	for _, g := range p.pings {
		if g.written && (g.id == id || id == "") {
			p.endPing(g, now.Sub(g.sentAt), nil)
			return
		}
	}
}

// pingFailed gives an error to the ping that it answers, if there is one.
func (p *protocol) pingFailed(id string, err error) bool {
	for _, g := range p.pings {
		if g.id == id {
			p.endPing(g, 0, err)
			return true
		}
	}
	return false
}

func (p *protocol) failPings(err error) {
	for len(p.pings) > 0 {
		p.endPing(p.pings[0], 0, err)
	}
}

// endPing ends g if it is still waited for.
func (p *protocol) endPing(g *pinging, rtt time.Duration, err error) {
	i := slices.Index(p.pings, g)
	if i < 0 {
		return
	}
	p.pings = slices.Delete(p.pings, i, i+1)
	g.finish(rtt, err)
}

func (g *pinging) finish(rtt time.Duration, err error) {
	g.rtt, g.err = rtt, err
	close(g.done)
}
