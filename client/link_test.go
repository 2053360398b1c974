package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// sent is what a call of Send came to.
type sent struct {
	Sent
	err error
}

// send calls Send beside the test.
func send(t testing.TB, r *Room, text string) <-chan sent {
	out := make(chan sent, 1)
	go func() {
		s, err := r.Send(t.Context(), text)
		out <- sent{s, err}
	}()
	return out
}

func wantSent(t testing.TB, out <-chan sent, seq uint64, duplicate bool) {
	t.Helper()
	got := <-out
	if got.err != nil || got.Seq != seq || got.Duplicate != duplicate {
		t.Fatalf("Send = seq %d, duplicate %v, %v; want seq %d, duplicate %v", got.Seq, got.Duplicate, got.err, seq, duplicate)
	}
}

// wantNothingMore shows that the client has written nothing else: a ping that
// is asked for now comes next.
func (p *peer) wantNothingMore(r *Room) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := r.Ping(p.t.Context())
		done <- err
	}()
	id := p.want("ping")["id"]
	p.send(fmt.Sprintf(`{"type":"pong","re":%q,"data":{"id":%q}}`, id, id))
	if err := <-done; err != nil {
		p.t.Fatalf("Ping: %v", err)
	}
}

// resume answers a client that comes back after seq.
func (p *peer) resume(head, after int) {
	p.t.Helper()
	cursor := fmt.Sprintf("e1:%d", after)
	if after > 0 {
		cursor += fmt.Sprintf(":%08x", after)
	}
	if got := p.query.Get("after"); got != cursor {
		p.t.Fatalf("the client comes back with after=%s, want %s", got, cursor)
	}
	p.greet(fmt.Sprintf(`"head":%d,"cursor":%q,"history":[],"resumed":true`, head, cursor))
}

func TestConversation(t *testing.T) {
	t.Parallel()
	s := listen(t)
	var frames atomic.Int32
	r := s.room(func(o *Options) {
		o.Room = "#café"
		o.User = chat.User{ID: "juan", Name: "Juan Ñ"}
		o.Trace = func(Direction, []byte) { frames.Add(1) }
	})
	p := s.accept()
	if p.path != "/ws/%23caf%C3%A9" || p.query.Get("user_id") != "juan" || p.query.Get("username") != "Juan Ñ" || p.query.Has("after") {
		t.Errorf("connects to %s?%v", p.path, p.query)
	}
	p.greet(`"head":1,"cursor":"e1:1:00000001","history":[` + messageData(1, 2, "antes", "") + `]`)
	wantEvents(t, r, "connected head 1 resumed false", "history 1 U2: antes")
	out := send(t, r, "hola")
	p.ack(2, p.wantPost("hola"), false)
	wantSent(t, out, 2, false)
	p.message(2, "hola", "")
	p.send(`{"type":"user_joined","room":"1","data":{"user_id":2,"username":"Bob"}}`)
	wantEvents(t, r, "2 U2: hola", "Bob joined")
	if got := r.Cursor().String(); got != "e1:2:00000002" {
		t.Errorf("cursor = %s, want e1:2:00000002", got)
	}
	r.Typing(true)
	if f := p.want("typing"); f["is_typing"] != true {
		t.Errorf("typing frame is %v", f)
	}
	p.wantNothingMore(r)
	if got := frames.Load(); got != 8 {
		t.Errorf("%d frames were traced, want 8", got)
	}
	go r.Close()
	p.wantClose(1000)
}

// The connection breaks while posts are on their way: each is stored once,
// in order, wherever it broke.
func TestBreakBeforeTheAck(t *testing.T) {
	for _, c := range []struct {
		name   string
		read   bool // the server has read the post
		stored bool // and stored it
	}{
		{"before the post was read", false, false},
		{"before it was stored", true, false},
		{"the ack was lost", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t)
			r := s.room()
			p := s.join()
			wantEvents(t, r, "connected head 0 resumed false")
			one := r.Post("uno")
			nonce := ""
			if c.read {
				nonce = p.wantPost("uno")
			}
			p.kill()
			two := r.Post("dos")
			p = s.accept()
			p.resume(0, 0)
			again := p.wantPost("uno")
			if c.read && again != nonce {
				t.Fatalf("posted again with nonce %s, want %s", again, nonce)
			}
			p.ack(1, again, c.stored)
			<-one.Done()
			if got, err := one.Result(); err != nil || got.Seq != 1 || got.Duplicate != c.stored {
				t.Fatalf("the post came to %+v, %v; want seq 1, duplicate %v", got, err, c.stored)
			}
			p.send(messageJSON("e1", 1, 1, "uno", again))
			p.ack(2, p.wantPost("dos"), false)
			<-two.Done()
			p.wantNothingMore(r)
			wantEvents(t, r, "connected head 0 resumed true", "1 U1: uno")
		})
	}
}

// What comes twice after a cut is handed over once.
func TestDuplicatesAndOverlap(t *testing.T) {
	t.Parallel()
	s := listen(t)
	r := s.room()
	p := s.join()
	p.message(1, "a", "")
	p.message(1, "a", "")
	p.message(2, "b", "")
	wantEvents(t, r, "connected head 0 resumed false", "1 U2: a", "2 U2: b")
	p.kill()
	p = s.accept()
	p.resume(3, 2)
	p.message(2, "b", "")
	p.message(3, "c", "")
	wantEvents(t, r, "connected head 3 resumed true", "3 U2: c")
}

// What cannot be continued is said before anything later.
func TestGapOnTheWire(t *testing.T) {
	t.Parallel()
	s := listen(t)
	r := s.room(func(o *Options) { o.Cursor = chat.Cursor{Epoch: "e1", Seq: 10} })
	p := s.accept()
	if got := p.query.Get("after"); got != "e1:10" {
		t.Errorf("comes with after=%s, want e1:10", got)
	}
	p.greet(`"head":70,"cursor":"e1:70:00000046","history":[` + messageData(70, 2, "z", "") + `],"resumed":false,"gap":{"reason":"retention","from":11,"to":69}`)
	p.message(71, "y", "")
	wantEvents(t, r, "connected head 70 resumed false", "gap retention 11-69", "history 70 U2: z", "71 U2: y")
}

// A refusal ends the room with what the server said, and nobody connects
// again.
func TestTerminalCloseCodes(t *testing.T) {
	for _, c := range []struct {
		code uint16
		word chat.Code
	}{
		{4500, chat.InvalidParameter}, {4504, chat.RoomNotFound}, {4509, chat.TooManyErrors}, {4510, chat.TooManyConnections}, {4511, chat.Forbidden},
		{1000, ""}, {1002, ""}, {1003, ""}, {1007, ""}, {1008, ""}, {1009, ""},
	} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			t.Parallel()
			s := listen(t)
			r := s.room()
			o := r.Post("x")
			p := s.accept()
			if c.word != "" {
				p.send(fmt.Sprintf(`{"type":"error","message":"No.","code":%q,"data":{"message":"No.","code":%q}}`, c.word, c.word))
			}
			p.close(c.code, "no")
			p.wantClose(c.code) // answered, RFC 6455 §5.5.1
			p.kill()
			<-r.Done()
			refused, ok := errors.AsType[*RefusedError](r.Err())
			if !ok || refused.Code != int(c.code) || refused.Reason != "no" {
				t.Fatalf("the room ended with %v, want a RefusedError with code %d", r.Err(), c.code)
			}
			if word, ok := errors.AsType[*chat.Error](r.Err()); ok != (c.word != "") || ok && word.Code != c.word {
				t.Errorf("the refusal is explained by %v, want %q", word, c.word)
			}
			var last error
			for _, err := range r.Events(t.Context()) {
				last = err
			}
			if last != r.Err() {
				t.Errorf("the events end with %v, want %v", last, r.Err())
			}
			if _, err := o.Result(); !errors.As(err, &refused) || errors.Is(err, ErrUnknown) {
				t.Errorf("the post ended with %v, want the refusal alone", err)
			}
			select {
			case <-s.conns:
				t.Error("the client has connected again")
			default:
			}
		})
	}
}

// A dead network is noticed within 35 s, whether nothing comes back or bytes
// are not even taken any more.
func TestHalfOpen(t *testing.T) {
	for _, c := range []struct {
		name  string
		reads bool
		busy  bool // posts go out all the time
	}{
		{"bytes vanish", true, false},
		{"bytes vanish while posting", true, true},
		{"bytes are not taken", false, false},
		{"bytes are not taken while posting", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := piped(t)
				r := s.room(func(o *Options) { o.Pipeline = 100 })
				p := s.join()
				wantEvents(t, r, "connected head 0 resumed false")
				died := time.Now()
				if c.reads {
					go func() {
						for {
							if _, err := p.in.Next(); err != nil {
								return
							}
						}
					}()
				}
				if c.busy {
					go func() {
						for range 40 {
							r.Post("x")
							time.Sleep(time.Second)
						}
					}()
				}
				wantEvents(t, r, "waiting after online, attempt 1, code 1006")
				if noticed := time.Since(died); noticed > 35*time.Second {
					t.Errorf("noticed after %v, want at most 35s", noticed)
				}
				time.Sleep(time.Minute) // for the busy one to end
			})
		})
	}
}

// An idle connection that answers pings stands.
func TestIdleConnectionStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := piped(t)
		r := s.room()
		p := s.join()
		go func() {
			for {
				m, err := p.in.Next()
				if err != nil {
					return
				}
				if m.Op == websocket.Ping {
					p.conn.Write(websocket.AppendPong(nil, m.Payload))
				}
			}
		}()
		time.Sleep(time.Hour)
		if got := r.Status().State; got != Online {
			t.Errorf("after an hour the room is %v, want online", got)
		}
	})
}

// The server asks for a delay as it stops, is away for ten seconds, and the
// room is back soon after, with what was posted meanwhile.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := piped(t)
		var away atomic.Bool
		tries := make(chan time.Time, 100)
		pipe := s.dial
		s.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			tries <- time.Now()
			if away.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return pipe(ctx, network, addr)
		}
		r := s.room()
		p := s.join()
		wantEvents(t, r, "connected head 0 resumed false")
		away.Store(true)
		stopped := time.Now()
		p.close(4000, "restart; retry in 3000 ms")
		p.wantClose(4000)
		p.kill()
		wantEvents(t, r, "waiting after online, attempt 1, code 4000")
		out := send(t, r, "mientras")
		time.Sleep(10 * time.Second)
		<-tries // the first connection
		if wait := (<-tries).Sub(stopped); wait < 3*time.Second || wait >= 3*time.Second+backoffBase {
			t.Errorf("came back after %v, want 3s to 3.5s", wait)
		}
		away.Store(false)
		p = s.accept()
		if wait := time.Since(stopped); wait > 10*time.Second+backoffCap {
			t.Errorf("back %v after the stop", wait)
		}
		p.resume(0, 0)
		p.ack(1, p.wantPost("mientras"), false)
		wantSent(t, out, 1, false)
	})
}

// A consumer that does not take its events stops the room from reading; it
// costs the server's patience, but no memory and no event.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buffer, flood = 4, 500
		s := piped(t)
		r := s.room(func(o *Options) { o.Buffer = buffer })
		p := s.join()
		var written atomic.Int32
		go func() {
			for seq := 1; seq <= flood; seq++ {
				p.message(seq, strings.Repeat("x", 1000), "")
				written.Store(int32(seq))
			}
		}()
		time.Sleep(5 * time.Minute)
		r.mu.Lock()
		queued := len(r.queue)
		r.mu.Unlock()
		// The reader's own buffer holds some more than the queue.
		if got := written.Load(); queued > buffer+1 || got > 50 {
			t.Errorf("while nobody takes events, %d wait and %d of %d were read; want at most %d waiting", queued, got, flood, buffer+1)
		}
		if got := r.Status().State; got != Online {
			t.Fatalf("the room is %v, want online", got)
		}
		seq := uint64(0)
		for e, err := range r.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := e.(Message); ok {
				if seq++; m.Seq != seq {
					t.Fatalf("got message %d, want %d", m.Seq, seq)
				}
			}
			if seq == flood {
				return
			}
		}
	})
}

// Close returns promptly whatever the room is doing, and leaves no goroutine:
// synctest waits for all of them.
func TestCloseInEveryState(t *testing.T) {
	refused := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	for _, c := range []struct {
		name string
		want State
		go_  func(t *testing.T, s *fakeServer) *Room
	}{
		{"dialing", Connecting, func(_ *testing.T, s *fakeServer) *Room { return s.room() }},
		{"in the handshake", Connecting, func(_ *testing.T, s *fakeServer) *Room {
			r := s.room()
			s.request()
			return r
		}},
		{"before the greeting", Connecting, func(_ *testing.T, s *fakeServer) *Room {
			r := s.room()
			s.accept()
			return r
		}},
		{"waiting", Waiting, func(_ *testing.T, s *fakeServer) *Room {
			s.dial = refused
			return s.room()
		}},
		{"online, the server does not answer", Online, func(_ *testing.T, s *fakeServer) *Room {
			r := s.room()
			s.join()
			return r
		}},
		{"online, a post cannot be written", Online, func(_ *testing.T, s *fakeServer) *Room {
			r := s.room()
			s.join()
			r.Post("x")
			return r
		}},
		{"the consumer is slow", Online, func(_ *testing.T, s *fakeServer) *Room {
			r := s.room(func(o *Options) { o.Buffer = 1 })
			p := s.join()
			go p.message(1, "x", "")
			return r
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := c.go_(t, piped(t))
				synctest.Wait()
				if got := r.Status().State; got != c.want {
					t.Fatalf("the room is %v, want %v", got, c.want)
				}
				o := r.Post("pending")
				began := time.Now()
				r.Close()
				if took := time.Since(began); took > 2*closeWait {
					t.Errorf("Close took %v, want at most %v", took, 2*closeWait)
				}
				if _, err := o.Result(); !errors.Is(err, ErrClosed) {
					t.Errorf("the pending post ended with %v, want %v", err, ErrClosed)
				}
				for _, err := range r.Events(t.Context()) {
					if err != nil {
						t.Errorf("the events end with %v, want no error", err)
					}
				}
			})
		})
	}
}

// The end of a context withdraws the post. What was on its way may be stored;
// posting it again with its nonce settles that.
func TestSendIsGivenUp(t *testing.T) {
	t.Parallel()
	s := listen(t)
	r := s.room()
	p := s.join()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := r.Send(ctx, "x")
		failed <- err
	}()
	nonce := p.wantPost("x")
	cancel()
	err := <-failed
	post, ok := errors.AsType[*PostError](err)
	if !ok || !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) || string(post.Nonce) != nonce {
		t.Fatalf("Send = %v, want unknown and canceled with nonce %s", err, nonce)
	}
	o := r.PostAs(post.Nonce, "x")
	p.ack(1, p.wantPost("x"), true)
	<-o.Done()
	if got, err := o.Result(); err != nil || !got.Duplicate {
		t.Errorf("posted again: %+v, %v, want a duplicate", got, err)
	}
	waiting := r.Post("y")
	p.wantPost("y")
	unwritten := r.Post("z")
	if waiting.Cancel() || !unwritten.Cancel() {
		t.Error("Cancel takes back what was written, or keeps what was not")
	}
	if _, err := unwritten.Result(); !errors.Is(err, ErrCanceled) || errors.Is(err, ErrUnknown) {
		t.Errorf("the post taken back ended with %v, want %v alone", err, ErrCanceled)
	}
}

func TestDialGivesUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, Options{URL: "ws://" + l.Addr().String(), Room: "1", User: chat.User{ID: "1", Name: "Juan"}})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial = %v, want the deadline and why the last attempt failed", err)
	}
}

// A slow TLS or HTTP peer, a wrong key, an answer without end: the attempt
// fails and is made again; a status below 500 is a refusal.
func TestHandshakeAnswers(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		state        State
		err          string
	}{
		{"refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nNo.\n", Closed, "HTTP status 403: No."},
		{"redirected", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", Closed, "HTTP status 302"},
		{"draining", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", Waiting, "HTTP status 503"},
		{"wrong key", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n", Waiting, "not to our key"},
		{"no upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", Waiting, "does not upgrade"},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", Waiting, "malformed HTTP"},
		{"endless head", "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", maxHandshakeBytes), Waiting, "EOF"},
		{"silence", "", Waiting, "deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := piped(t)
				r := s.room()
				conn, _ := s.request()
				began := time.Now()
				go conn.Write([]byte(c.answer))
				var status StateChanged
				for e := range r.Events(t.Context()) {
					status = e.(StateChanged)
					if status.State != Connecting {
						break
					}
				}
				if status.State != c.state || status.Err == nil || !strings.Contains(status.Err.Error(), c.err) {
					t.Errorf("%v with %v, want %v with …%s…", status.State, status.Err, c.state, c.err)
				}
				if took := time.Since(began); took > dialTimeout+time.Second {
					t.Errorf("the attempt took %v, want at most %v", took, dialTimeout)
				}
			})
		})
	}
}

// A server that breaks RFC 6455 is told so, and tried again.
func TestBrokenFrames(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		code  uint16
	}{
		{"masked", websocket.AppendMasked(nil, websocket.Text, []byte("{}")), 1002},
		{"reserved bit", []byte{0xc1, 0}, 1002},
		{"not UTF-8", websocket.AppendText(nil, []byte{0xff}), 1007},
		{"binary", []byte{0x82, 0}, 1003},
		{"too large", []byte{0x81, 127, 0, 0, 0, 0, 0, 0x20, 0, 0}, 1009},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t)
			r := s.room()
			p := s.join()
			p.conn.Write(c.bytes)
			p.wantClose(c.code)
			wantEvents(t, r, "connected head 0 resumed false", "waiting after online, attempt 1, code 1006")
			s.accept().resume(0, 0)
			wantEvents(t, r, "connected head 0 resumed true")
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := listen(t)
	far := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		p := s.welcome(conn, req)
		p.greet(`"head":0,"cursor":"e1:0","history":[]`)
		p.ack(1, p.wantPost("hola"), false)
		p.wantClose(1000)
	}))
	far.Config.ErrorLog = log.New(io.Discard, "", 0)
	far.StartTLS()
	defer far.Close()
	o := Options{URL: far.URL, Room: "1", User: chat.User{ID: "1", Name: "Juan"}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stranger, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for e := range stranger.Events(ctx) {
		if c := e.(StateChanged); c.State != Connecting {
			if _, ok := errors.AsType[*tls.CertificateVerificationError](c.Err); !ok {
				t.Errorf("a certificate that nobody vouches for leads to %v", c.Err)
			}
			break
		}
	}
	o.TLS = far.Client().Transport.(*http.Transport).TLSClientConfig
	r, err := Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	wantSent(t, send(t, r, "hola"), 1, false)
	r.Close()
}

func TestSendOnlyRoom(t *testing.T) {
	t.Parallel()
	s := listen(t)
	r := s.room(func(o *Options) { o.SendOnly = true })
	p := s.accept()
	if got := p.query.Get("history"); got != "0" {
		t.Errorf("asks for history=%q, want 0", got)
	}
	p.greet(`"head":9,"cursor":"e1:9","history":[]`)
	for seq := 10; seq < 1000; seq++ {
		p.message(seq, "x", "")
	}
	out := send(t, r, "hola")
	p.ack(1000, p.wantPost("hola"), false)
	wantSent(t, out, 1000, false)
}

func TestOptions(t *testing.T) {
	good := Options{URL: "ws://h", Room: "1", User: chat.User{ID: "1", Name: "Juan"}}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"good", func(*Options) {}, ""},
		{"http", func(o *Options) { o.URL = "https://h:8443/below/" }, ""},
		{"no scheme", func(o *Options) { o.URL = "localhost/ws" }, "does not begin with"},
		{"no host", func(o *Options) { o.URL = "ws:///x" }, "has no host"},
		{"with a query", func(o *Options) { o.URL = "ws://h/?x=1" }, "goes on after its path"},
		{"with a password", func(o *Options) { o.URL = "ws://ana:secret@h" }, "user name or password"},
		{"room", func(o *Options) { o.Room = "a b" }, "invalid_room"},
		{"user", func(o *Options) { o.User.ID = "" }, "user_id is missing"},
		{"name", func(o *Options) { o.User.Name = "\x1b" }, "control character"},
		{"cursor", func(o *Options) { o.Cursor = chat.Cursor{Seq: 1} }, "cursor_invalid"},
		{"buffer", func(o *Options) { o.Buffer = -1 }, "option Buffer is negative"},
	} {
		o := good
		c.change(&o)
		_, _, err := o.checked()
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: checked = %v, want …%s…", c.name, err, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: the error shows the password: %v", c.name, err)
		}
	}
}
