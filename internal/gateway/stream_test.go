package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/hub/transporttest"
	"tertulia/internal/limit"
	"tertulia/internal/room"
	"tertulia/internal/schematest"
	"tertulia/internal/session"
)

// answering serves what package api does: a handler's error is the answer.
func answering(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprintf(w, `{"code":%q}`, chat.AsError(err).Code)
		}
	})
}

// block is one frame of a stream.
type block struct {
	event, id, retry string
	frame
	text string // of the frame
}

// events is the client of a stream.
type events struct {
	t    testing.TB
	resp *http.Response
	in   *bufio.Reader
	end  context.CancelFunc
	id   string // the last one
	beat int    // comments so far

	record *schematest.Recorder
}

func (n *node) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return n.dial() },
	}}
}

// get sends a request; the test closes the body.
func (n *node) get(ctx context.Context, target string, header ...string) *http.Response {
	n.t.Helper()
	n.nodes.settle()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+target, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := n.client().Do(req)
	if err != nil {
		n.t.Fatalf("GET %s: %v", target, err)
	}
	return resp
}

// follow opens a stream and takes hello; the test closes it.
func (n *node) follow(query string, header ...string) *events {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	resp := n.get(ctx, "/api/v1/stream"+query, header...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		n.t.Fatalf("stream: %s %s", resp.Status, body)
	}
	e := &events{t: n.t, resp: resp, in: bufio.NewReader(resp.Body), end: cancel, record: schematest.Record(n.t, schematest.V1)}
	if b := e.next(); b.retry == "" || b.event != "" {
		n.t.Errorf("a stream begins with %+v, want retry", b)
	}
	e.want("hello")
	return e
}

func (e *events) close() { e.end(); e.resp.Body.Close() }

// read takes the next block that is more than a comment.
func (e *events) read() (b block, err error) {
	empty := true
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return b, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case line == "\n" && empty:
			continue
		case line == "\n":
			if b.id != "" {
				e.id = b.id
			}
			return b, nil
		case strings.HasPrefix(line, ":"):
			e.beat++
			continue
		}
		empty = false
		switch name {
		case "event":
			b.event = value
		case "id":
			b.id = value
		case "retry":
			b.retry = value
		case "data":
			b.text = value
			e.record.Received([]byte(value))
			if err := json.Unmarshal([]byte(value), &b.frame); err != nil {
				e.t.Fatalf("data %s: %v", value, err)
			}
		default:
			e.t.Fatalf("line %q", line)
		}
	}
}

func (e *events) next() block {
	e.t.Helper()
	b, err := e.read()
	if err != nil {
		e.t.Fatalf("the stream ends with %v", err)
	}
	return b
}

// want takes the next frame, which must be of this type.
func (e *events) want(typ string) block {
	e.t.Helper()
	b := e.next()
	if b.event != typ || b.Type != typ {
		e.t.Fatalf("got event %q with %s, want %s", b.event, b.text, typ)
	}
	return b
}

// wantEnd wants the stream to end as a whole answer.
func (e *events) wantEnd() {
	e.t.Helper()
	if b, err := e.read(); err != io.EOF {
		e.t.Errorf("got %+v, %v, want the end", b, err)
	}
}

// A stream has the frames of v1, and on what moves the cursor its id.
func TestStream(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		bob := n.enter("/ws/1?user_id=2&username=Bob")
		defer bob.Close()
		s := n.follow("?user_id=1&username=Ana&room=1&rooms=2&presence=list")
		defer s.close()
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := s.resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if b := s.want("subscribed"); !strings.Contains(b.text, `"users":[{"id":"2","name":"Bob"}`) || b.id != "" {
			t.Errorf("subscribed is %+v", b)
		}
		var ids []string
		for range 3 { // subscribed of 2 and both caught_up
			b := s.next()
			if ids = append(ids, b.id); (b.id != "") != (b.event == "caught_up") {
				t.Errorf("%s has the id %q", b.event, b.id)
			}
		}
		bob.want("user_joined")
		bob.send(`{"type":"typing","is_typing":true}`)
		if b := s.want("typing"); b.id != "" {
			t.Errorf("typing moves the cursor to %s", b.id)
		}
		bob.send(`{"type":"message","content":"uno"}`)
		b := s.want("message")
		cursors, err := chat.ParseCursors(b.id)
		if err != nil || len(cursors) != 2 || cursors[0].Room != "1" || cursors[0].Seq != 1 || fmt.Sprintf("%08x", cursors[0].Tag) != b.Tag || cursors[1].Seq != 0 {
			t.Errorf("the id after the first message is %+v, %v", cursors, err)
		}
		if !strings.HasPrefix(b.text, `{"type":"message","room":"1","seq":1,"epoch":"`+b.Epoch+`","tag":"`+b.Tag) {
			t.Errorf("the message is %s", b.text)
		}
	})
}

func TestTransports(t *testing.T) {
	n := newTCPNode(t)
	bob := n.enter("/ws/1?user_id=2&username=Bob")
	defer bob.Close()
	s := n.follow(ana + "&room=1")
	defer s.close()
	if got, want := maps.Collect(n.Transports), (map[string]float64{"ws": 1, "sse": 1, "poll": 0}); !maps.Equal(got, want) {
		t.Errorf("connections %v, want %v", got, want)
	}
}

// HEAD is answered, and opens nothing.
func TestStreamHead(t *testing.T) {
	n := newTCPNode(t)
	resp, err := n.client().Head("http://localhost/api/v1/stream" + ana + "&room=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Errorf("HEAD: %s, %q", resp.Status, got)
	}
	eventually(t, "the end of the request", func() bool { return n.Connections() == 0 })
}

// A client that was cut off comes back with the id of the last frame, and gets
// what came after it, whatever the URL says.
func TestStreamResumes(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		bob := n.enter("/ws/1?user_id=2&username=Bob")
		defer bob.Close()
		post := func(text string) {
			t.Helper()
			bob.send(`{"type":"message","content":"` + text + `"}`)
			for bob.next().Type != "message" {
			}
		}
		s := n.follow("?user_id=1&username=Ana&room=1&room=2")
		s.want("subscribed")
		for s.want2("subscribed", "caught_up"); s.id == ""; {
			s.want2("subscribed", "caught_up")
		}
		post("uno")
		for s.next().event != "message" {
		}
		s.close()
		post("dos")
		for _, c := range []struct{ name, query, header string }{
			{"by Last-Event-ID", "&room=1&room=2&cursor=AQ", s.id},
			{"by cursor", "&room=1&room=2&cursor=" + s.id, ""},
			{"by cursor alone", "&cursor=" + s.id, ""},
			{"one room of the two", "&room=1&cursor=" + s.id, ""},
			{"by the cursor of one room", "&room=1&after=" + firstOf(t, s.id), ""},
			{"by the cursor of one room as Last-Event-ID", "&room=1", firstOf(t, s.id)},
		} {
			again := n.follow("?user_id=1&username=Ana"+c.query, "Last-Event-ID", c.header)
			for b := again.next(); b.event != "message"; b = again.next() {
				if b.event == "subscribed" && !b.Data.Resumed {
					t.Errorf("%s: not resumed: %s", c.name, b.text)
				}
			}
			if got := again.id; got == s.id || got == "" {
				t.Errorf("%s: the id after the missed message is %q, before it was %q", c.name, got, s.id)
			}
			again.close()
		}
	})
}

func firstOf(t *testing.T, id string) string {
	t.Helper()
	cursors, err := chat.ParseCursors(id)
	if err != nil {
		t.Fatal(err)
	}
	return cursors[0].Cursor.String()
}

// want2 takes the next frame, which must be of one of two types.
func (e *events) want2(a, b string) {
	e.t.Helper()
	if got := e.next(); got.event != a && got.event != b {
		e.t.Fatalf("got %s, want %s or %s", got.text, a, b)
	}
}

func (c *client) next() frame {
	c.t.Helper()
	m, err := c.in.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return parse(c.t, m)
}

// What cannot be followed is answered before the stream begins.
func TestStreamRefuses(t *testing.T) {
	n := newTCPNode(t)
	many := ""
	for i := range maxFollowed + 1 {
		many += fmt.Sprintf("&room=r%d", i)
	}
	for _, c := range []struct {
		name, query string
		code        chat.Code
	}{
		{"nobody", "?room=1", chat.Unauthenticated},
		{"no room", ana, chat.MissingParameter},
		{"bad room", ana + "&room=a/b", chat.InvalidRoom},
		{"a room twice", ana + "&room=1&rooms=2,1", chat.InvalidParameter},
		{"too many rooms", ana + many, chat.TooManyRooms},
		{"bad cursor", ana + "&room=1&cursor=x", chat.CursorInvalid},
		{"cursor of one room for two", ana + "&room=1&room=2&cursor=e:1", chat.CursorInvalid},
		{"several in after", ana + "&room=1&after=AQ", chat.CursorInvalid},
		{"both", ana + "&room=1&after=e:1&cursor=AQ", chat.InvalidParameter},
		{"bad history", ana + "&room=1&history=201", chat.InvalidParameter},
		{"bad presence", ana + "&room=1&presence=all", chat.InvalidParameter},
		{"bad query", ana + "&room=%zz", chat.InvalidParameter},
		{"reserved room", ana + "&room=inbox", chat.ReservedRoom},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := n.get(t.Context(), "/api/v1/stream"+c.query)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != fmt.Sprintf(`{"code":%q}`, c.code) {
				t.Errorf("answer %s %s, %v, want code %s", resp.Status, body, err, c.code)
			}
		})
	}
}

// A stream says every 15 s that it is there, and ends when the server drains,
// with a time to come back.
func TestStreamBeatsAndDrains(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		s := n.follow("?user_id=1&username=Ana&room=1")
		defer s.close()
		s.want("subscribed")
		s.want("caught_up")
		go func() {
			time.Sleep(4*heartbeatEvery + time.Second)
			if err := n.Drain(context.Background()); err != nil {
				t.Errorf("Drain = %v", err)
			}
		}()
		b := s.want("reconnect")
		if s.beat != 4 {
			t.Errorf("there were %d heartbeats in a minute, want 4", s.beat)
		}
		if b.retry == "" || !strings.Contains(b.text, `"after_ms":`+b.retry+`,"reason":"restart","code":4000`) {
			t.Errorf("the last frame is %q with retry %s", b.text, b.retry)
		}
		s.wantEnd()
		synctest.Wait()
		if got := n.Connections(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
	})
}

// A reader that takes nothing loses its stream, and nothing else: it comes
// back where it was.
func TestSlowStream(t *testing.T) {
	n := newTCPNode(t, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	bob := n.enter("/ws/1?user_id=2&username=Bob")
	defer bob.Close()
	slow := n.follow("?user_id=1&username=Ana&room=1")
	defer slow.close()
	const posts = 1200
	text := strings.Repeat("x", 12<<10) // more than the sockets hold
	go func() {
		for i := range posts {
			bob.send(fmt.Sprintf(`{"type":"message","content":"%d %s"}`, i, text))
		}
	}()
	for acks := 0; acks < posts; {
		if bob.next().Type == "message_sent" {
			acks++
		}
	}
	eventually(t, "the end of the slow stream", func() bool { return n.Connections() == 1 })
	seqs := uint64(0)
	take := func(s *events) (end error) {
		for {
			b, err := s.read()
			if err != nil {
				return err
			}
			if b.event == "message" {
				if b.Seq != seqs+1 {
					t.Fatalf("got seq %d after %d", b.Seq, seqs)
				}
				if seqs = b.Seq; seqs == posts {
					return nil
				}
			}
		}
	}
	if err := take(slow); err == nil || err == io.EOF {
		t.Errorf("the slow stream ended with %v after %d events, want it to be cut", err, seqs)
	}
	for tries := 0; seqs < posts && tries < 100; tries++ {
		again := n.follow("?user_id=1&username=Ana&room=1", "Last-Event-ID", slow.id)
		_ = take(again)
		slow.id = again.id
		again.close()
	}
	if seqs != posts {
		t.Errorf("got %d events, want %d", seqs, posts)
	}
}

// A panic while a stream is opened, or ended, ends that stream only.
func TestPanicEndsOneStream(t *testing.T) {
	wired := func(b bus.Bus) bus.Bus { return joining{b, "1"} }
	n := newNodeOn(t, below{bus: wired}, listen(t))
	defer n.close()
	other := n.follow("?user_id=2&username=Bob&room=1")
	defer other.close()
	other.want("subscribed")
	other.want("caught_up")
	s := n.follow("?user_id=1&username=Ana&room=1")
	defer s.close()
	if b := s.want("reconnect"); !strings.Contains(b.text, `"code":1011`) {
		t.Errorf("the last frame is %s", b.text)
	}
	s.wantEnd()
	eventually(t, "the end of the stream", func() bool { return n.Connections() == 1 })
	c := n.enter("/ws/1?user_id=3&username=Eva")
	other.want("presence_diff")
	c.Close()
}

// joining is a bus on which one user's joining cannot be carried.
type joining struct {
	bus.Bus
	user chat.UserID
}

func (b joining) Publish(topic bus.Topic, events []chat.Event) {
	for _, e := range events {
		if e.Actor.ID == b.user && e.Kind == chat.KindUserJoined {
			panic("tripwire")
		}
	}
	b.Bus.Publish(topic, events)
}

// httpSide is a stream as a transport: the body of an answer at the other end.
func httpSide(t *testing.T, server *httptest.Server, writeTimeout time.Duration) transporttest.Side {
	n := newTCPNode(t, func(c *Config) { c.WriteTimeout = writeTimeout })
	opened := make(chan *stream, 1)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := newStream(n.Gateway, w, streamRequest{id: session.Identity{Principal: chat.Principal{User: chat.User{ID: "1"}}}})
		w.(http.Flusher).Flush()
		opened <- s
		s.await(r.Context())
		if s.leave() {
			panic(http.ErrAbortHandler)
		}
	})
	client := server.Client()
	// HTTP/2 would take 4 MiB for a reader who takes nothing.
	client.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: bufferBytes}
	t.Cleanup(func() { client.CloseIdleConnections(); server.CloseClientConnections(); server.Close() })
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return transporttest.Side{Transport: <-opened, Peer: resp.Body, Frame: func(dst, payload []byte) []byte { return appendBlock(dst, nil, payload) }}
}

func TestTransportOverHTTP1(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, writeTimeout time.Duration) transporttest.Side {
		return httpSide(t, httptest.NewServer(nil), writeTimeout)
	})
}

func TestTransportOverHTTP2(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, writeTimeout time.Duration) transporttest.Side {
		server := httptest.NewUnstartedServer(nil)
		server.EnableHTTP2 = true
		server.StartTLS()
		return httpSide(t, server, writeTimeout)
	})
}

// privateRoom makes a room of Ana and Bob.
func (n *node) privateRoom(id chat.RoomID) {
	n.t.Helper()
	_, err := n.rooms.Create(context.Background(), chat.Principal{Service: true}, room.Create{
		Room: id, Settings: chat.Settings{Access: chat.AccessPrivate}, Members: []chat.User{{ID: "1", Name: "Ana"}, {ID: "2", Name: "Bob"}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) expel(id chat.RoomID, user chat.UserID) {
	n.t.Helper()
	if err := n.rooms.Remove(context.Background(), chat.Principal{Service: true}, id, user, "enough"); err != nil {
		n.t.Fatal(err)
	}
	n.nodes.settle()
}

// A removal ends what the stream says of that room, and leaves it out of the
// cursor; of the other rooms it goes on.
func TestStreamOfOneWhoIsRemoved(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		n.privateRoom("club")
		s := n.follow(ana + "&room=club&room=1")
		defer s.close()
		for range 4 { // subscribed and caught_up of both
			s.want2("subscribed", "caught_up")
		}
		n.expel("club", "1")
		s.want("member_removed")
		end := s.want("unsubscribed")
		cursors, err := chat.ParseCursors(end.id)
		if err != nil || len(cursors) != 1 || cursors[0].Room != "1" {
			t.Errorf("the cursor after the end is %v, %v, want the other room's", cursors, err)
		}
		n.post("1", "still here")
		for s.next().event != "message" { // behind Bob's coming
		}

		again := n.follow(ana+"&room=club&room=1", "Last-Event-ID", s.id)
		defer again.close()
		if b := again.want("error"); b.Code != string(chat.RoomNotFound) || !strings.Contains(b.text, `"room":"club"`) {
			t.Errorf("on coming back the stream says %s", b.text)
		}
		again.want("subscribed")
		resp := n.get(t.Context(), "/api/v1/stream"+ana+"&room=club")
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != `{"code":"room_not_found"}` {
			t.Errorf("a stream of nothing but that room is answered with %s", body)
		}
	})
}

// A stream ends with the credential that it was opened with.
func TestStreamExpires(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		s := n.follow("?room=1", "Authorization", "Bearer "+token(t, time.Minute))
		defer s.close()
		s.want("subscribed")
		s.want("caught_up")
		if b := s.want("error"); b.Code != string(chat.TokenExpired) {
			t.Errorf("the error is %s", b.text)
		}
		if b := s.want("reconnect"); !strings.Contains(b.text, `"code":4003`) {
			t.Errorf("the last frame is %s", b.text)
		}
		s.wantEnd()
	}, func(c *Config) { c.Tokens = tokens(t) })
}

// A stream counts against the limits on connections.
func TestStreamTakesASeat(t *testing.T) {
	n := newTCPNode(t, func(c *Config) { c.Limits = limit.New(limit.Policy{UserConns: 1}) })
	s := n.follow(ana + "&room=1")
	refused := func() string {
		resp := n.get(t.Context(), "/api/v1/stream"+ana+"&room=1")
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 32))
		return string(body)
	}
	if got := refused(); got != `{"code":"too_many_connections"}` {
		t.Errorf("a second stream is answered with %s", got)
	}
	if got := n.poll(`{"rooms":["1"]}`); got.Code != chat.TooManyConnections {
		t.Errorf("a poll beside the stream gets code %q", got.Code)
	}
	s.close()
	eventually(t, "a place", func() bool { return n.Connections() == 0 })
	if got := n.poll(`{"rooms":["1"]}`); got.Code != "" {
		t.Errorf("a poll after the stream gets code %q", got.Code)
	}
}
