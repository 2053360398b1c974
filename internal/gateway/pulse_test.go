package gateway

import (
	"bytes"
	"regexp"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/websocket"
	"tertulia/wire"
)

// docs/protocol.md §9: a ping after 25 s of silence, the end after 60 s.
func TestSilentPeerIsCutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		c := n.enter("/ws/1" + ana)
		defer c.Close()
		from := time.Now()
		c.wantPing(25 * time.Second)
		c.in.SetIdle(time.Hour)
		c.wantClose(wire.CloseHeartbeat)
		if took := time.Since(from); took != 60*time.Second {
			t.Errorf("the connection was closed after %v, want 60s", took)
		}
		c.wantEnd()
		if took := time.Since(from); took > 60*time.Second+closeWait {
			t.Errorf("the socket was closed after %v, want it %v after the close frame", took, closeWait)
		}
	})
}

// A peer that answers pings stays, whatever else it does not say; and so does
// one that says anything else.
func TestAnsweringPeerStays(t *testing.T) {
	for _, answer := range []struct {
		name string
		op   websocket.Opcode
		text string
	}{{"pong", websocket.Pong, ""}, {"text", websocket.Text, `{"type":"typing","is_typing":false}`}} {
		t.Run(answer.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *node) {
				c := n.enter("/ws/1" + ana)
				for range 10 {
					c.wantPing(25 * time.Second)
					time.Sleep(30 * time.Second) // late, but not too late
					c.raw(answer.op, answer.text)
				}
				c.send(`{"type":"ping"}`)
				c.want("pong")
				c.leave()
			})
		})
	}
}

// A peer that speaks is not pinged.
func TestSpeakingPeerIsNotPinged(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		c := n.enter("/ws/1" + ana)
		for range 10 {
			time.Sleep(20 * time.Second)
			c.raw(websocket.Ping, "p")
			if m, err := c.in.Next(); err != nil || m.Op != websocket.Pong || string(m.Payload) != "p" {
				t.Fatalf("got %s, %v, want a pong", describe(m), err)
			}
		}
		c.leave()
	})
}

// The reader of a connection that has fallen silent hands over to a goroutine
// with a fresh stack, once for each burst and once for each ping.
func TestIdleReaderHandsOver(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		c := n.enter("/ws/1" + ana)
		c.send(`{"type":"ping"}`)
		c.want("pong")
		synctest.Wait()
		busy := readers()
		time.Sleep(settleAfter)
		synctest.Wait()
		settled := readers()
		if len(busy) != 1 || len(settled) != 1 || bytes.Equal(busy[0], settled[0]) {
			t.Errorf("the reader is goroutine %s before and %s after an idle wait, want another one", busy, settled)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if later := readers(); len(later) != 1 || !bytes.Equal(later[0], settled[0]) {
			t.Errorf("the reader is goroutine %s and then %s while idle, want it to stay", settled, later)
		}
		c.send(`{"type":"ping"}`)
		c.want("pong")
		c.leave()
	})
}

var readerGoroutine = regexp.MustCompile(`(?s)^goroutine (\d+) .*gateway\.\(\*conn\)\.read\(`)

// readers returns the ids of the goroutines that read a connection.
func readers() [][]byte {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var ids [][]byte
	for stack := range bytes.SplitSeq(buf, []byte("\n\n")) {
		if m := readerGoroutine.FindSubmatch(stack); m != nil {
			ids = append(ids, m[1])
		}
	}
	return ids
}
