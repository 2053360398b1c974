package seedtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tertulia/internal/oncluster"
)

// A server goes and comes back under people who write: docs/protocol.md §6.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, s *server)
	}{
		{"S-060 S-079 a crash loses and doubles nothing acknowledged", func(_ *testing.T, s *server) { s.kill() }},
		{"S-079 S-083 A19 a restart loses and doubles nothing", func(t *testing.T, s *server) { s.terminate(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			writeThroughRestarts(t, tt.end)
		})
	}
}

// writeThroughRestarts has authors write while the server ends several times,
// send again what was not acknowledged, and reads the room in the end.
func writeThroughRestarts(t *testing.T, end func(t *testing.T, s *server)) {
	const authors, room = 4, "1"
	rounds := 5
	if oncluster.Now() { // three processes begin anew in each
		rounds = 1
	}
	acked := map[string]float64{} // nonce to message id
	var sent []string

	s := startServer(t)
	addr := s.addr
	for round := range rounds {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for a := range authors {
			c, _ := enter(t, addr, room, fmt.Sprint(a), "Autor")
			wg.Go(func() {
				nonces, ids := writeUntilCut(c, fmt.Sprintf("r%d-a%d", round, a))
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, nonces...)
				maps.Copy(acked, ids)
			})
		}
		time.Sleep(200 * time.Millisecond) // they write
		end(t, s)
		wg.Wait()

		s.again(t)
		for _, nonce := range sent {
			if _, ok := acked[nonce]; !ok {
				acked[nonce] = sendAgain(t, addr, room, nonce)
			}
		}
	}

	got := readAll(t, addr, room)
	for _, nonce := range sent {
		switch ids := got[nonce]; {
		case len(ids) != 1:
			t.Errorf("%s is stored %d times, want once", nonce, len(ids))
		case ids[0] != acked[nonce]:
			t.Errorf("%s has id %v, acknowledged was %v", nonce, ids[0], acked[nonce])
		}
	}
	if len(got) != len(sent) || len(sent) < rounds*authors {
		t.Errorf("%d messages are stored, %d were sent", len(got), len(sent))
	}
	t.Logf("%d messages over %d restarts", len(sent), rounds)
}

// writeUntilCut posts, eight messages at a time, until the connection ends,
// and returns the nonces sent and the ids of those acknowledged.
func writeUntilCut(c *client, prefix string) (sent []string, acked map[string]float64) {
	defer c.drop()
	acked = map[string]float64{}
	for n := 0; ; n += 8 {
		var packet []byte
		for i := range 8 {
			nonce := fmt.Sprintf("%s-%d", prefix, n+i)
			sent = append(sent, nonce)
			packet = append(packet, masked(textFrame(messageFrame(nonce, nonce)))...)
		}
		if c.tryWrite(packet) != nil {
			return sent, acked
		}
		for answers := 0; answers < 8; {
			f, err := c.read(patience)
			if err != nil || f.Header.OpCode == ws.OpClose {
				return sent, acked
			}
			switch e := c.parse(f); e.Type {
			case "message_sent":
				acked[e.Data["nonce"].(string)] = e.MessageID
				answers++
			case "error": // the server is stopping: unknown
				answers++
			}
		}
	}
}

// sendAgain posts with a nonce that may have been stored, as its author.
func sendAgain(t *testing.T, addr, room, nonce string) (id float64) {
	t.Helper()
	author := strings.TrimPrefix(strings.Split(nonce, "-")[1], "a")
	c, _ := enter(t, addr, room, author, "Autor", "history=0")
	defer c.drop()
	c.send(messageFrame(nonce, nonce))
	for {
		if e := c.next(); e.Type == "message_sent" {
			return e.MessageID
		}
	}
}

// readAll reads a room from its beginning, and returns the ids by nonce.
func readAll(t *testing.T, addr, room string) map[string][]float64 {
	t.Helper()
	_, fresh := enter(t, addr, room, "reader", "Lector")
	c, connected := enter(t, addr, room, "reader", "Lector", "after="+fresh.Epoch+":0")
	connected.field("resumed", true)
	head := uint64(connected.Data["head"].(float64))
	got := map[string][]float64{}
	for seq := uint64(1); seq <= head; seq++ {
		e := c.want("message")
		if e.Seq != seq {
			t.Fatalf("seq = %d, want %d", e.Seq, seq)
		}
		nonce := e.Data["nonce"].(string)
		if e.Data["content"] != nonce {
			t.Errorf("content = %v under nonce %s", e.Data["content"], nonce)
		}
		got[nonce] = append(got[nonce], e.Data["id"].(float64))
	}
	return got
}

// docs/protocol.md §2.1, §6.4 and §8, code 4000.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var waits []string
	var clients []*client
	for i := range 5 {
		c, _ := join(t, s.addr, "1", "1", fmt.Sprint(i))
		clients = append(clients, c)
	}
	// These do not answer the close frame, so that the server waits: one at
	// each process.
	for range s.nodes {
		join(t, s.addr, "1", "1", "mute")
	}

	s.signal(syscall.SIGTERM)
	form := regexp.MustCompile(`^restart; retry in (\d+) ms$`)
	for _, c := range clients {
		f, err := c.read(patience)
		if err != nil || f.Header.OpCode != ws.OpClose {
			t.Fatalf("got opcode %x, %v, want a close frame", f.Header.OpCode, err)
		}
		code, reason := ws.ParseCloseFrameData(f.Payload)
		m := form.FindStringSubmatch(reason)
		if code != 4000 || m == nil {
			t.Fatalf("closed with %d %q, want 4000 and a delay", code, reason)
		}
		waits = append(waits, m[1])
	}
	if slices.Sort(waits); len(slices.Compact(waits)) < 2 {
		t.Errorf("all clients come back at once: %v", waits)
	}

	c := open(t, s.addr, handshake{path: roomPath("1", "1", "Juan")})
	if c.resp.StatusCode != http.StatusServiceUnavailable || c.resp.Header.Get("Retry-After") == "" {
		t.Errorf("a handshake while stopping = %s, Retry-After %q, want 503 and a time", c.resp.Status, c.resp.Header.Get("Retry-After"))
	}
	if resp, _ := httpGet(t, "http://"+s.addr+"/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz while stopping = %s, want 503", resp.Status)
	}
	if resp, _ := httpGet(t, "http://"+s.addr+"/livez"); resp.StatusCode != http.StatusOK {
		t.Errorf("GET /livez while stopping = %s, want 200", resp.Status)
	}
	for _, c := range clients {
		c.conn.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, ""))))
	}
	s.wantEnd(t)
}

// steady keeps the client's own buffer small. The system lets it grow to some
// MiB, and tells the server of what was read only when much of it is empty: to
// the server a client that takes 300 KB a second, as one under the race
// detector does, would look stalled for seconds.
func steady(t *testing.T, c *client) {
	t.Helper()
	if err := c.conn.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
}

// A client that takes nothing costs itself: docs/protocol.md §8, code 4001.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--ws-write-timeout", "6s", "--presence-grace", "1s")

	t.Run("S-077 A20 a stalled reader does not hold up the others, and is removed", func(t *testing.T) {
		const n = 2000 // of 16 KiB: more than the buffers of two sockets take
		flood := func(c *client) {
			frame := masked(textFrame(messageFrame(strings.Repeat("x", 16<<10), "")))
			for range n {
				c.conn.Write(frame)
			}
		}
		// Memory is compared with that after the same flood, all reading.
		warm, _ := join(t, s.addr, "warm", "1", "Alice")
		steady(t, warm)
		go flood(warm)
		for acked := 0; acked < n; {
			if warm.next().Type == "message_sent" {
				acked++
			}
		}
		warm.drop()

		alice, connected := join(t, s.addr, "1", "1", "Alice")
		bob, _ := join(t, s.addr, "1", "1", "Alice")
		steady(t, bob)
		stalled, _ := join(t, s.addr, "1", "2", "Quieto")
		alice.want("user_joined")
		bob.want("user_joined")
		before := s.residentBytes(t)

		go flood(alice)
		alice.conn.SetReadDeadline(time.Time{}) // she reads for as long as it takes
		go io.Copy(io.Discard, alice.in)
		began := time.Now()
		left := false
		for seq := uint64(1); seq <= n; {
			e := bob.next()
			switch {
			case e.Type == "user_left" && !left:
				left = true
			case e.Type == "message" && e.Seq == seq:
				seq++
			default:
				t.Fatalf("got %s, want seq %d", e, seq)
			}
		}
		t.Logf("%d messages of 16 KiB in %v beside a stalled reader", n, time.Since(began))
		if !left {
			bob.want("user_left").field("user_id", 2)
		}
		eventually(t, patience, "the stalled connection is gone from the statistics", func() bool {
			return getStats(t, s.addr).Rooms["1"].Connections == 2
		})
		s.wantGrownBy(t, before, 64<<20)

		// What it has in its buffers ends with whole frames, or is cut; it
		// comes back with its cursor and misses nothing.
		cursor, seq := connected.Data["cursor"].(string), uint64(0)
		for {
			f, err := stalled.read(patience)
			if err != nil || f.Header.OpCode == ws.OpClose {
				if err == nil {
					if code, reason := ws.ParseCloseFrameData(f.Payload); code != 4001 {
						t.Errorf("the stalled reader was closed with %d %q, want 4001 or a cut", code, reason)
					}
				}
				break
			}
			e := stalled.parse(f)
			if seq++; e.Type != "message" || e.Seq != seq {
				t.Fatalf("the stalled reader got %s, want seq %d", e, seq)
			}
			cursor = e.cursor()
		}
		if seq == n {
			t.Fatal("the stalled reader got everything: it was not stalled")
		}
		back, resumed := join(t, s.addr, "1", "2", "Quieto", "after="+cursor)
		resumed.field("resumed", true)
		for seq < n {
			e := back.want("message")
			if seq++; e.Seq != seq {
				t.Fatalf("got seq %d after coming back, want %d", e.Seq, seq)
			}
		}
	})
}

// docs/protocol.md §8, code 4002, and §9.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--ws-ping-interval", "1s", "--ws-idle-timeout", "4s", "--presence-grace", "1s")

	t.Run("S-069 S-094 a client that vanished is noticed, one that answers pings stays", func(t *testing.T) {
		alice, _ := join(t, s.addr, "1", "1", "Alice")
		gone, _ := join(t, s.addr, "1", "2", "Bob")
		alice.want("user_joined")
		alice.want("user_left").field("user_id", 2)             // after about 5 s, on a machine that has time
		wantStats(t, s.addr, map[string]roomStats{"1": {1, 1}}) // each node hears of it by itself
		alice.wantAlive()

		var closed bool
		for !closed {
			gone.deadline(patience)
			f, err := ws.ReadFrame(gone.in) // pings are left unanswered
			if err != nil {
				t.Fatalf("wait for close 4002: %v", err)
			}
			if f.Header.OpCode == ws.OpClose {
				if code, reason := ws.ParseCloseFrameData(f.Payload); code != 4002 {
					t.Fatalf("closed with %d %q, want 4002", code, reason)
				}
				closed = true
			}
		}
		if _, err := ws.ReadFrame(gone.in); !errors.Is(err, io.EOF) {
			t.Errorf("after the close frame: %v, want the end", err)
		}
	})
}
