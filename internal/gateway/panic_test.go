package gateway

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// tripwire is a bus on which the typing of one user cannot be carried.
type tripwire struct {
	bus.Bus
	user chat.UserID
}

func (b tripwire) Publish(topic bus.Topic, events []chat.Event) {
	for _, e := range events {
		if e.Actor.ID == b.user && (e.Kind == chat.KindTyping || e.Kind == chat.KindTypingStopped) {
			panic("tripwire")
		}
	}
	b.Bus.Publish(topic, events)
}

// A panic while a client is served, or while its session ends, ends its
// connection and no other.
func TestPanicEndsOneConnection(t *testing.T) {
	wired := func(b bus.Bus) bus.Bus { return tripwire{b, "1"} }
	n := newNodeOn(t, below{bus: wired}, listen(t))
	defer n.close()
	bob := n.enter("/ws/1?user_id=2&username=Bob")
	a := n.enter("/ws/1" + ana)
	bob.want("user_joined")
	a.send(`{"type":"typing","is_typing":true}`)
	a.send(`{"type":"message","content":"not listened to any more"}`)
	a.wantClose(wire.CloseInternal)
	a.raw(websocket.Close, string(websocket.ClosePayload(uint16(wire.CloseInternal), "")))
	a.wantEnd()
	a.Close()
	bob.send(`{"type":"message","content":"hola"}`)
	bob.want("message_sent")
	bob.want("message")
	eventually(t, "the end of the connection", func() bool { return n.Connections() == 1 })
	if !strings.Contains(n.log.String(), "tripwire") {
		t.Error("the panic is not in the log")
	}
	bob.leave()
}

// Over TLS, where no write goes without waiting, the same frames go.
func TestTLS(t *testing.T) {
	l := listen(t)
	n := newNode(t, tls.NewListener(l, serverTLS(t)))
	defer n.close()
	n.dial = func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	}
	a, bob := n.enter("/ws/1"+ana), n.enter("/ws/1?user_id=2&username=Bob")
	a.want("user_joined")
	for i := range 100 {
		a.send(`{"type":"message","content":"` + strings.Repeat("x", 1+100*i) + `"}`)
	}
	sent, got := 0, uint64(0)
	for sent < 100 || got < 100 {
		m, err := a.in.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch f := parse(t, m); f.Type {
		case "message_sent":
			sent++
		case "message":
			if got++; f.Seq != got || sent < int(got) {
				t.Fatalf("seq %d after %d, with %d acknowledged", f.Seq, got-1, sent)
			}
		}
	}
	for i := range uint64(100) {
		if f := bob.want("message"); f.Seq != i+1 {
			t.Fatalf("seq %d, want %d", f.Seq, i+1)
		}
	}
	a.leave()
	bob.want("user_left")
	bob.leave()
}
