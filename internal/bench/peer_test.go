//go:build linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tertulia/internal/websocket"
)

// peer is a small server of the protocol, which keeps its messages in memory.
// With a fault it misbehaves at the tenth message of a room.
type peer struct {
	fault func(r *peerRoom, from *peerConn)

	mu       sync.Mutex
	rooms    map[string]*peerRoom
	posted   int
	connects int
}

type peerRoom struct {
	name  string
	seq   int
	conns []*peerConn
}

type peerConn struct {
	net.Conn
	left bool
}

const faultAt = 10

func startPeer(t *testing.T, fault func(*peerRoom, *peerConn)) (*peer, Target) {
	t.Helper()
	p := &peer{fault: fault, rooms: make(map[string]*peerRoom)}
	var serving sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, err := websocket.Upgrade(w, r, "tertulia.v1")
		if err != nil {
			return
		}
		c := &peerConn{Conn: up.Conn}
		history := r.URL.Query().Get("history")
		name, v1 := strings.TrimPrefix(r.URL.Path, "/ws/"), r.URL.Path == "/ws"
		serving.Go(func() { p.serve(c, up.Early, name, history, v1) })
	}))
	t.Cleanup(func() {
		s.Close()
		p.mu.Lock()
		for _, r := range p.rooms {
			for _, c := range r.conns {
				c.Close()
			}
		}
		p.mu.Unlock()
		serving.Wait()
	})
	addr := netip.MustParseAddrPort(s.Listener.Addr().String())
	return p, Target{Addr: addr, PID: os.Getpid()}
}

func (p *peer) serve(c *peerConn, early []byte, name, history string, v1 bool) {
	defer c.Close()
	var room *peerRoom
	if v1 {
		c.event(`{"type":"hello","data":{}}`)
		p.mu.Lock()
		p.connects++
		p.mu.Unlock()
	} else {
		room = p.join(c, name, history)
		defer p.leave(room, c)
	}
	in := websocket.NewReader(c, early, websocket.Server, websocket.Limits{})
	for {
		m, err := in.Next()
		if err != nil || m.Op == websocket.Close {
			return
		}
		if m.Op == websocket.Text {
			to := room
			if v1 {
				to = p.named(m.Payload)
			}
			p.message(to, c)
		}
	}
}

// named returns the room that a command names; somebody is in it.
func (p *peer) named(command []byte) *peerRoom {
	_, rest, _ := bytes.Cut(command, []byte(`"room":"`))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rooms[string(name)]
}

func (p *peer) join(c *peerConn, name, history string) *peerRoom {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connects++
	room := p.rooms[name]
	if room == nil {
		room = &peerRoom{name: name}
		p.rooms[name] = room
	}
	limit, err := strconv.Atoi(history)
	if err != nil {
		panic(err)
	}
	items := new(bytes.Buffer)
	for seq := max(room.seq-limit, 0) + 1; seq <= room.seq; seq++ {
		if items.Len() > 0 {
			items.WriteByte(',')
		}
		fmt.Fprintf(items, `{"seq":%d,"id":%d,"content":"x","created_at":"2026-11-23T19:00:00.000Z"}`, seq, seq)
	}
	room.conns = append(room.conns, c)
	c.event(`{"type":"connected","room":"%s","data":{"head":%d,"history":[%s]}}`, name, room.seq, items)
	return room
}

// counts returns the posts and the connects so far.
func (p *peer) counts() (posted, connects int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.posted, p.connects
}

func (p *peer) leave(room *peerRoom, c *peerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range room.conns {
		if room.conns[i] == c {
			room.conns = append(room.conns[:i], room.conns[i+1:]...)
			return
		}
	}
}

func (p *peer) message(room *peerRoom, from *peerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.posted++
	room.seq++
	if room.seq == faultAt && p.fault != nil {
		p.fault(room, from)
		return
	}
	room.ack(from)
	room.deliver(room.seq)
}

func (r *peerRoom) ack(from *peerConn) {
	from.event(`{"type":"message_sent","message_id":%d,"room":"%s","data":{"seq":%d}}`, r.seq, r.name, r.seq)
}

func (r *peerRoom) deliver(seq int) {
	for _, c := range r.conns {
		r.deliverTo(c, seq)
	}
}

func (r *peerRoom) deliverTo(c *peerConn, seq int) {
	c.event(`{"type":"message","room":"%s","seq":%d,"data":{"id":%d,"content":"x"}}`, r.name, seq, seq)
}

// event writes one event. A client that has gone does not matter here.
func (c *peerConn) event(format string, args ...any) {
	c.Write(websocket.AppendText(nil, fmt.Appendf(nil, format, args...)))
}

var errLate = errors.New("the test's patience is over")
