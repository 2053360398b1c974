package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/internal/websocket"
)

// taken is what a reader looks at in a durable event.
type taken struct {
	Type  string `json:"type"`
	Room  string `json:"room"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
	Tag   string `json:"tag"`
	Data  struct {
		ID int64 `json:"id"`
	} `json:"data"`
}

// roamer reads some rooms, each few events by another way, and keeps nothing
// from one to the next but its cursors.
type roamer struct {
	t     *testing.T
	to    *running
	rnd   *rand.Rand
	rooms []string
	most  uint64 // events of each room
	at    map[string]chat.Cursor
	got   map[string][]taken
	ways  map[string]int
}

const rosa = "user_id=9&username=Rosa"

// take takes the next event of a room.
func (r *roamer) take(way string, frame []byte) {
	r.t.Helper()
	var e taken
	if err := json.Unmarshal(frame, &e); err != nil {
		r.t.Fatalf("by %s: frame %s: %v", way, frame, err)
	}
	if e.Seq == 0 {
		if e.Type == "gap" || strings.Contains(string(frame), `"resumed":false`) || e.Type == "error" {
			r.t.Fatalf("by %s: %s", way, frame)
		}
		return
	}
	if last := r.at[e.Room].Seq; e.Seq != last+1 {
		r.t.Fatalf("by %s: room %s: seq %d after %d", way, e.Room, e.Seq, last)
	}
	c, err := chat.ParseCursor(fmt.Sprintf("%s:%d:%s", e.Epoch, e.Seq, e.Tag))
	if err != nil {
		r.t.Fatalf("by %s: %s: %v", way, frame, err)
	}
	r.at[e.Room] = c
	r.got[e.Room] = append(r.got[e.Room], e)
	r.ways[way]++
}

func (r *roamer) events() (n int) {
	for _, room := range r.rooms {
		n += len(r.got[room])
	}
	return n
}

func (r *roamer) isDone() bool { return r.events() == len(r.rooms)*int(r.most) }

// cursor is the place of all rooms.
func (r *roamer) cursor() string {
	var cs chat.Cursors
	for room, c := range r.at {
		cs = append(cs, chat.RoomCursor{Room: chat.RoomID(room), Cursor: c})
	}
	return cs.String()
}

// wantCursor checks that the server's cursor says what the events say.
func (r *roamer) wantCursor(way, cursor string) {
	r.t.Helper()
	if want := r.cursor(); cursor != want {
		got, err := chat.ParseCursors(cursor)
		r.t.Fatalf("by %s: the cursor is %+v, %v, want %+v", way, got, err, r.at)
	}
}

// byWebSocket takes n events and breaks off.
func (r *roamer) byWebSocket(n int) {
	p := dialV1(r.t, r.to.addr(), "/ws?"+rosa, "Sec-WebSocket-Protocol: tertulia.v1")
	defer p.close()
	var wanted []string
	for _, room := range r.rooms {
		wanted = append(wanted, fmt.Sprintf(`{"room":%q,"after":%q}`, room, r.at[room]))
	}
	p.send(`{"type":"subscribe","rooms":[` + strings.Join(wanted, ",") + `]}`)
	for until := r.events() + n; r.events() < until && !r.isDone(); {
		m, err := p.in.Next()
		if err != nil {
			r.t.Fatal(err)
		}
		if m.Op == websocket.Text {
			r.take("WebSocket", m.Payload)
		}
	}
}

// byStream takes n events and breaks off.
func (r *roamer) byStream(n int) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	query, last := "&rooms="+strings.Join(r.rooms, ","), ""
	switch r.rnd.IntN(3) {
	case 0:
		query += "&cursor=" + r.cursor()
	case 1:
		query += "&cursor=AQ" // which does not count
		last = r.cursor()
	case 2:
		query = "&cursor=" + r.cursor()
	}
	resp := r.to.do(ctx, http.MethodGet, "/api/v1/stream?"+rosa+query, "", "Last-Event-ID", last)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for until := r.events() + n; r.events() < until && !r.isDone(); {
		line, err := in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("by a stream: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "data":
			r.take("stream", []byte(value))
		case "id":
			r.wantCursor("stream", value)
		}
	}
}

// byPoll asks once, for n events at most.
func (r *roamer) byPoll(n int) {
	resp := r.to.do(r.t.Context(), http.MethodPost, "/api/v1/poll?"+rosa, fmt.Sprintf(`{"cursor":%q,"limit":%d,"wait_ms":500}`, r.cursor(), n))
	defer resp.Body.Close()
	var answer struct {
		Events []json.RawMessage `json:"events"`
		Cursor string            `json:"cursor"`
		Gaps   []any             `json:"gaps"`
		Ended  []any             `json:"ended"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	if len(answer.Gaps)+len(answer.Ended) > 0 || len(answer.Events) > n {
		r.t.Fatalf("by a poll for %d events: %+v", n, answer)
	}
	for _, e := range answer.Events {
		r.take("poll", e)
	}
	r.wantCursor("poll", answer.Cursor)
}

// byREST reads a page of one room's log.
func (r *roamer) byREST(n int) {
	id := r.rooms[r.rnd.IntN(len(r.rooms))]
	resp := r.to.do(r.t.Context(), http.MethodGet, fmt.Sprintf("/api/v1/rooms/%s/events?%s&limit=%d&after=%s", id, rosa, n, r.at[id]), "")
	defer resp.Body.Close()
	var page struct {
		Items  []json.RawMessage `json:"items"`
		Cursor string            `json:"cursor"`
		Gap    any               `json:"gap"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || page.Gap != nil {
		r.t.Fatalf("by REST: %+v, %v", page, err)
	}
	for _, e := range page.Items {
		r.take("REST", e)
	}
	if got := r.at[id].String(); page.Cursor != got {
		r.t.Fatalf("by REST: the cursor is %s, want %s", page.Cursor, got)
	}
}

// do sends a request; the caller closes the body.
func (r *running) do(ctx context.Context, method, target, body string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.addr()+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := plain.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s %s: %s %s", method, target, resp.Status, text)
	}
	return resp
}

// write posts, edits and deletes in a room, n things altogether, and returns
// the type of each.
func (r *running) write(id chat.RoomID, rnd *rand.Rand, n int) (types []string) {
	by := chat.Principal{User: chat.User{ID: "5", Name: "Leo"}}
	var own []int64
	for i := range n {
		stored := make(chan error, 1)
		done := func(p room.Posted, err error) {
			if err == nil && p.Event.Kind == chat.KindMessage {
				own = append(own, p.Event.ID)
			}
			stored <- err
		}
		typ := "message"
		switch k := rnd.IntN(4); {
		case k == 0 && len(own) > 0:
			typ = "message_edited"
			r.rooms.Edit(r.t.Context(), room.Edit{Room: id, By: by, Message: own[rnd.IntN(len(own))], Content: fmt.Sprint("edited ", i)}, done)
		case k == 1 && len(own) > 1:
			typ = "message_deleted"
			k := rnd.IntN(len(own))
			message := own[k]
			own = append(own[:k:k], own[k+1:]...)
			r.rooms.Delete(r.t.Context(), room.Delete{Room: id, By: by, Message: message}, done)
		default:
			r.rooms.Post(room.Post{Room: id, By: by, Content: fmt.Sprint("post ", i)}, done)
		}
		if err := <-stored; err != nil {
			r.t.Errorf("%s in room %s: %v", typ, id, err)
		}
		types = append(types, typ)
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
	return types
}

// Whoever changes from one way of reading to another in the middle of
// everything misses nothing and gets nothing twice.
func TestChangingTransportsLosesNothing(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	defer s.stop()
	const perRoom = 120
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			r := &roamer{t: t, to: s, rnd: rnd, most: perRoom, at: make(map[string]chat.Cursor), got: make(map[string][]taken), ways: make(map[string]int)}
			r.rooms = []string{fmt.Sprintf("a%d", seed), fmt.Sprintf("b%d", seed)}
			resp := s.do(t.Context(), http.MethodPost, "/api/v1/poll?"+rosa, fmt.Sprintf(`{"rooms":[%q,%q]}`, r.rooms[0], r.rooms[1]))
			var begin struct {
				Cursor string `json:"cursor"`
			}
			err := json.NewDecoder(resp.Body).Decode(&begin)
			resp.Body.Close()
			cursors, parseErr := chat.ParseCursors(begin.Cursor)
			if err != nil || parseErr != nil || len(cursors) != 2 {
				t.Fatalf("the first poll: %v, %v, %v", begin, err, parseErr)
			}
			for _, c := range cursors {
				r.at[string(c.Room)] = c.Cursor
			}
			written := make([][]string, 2)
			var writers sync.WaitGroup
			for i, id := range r.rooms {
				writers.Go(func() { written[i] = s.write(chat.RoomID(id), rand.New(rand.NewPCG(seed, uint64(i))), perRoom) })
			}
			for ways := []func(int){r.byWebSocket, r.byStream, r.byPoll, r.byREST}; !r.isDone(); {
				ways[rnd.IntN(len(ways))](1 + rnd.IntN(6))
			}
			writers.Wait()
			for i, id := range r.rooms {
				for k, e := range r.got[id] {
					if e.Type != written[i][k] {
						t.Fatalf("room %s, seq %d: got %s, want %s", id, e.Seq, e.Type, written[i][k])
					}
				}
			}
			t.Log(r.ways)
			if len(r.ways) != 4 {
				t.Errorf("events came by %v, want every way used", r.ways)
			}
		})
	}
}
