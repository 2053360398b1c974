package server

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/config"
	"tertulia/internal/room"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
)

// monitored is all that a Redis is sent while it is watched.
type monitored struct {
	nc    net.Conn
	lines *bufio.Scanner
}

func monitor(t *testing.T, r *services.Redis) *monitored {
	t.Helper()
	nc, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	m := &monitored{nc, bufio.NewScanner(nc)}
	m.lines.Buffer(nil, 1<<20)
	if _, err := fmt.Fprint(nc, "MONITOR\r\n"); err != nil || !m.lines.Scan() || m.lines.Text() != "+OK" {
		t.Fatalf("MONITOR: %v, %q", err, m.lines.Text())
	}
	return m
}

// until returns what was sent before a text was, which somebody has sent.
func (m *monitored) until(t *testing.T, end string) string {
	t.Helper()
	var all strings.Builder
	for m.lines.Scan() && !strings.Contains(m.lines.Text(), end) {
		all.WriteString(m.lines.Text() + "\n")
	}
	if err := m.lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// secretWord is in everything that is written.
const secretWord = "zarzamora"

// writeOfEverything has somebody at a node write whatever can be written, in
// another way each round, and returns the types of the events.
func (r *running) writeOfEverything(id chat.RoomID, round int) []string {
	r.t.Helper()
	ctx, by := r.t.Context(), chat.Principal{User: chat.User{ID: "5", Name: "Leo"}, Service: true}
	title := fmt.Sprint(secretWord, " ", round)
	var posted chat.Event
	stored := make(chan error, 1)
	done := func(p room.Posted, err error) {
		posted = p.Event
		stored <- err
	}
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.rooms.Post(room.Post{Room: id, By: by, Content: secretWord + " one", Nonce: chat.Nonce(fmt.Sprint(secretWord, round))}, done)
	must(<-stored)
	first := posted.ID
	r.rooms.Edit(ctx, room.Edit{Room: id, By: by, Message: first, Content: secretWord + " two"}, done)
	must(<-stored)
	r.rooms.Delete(ctx, room.Delete{Room: id, By: by, Message: first, Reason: secretWord}, done)
	must(<-stored)
	_, err := r.rooms.Update(ctx, by, id, room.Changes{Title: &title})
	must(err)
	must(r.rooms.Ban(ctx, by, id, chat.User{ID: chat.UserID(fmt.Sprint("eva", round)), Name: "Eva"}, secretWord))
	r.rooms.Post(room.Post{Room: id, By: by, Content: strings.Repeat(secretWord, 400)}, done) // more than the cache keeps
	must(<-stored)
	return []string{"message", "message_edited", "message_deleted", "room_updated", "member_banned", "message"}
}

// S71: with redis.content false nothing that a user writes is sent to Redis,
// and everything arrives, in order and without anybody having to look for what
// was lost; also beside a node that sends everything.
func TestContentStaysOutOfRedis(t *testing.T) {
	for _, test := range []struct {
		name    string
		content [2]bool
		sent    bool
	}{
		{"on no node", [2]bool{false, false}, false},
		{"on one node", [2]bool{false, true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := services.StartRedis(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			watched := monitor(t, r)
			cfg := onPostgres(t)
			cfg.Redis.URLs, cfg.Redis.Prefix = []config.Secret{config.Secret("redis://" + r.Addr)}, servicetest.Prefix()
			var nodes [2]*running
			var readers [2]peerV1
			for i := range nodes {
				cfg.Redis.Content = test.content[i]
				nodes[i] = start(t, cfg)
			}
			for i, node := range nodes {
				readers[i] = node.subscribeTo("1")
			}
			for i, node := range nodes {
				began := time.Now()
				for _, typ := range node.writeOfEverything("1", i) {
					for _, reader := range readers {
						reader.want(`{"type":"` + typ + `","room":"1"`)
					}
				}
				t.Logf("all was written and read after %v", time.Since(began).Round(time.Millisecond))
			}
			for i, node := range nodes { // who comes later has it from the database, or from Redis
				if status, body, _ := node.get("/api/v1/rooms/1/messages?" + rosa); status != 200 || !strings.Contains(body, secretWord) {
					t.Errorf("messages: %d %s, want them", status, body)
				}
				readers[i].close()
			}
			if pokes := nodes[0].bus.counts.Pokes.Value(); (pokes > 0) == test.content[0] {
				t.Errorf("a node with redis.content %t has sent %d pokes", test.content[0], pokes)
			}
			for _, node := range nodes {
				if err := node.stop(); err != nil {
					t.Errorf("Run = %v, want nil", err)
				}
			}
			command(t, r, "ECHO everything-was-sent")
			sent := watched.until(t, "everything-was-sent")
			if !strings.Contains(strings.ToUpper(sent), `"PUBLISH"`) {
				t.Error("MONITOR has shown no message between the nodes")
			}
			if got := strings.Contains(sent, secretWord); got != test.sent {
				t.Errorf("what was written passed through Redis: %t, want %t\n%s", got, test.sent, linesWith(sent, secretWord))
			}
			if got := strings.Contains(sent, ":recent:"); got != test.sent {
				t.Errorf("newest messages are kept in Redis: %t, want %t", got, test.sent)
			}
		})
	}
}

// subscribeTo has somebody at a node read a room.
func (r *running) subscribeTo(id chat.RoomID) peerV1 {
	r.t.Helper()
	p := dialV1(r.t, r.addr(), "/ws?user_id=7&username=Rosa", "Sec-WebSocket-Protocol: tertulia.v1")
	p.want(`"type":"hello"`)
	p.send(`{"type":"subscribe","id":"1","rooms":[{"room":"` + string(id) + `","recent":0,"presence":"none"}]}`)
	p.want(`"type":"subscribed"`)
	p.want(`"type":"caught_up"`)
	return p
}

func linesWith(text, word string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			fmt.Fprintf(&found, "%.300s\n", line)
		}
	}
	return found.String()
}
