package websocket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func read(s string, limits Limits) *Reader {
	return NewReader(strings.NewReader(s), nil, Server, limits)
}

// want takes one message and compares it.
func want(t *testing.T, r *Reader, want string) {
	t.Helper()
	msg, err := r.Next()
	if got := describe(msg); err != nil || got != want {
		t.Fatalf("Next() = %.60q, %v, want %.60q", got, err, want)
	}
}

// wantErr takes one error and compares it.
func wantErr(t *testing.T, r *Reader, want error) {
	t.Helper()
	if _, err := r.Next(); err != want {
		t.Fatalf("Next() = %v, want %v", err, want)
	}
}

// wantFault takes a CloseError and compares its code.
func wantFault(t *testing.T, r *Reader, code uint16) {
	t.Helper()
	_, err := r.Next()
	fault, ok := errors.AsType[*CloseError](err)
	if !ok || fault.Code != code {
		t.Fatalf("Next() = %v, want close code %d", err, code)
	}
	if fault.Reason == "" || len(fault.Reason) > MaxControlBytes-2 {
		t.Errorf("reason %q has %d bytes, want 1 to 123", fault.Reason, len(fault.Reason))
	}
}

func TestNextEnds(t *testing.T) {
	broken := errors.New("broken pipe")
	tests := []struct {
		name string
		src  io.Reader
		want error
	}{
		{"between messages", strings.NewReader(text("a")), io.EOF},
		{"within a header", strings.NewReader(text("a") + text("b")[:1]), io.ErrUnexpectedEOF},
		{"within a key", strings.NewReader(text("a") + text("b")[:5]), io.ErrUnexpectedEOF},
		{"within a payload", strings.NewReader(text("a") + text("bc")[:7]), io.ErrUnexpectedEOF},
		{"between fragments", strings.NewReader(text("a") + first("b")), io.ErrUnexpectedEOF},
		{"within a ping", strings.NewReader(text("a") + cut(ping("bc"), 1)), io.ErrUnexpectedEOF},
		{"after a close", strings.NewReader(text("a") + closing(1000, "") + text("b")), io.EOF},
		{"with an error", io.MultiReader(strings.NewReader(text("a")), iotest.ErrReader(broken)), broken},
		{"without progress", io.MultiReader(strings.NewReader(text("a")), idler{}), io.ErrNoProgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(tt.src, nil, Server, Limits{})
			want(t, r, "text a")
			if tt.name == "after a close" {
				want(t, r, "close 1000")
			}
			wantErr(t, r, tt.want)
			wantErr(t, r, tt.want)
			if !r.Buffered() {
				t.Error("Buffered() = false after the end, want true")
			}
		})
	}
}

// idler returns neither bytes nor an error, against the advice of io.Reader.
type idler struct{}

func (idler) Read([]byte) (int, error) { return 0, nil }

func TestFaultIsForGood(t *testing.T) {
	r := read(masked(0x83, "")+text("a"), Limits{})
	wantFault(t, r, 1002)
	wantFault(t, r, 1002)
}

func TestCloseMessage(t *testing.T) {
	tests := []struct {
		in     string
		code   uint16
		reason string
	}{
		{masked(0x88, ""), CodeNone, ""},
		{closing(4000, ""), 4000, ""},
		{closing(1001, "adiós"), 1001, "adiós"},
	}
	for _, tt := range tests {
		msg, err := read(tt.in, Limits{}).Next()
		if err != nil || msg.Op != Close || msg.Code != tt.code || string(msg.Payload) != tt.reason {
			t.Errorf("Next() = %+v, %v, want close %d %q", msg, err, tt.code, tt.reason)
		}
	}
}

// A client's reader takes the frames of a server, and only those.
func TestClientSide(t *testing.T) {
	frames := AppendText(AppendPing(nil, []byte("hi")), []byte(utf8Text))
	r := NewReader(bytes.NewReader(frames), nil, Client, Limits{})
	want(t, r, "ping hi")
	want(t, r, "text "+utf8Text)
	wantErr(t, r, io.EOF)

	r = NewReader(strings.NewReader(text("a")), nil, Client, Limits{})
	wantFault(t, r, 1002)
}

func TestEarlyBytes(t *testing.T) {
	all := ping("hi") + text(stars(300)) + text(stars(3000)) + text("end")
	for n := range len(all) + 1 {
		early := []byte(all[:n])
		r := NewReader(strings.NewReader(all[n:]), early, Server, Limits{})
		clear(early) // they were copied
		for _, w := range []string{"ping hi", "text " + stars(300), "text " + stars(3000), "text end"} {
			want(t, r, w)
		}
		wantErr(t, r, io.EOF)
	}
}

func TestAppendToPayload(t *testing.T) {
	r := read(first("one ")+ping("between")+last("two")+text(stars(600)), Limits{})
	want(t, r, "ping between")
	msg, err := r.Next()
	if got := describe(msg); err != nil || got != "text one two" {
		t.Fatalf("Next() = %q, %v, want %q", got, err, "text one two")
	}
	// A caller who appends to a payload does not reach what follows it.
	_ = append(msg.Payload, stars(64)...)
	want(t, r, "text "+stars(600))
}

func TestBuffered(t *testing.T) {
	tests := []struct {
		name string
		rest string // after a first message, in the same read
		want bool
	}{
		{"nothing", "", false},
		{"half a header", text("a")[:1], false},
		{"a header", text("a")[:6], false},
		{"half a payload", cut(text("abc"), 1), false},
		{"a text", text("a"), true},
		{"a text and more", text("a") + text("b")[:3], true},
		{"a ping", ping(""), true},
		{"a first fragment", first("a"), false},
		{"fragments without an end", first("a") + more("b") + more(""), false},
		{"all fragments", first("a") + more("b") + last("c"), true},
		{"a ping between fragments", first("a") + ping(""), true},
		{"a bad length", "\x81\xFE\x00\x01", true},
		{"a length beyond everything", "\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]), false},
	}
	for _, tt := range tests {
		r := read(text("first")+tt.rest, Limits{})
		want(t, r, "text first")
		if got := r.Buffered(); got != tt.want {
			t.Errorf("%s: Buffered() = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// watcher is a source that notes how it is read.
type watcher struct {
	src       io.Reader
	r         *Reader
	reads     int
	fed       int
	mostBytes int // the most memory held in excess of twice what has come
}

func (w *watcher) Read(p []byte) (int, error) {
	w.reads++
	if excess := len(w.r.buf) - 2*(w.fed+maxControlFrame); excess > w.mostBytes {
		w.mostBytes = excess
	}
	n, err := w.src.Read(p)
	w.fed += n
	return n, err
}

func watch(src io.Reader, limits Limits) (*Reader, *watcher) {
	w := &watcher{src: src}
	w.r = NewReader(w, nil, Server, limits)
	return w.r, w
}

// A declared length takes no memory; bytes that have come do.
func TestMemoryFollowsBytes(t *testing.T) {
	sizes := []int{10, 500, 1000, 5000, 40000, 65536}
	for _, chop := range []int{1, 7, 100, 1000, 1 << 20} {
		for _, n := range sizes {
			src := &chopper{s: text(stars(65536))[:n], sizes: []int{chop}}
			r, w := watch(src, Limits{})
			wantErr(t, r, io.ErrUnexpectedEOF)
			if w.mostBytes > homeBytes {
				t.Errorf("%d bytes in chops of %d: held %d bytes too many", n, chop, w.mostBytes)
			}
		}
	}
}

// chopper gives a string in reads of at most the given sizes, in turn.
type chopper struct {
	s     string
	sizes []int
	turn  int
}

func (c *chopper) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := copy(p, c.s[:min(c.sizes[c.turn%len(c.sizes)], len(c.s))])
	c.turn++
	c.s = c.s[n:]
	return n, nil
}

func TestBigBufferGoesBackBeforeIdling(t *testing.T) {
	var r *Reader
	atEnd := readerFunc(func([]byte) (int, error) {
		if r.lent != nil || len(r.buf) != homeBytes {
			t.Errorf("idle with a buffer of %d bytes, want %d", len(r.buf), homeBytes)
		}
		return 0, io.EOF
	})
	r = NewReader(io.MultiReader(strings.NewReader(text(stars(60000))), atEnd), nil, Server, Limits{})
	want(t, r, "text "+stars(60000))
	if r.lent == nil {
		t.Error("60000 bytes did not need a lent buffer")
	}
	wantErr(t, r, io.EOF)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBurstTakesFewReads(t *testing.T) {
	tests := []struct {
		name string
		in   string
		n    int
		most int // reads, the one at the end included
	}{
		{"two messages in the small buffer", strings.Repeat(text(stars(100)), 2), 2, 2},
		{"sixteen messages", strings.Repeat(text(stars(200)), 16), 16, 5},
		{"a thousand messages", strings.Repeat(text(stars(200)), 1000), 1000, 60},
		{"a message of 64 KiB", text(stars(64 << 10)), 1, 10},
	}
	for _, tt := range tests {
		r, w := watch(strings.NewReader(tt.in), Limits{})
		for i := range tt.n {
			if _, err := r.Next(); err != nil {
				t.Fatalf("%s: message %d: %v", tt.name, i, err)
			}
		}
		wantErr(t, r, io.EOF)
		if w.reads > tt.most {
			t.Errorf("%s: %d reads, want at most %d", tt.name, w.reads, tt.most)
		}
	}
}

// A refusal by declared length comes from the header alone.
func TestRefusedFromHeader(t *testing.T) {
	for _, header := range []string{
		"\x81\xFF\x00\x00\x00\x00\x00\x98\x96\x80" + string(testKey[:]),
		"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]),
	} {
		r, w := watch(strings.NewReader(header), Limits{})
		wantFault(t, r, 1009)
		if w.reads != 1 || r.lent != nil {
			t.Errorf("took %d reads and lent %v, want 1 read and nothing lent", w.reads, r.lent)
		}
	}
}

func TestNoLimits(t *testing.T) {
	none := Limits{MaxMessageBytes: -1, MaxFragments: -1, ControlPerSecond: -1, MessageTime: -1, Idle: -1}
	r := read(fragmented(stars(300<<10), 100)+strings.Repeat(ping(""), 1000), none)
	want(t, r, "text "+stars(300<<10))
	for range 1000 {
		want(t, r, "ping ")
	}
	wantErr(t, r, io.EOF)
}

// timed is a net.Pipe whose deadlines are counted.
type timed struct {
	net.Conn
	set int
}

func (c *timed) SetReadDeadline(t time.Time) error {
	c.set++
	return c.Conn.SetReadDeadline(t)
}

// A peerFunc plays the client in a goroutine of its own. Its write returns
// false once the connection is closed.
type peerFunc func(play func(write func(string) bool))

// inTime runs a test of a reader with the fake clock.
func inTime(t *testing.T, limits Limits, test func(t *testing.T, r *Reader, conn *timed, peer peerFunc)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		conn := &timed{Conn: server}
		var peers sync.WaitGroup
		defer peers.Wait()
		defer client.Close()
		defer server.Close()
		write := func(s string) bool {
			_, err := client.Write([]byte(s))
			return err == nil
		}
		test(t, NewReader(conn, nil, Server, limits), conn, func(play func(write func(string) bool)) {
			peers.Go(func() { play(write) })
		})
	})
}

func TestIdle(t *testing.T) {
	inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
		for range 3 {
			began := time.Now()
			wantErr(t, r, os.ErrDeadlineExceeded)
			if got := time.Since(began); got != 25*time.Second {
				t.Errorf("idle after %v, want 25s", got)
			}
		}
		// Messages put it off, and nothing was lost.
		peer(func(write func(string) bool) {
			for range 10 {
				time.Sleep(17 * time.Second)
				write(text("a"))
			}
		})
		for range 10 {
			want(t, r, "text a")
		}
		began := time.Now()
		wantErr(t, r, os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 25*time.Second {
			t.Errorf("idle after %v, want 25s", got)
		}
		r.SetIdle(5 * time.Second)
		began = time.Now()
		wantErr(t, r, os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 5*time.Second {
			t.Errorf("idle after %v, want 5s", got)
		}
		r.SetIdle(0)
		peer(func(write func(string) bool) { time.Sleep(time.Hour); write(text("late")) })
		want(t, r, "text late")
	})
}

// Bytes that came while the caller was busy are read, whatever the clock says.
func TestBusyCallerIsNotIdlePeer(t *testing.T) {
	inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
		peer(func(write func(string) bool) { write(text("a") + text("b")[:3]) })
		want(t, r, "text a")
		peer(func(write func(string) bool) { write(text("b")[3:] + text("c")) })
		time.Sleep(time.Hour)
		want(t, r, "text b")
		want(t, r, "text c")
		peer(func(write func(string) bool) { write(text("d")) })
		time.Sleep(time.Hour)
		want(t, r, "text d")
	})
}

func TestStalledMessage(t *testing.T) {
	tests := []struct {
		name string
		in   string
	}{
		{"in a header", text("abc")[:1]},
		{"in a payload", cut(text("abc"), 1)},
		{"in a ping", cut(ping("abc"), 1)},
		{"between fragments", first("abc")},
		{"after a message", text("abc") + text("d")[:1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
				peer(func(write func(string) bool) { write(tt.in) })
				if tt.name == "after a message" {
					want(t, r, "text abc")
				}
				began := time.Now()
				wantFault(t, r, 1008)
				if got := time.Since(began); got != 10*time.Second {
					t.Errorf("refused after %v, want 10s", got)
				}
			})
		})
	}
}

// Neither single bytes nor pings buy more time for a message.
func TestDrippedMessage(t *testing.T) {
	tests := []struct {
		name  string
		drip  func(i int) string
		pings int
	}{
		{"bytes", func(i int) string { return text(stars(100))[i : i+1] }, 0},
		{"empty fragments", func(i int) string { return masked(0x01>>min(i, 1), "") }, 0},
		{"pings between fragments", func(i int) string {
			if i == 0 {
				return first("a")
			}
			return ping("")
		}, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, Limits{}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
				began := time.Now()
				peer(func(write func(string) bool) {
					for i := range 60 {
						if !write(tt.drip(i)) {
							return
						}
						time.Sleep(1100 * time.Millisecond)
					}
				})
				for range tt.pings {
					want(t, r, "ping ")
				}
				wantFault(t, r, 1008)
				if got := time.Since(began); got != 10*time.Second {
					t.Errorf("refused after %v, want 10s", got)
				}
			})
		})
	}
}

// Neither a slow message nor the idleness before it takes time from the next.
func TestMessageTimeStartsAnew(t *testing.T) {
	inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
		peer(func(write func(string) bool) {
			for range 5 {
				time.Sleep(24 * time.Second)
				write(text("abc")[:4])
				for range 3 {
					time.Sleep(9 * time.Second)
					write(text("abc")[4:] + text("abc")[:4])
				}
				time.Sleep(9 * time.Second)
				write(text("abc")[4:])
			}
		})
		for range 5 * 4 {
			want(t, r, "text abc")
		}
		began := time.Now()
		wantErr(t, r, os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 25*time.Second {
			t.Errorf("idle after %v, want 25s", got)
		}
	})
}

// A busy connection does not set a deadline for each read.
func TestDeadlinesAreSetSeldom(t *testing.T) {
	inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, conn *timed, peer peerFunc) {
		peer(func(write func(string) bool) {
			for range 1000 {
				write(text("abc"))
				time.Sleep(10 * time.Millisecond)
			}
			for range 1000 {
				write(text("abc")[:4])
				time.Sleep(10 * time.Millisecond)
				write(text("abc")[4:])
			}
		})
		for range 1000 {
			want(t, r, "text abc")
		}
		if conn.set != 1 {
			t.Errorf("%d deadlines set in 10 s of whole messages, want 1", conn.set)
		}
		for range 1000 {
			want(t, r, "text abc")
		}
		if conn.set > 3 {
			t.Errorf("%d deadlines set after 10 s of messages in halves, want at most 3", conn.set)
		}
	})
}

// A deadline that Arm has set is the next wait's, and is not set twice.
func TestArm(t *testing.T) {
	inTime(t, Limits{Idle: 25 * time.Second}, func(t *testing.T, r *Reader, conn *timed, peer peerFunc) {
		began := time.Now()
		for range 2 {
			if err := r.Arm(); err != nil {
				t.Fatal(err)
			}
		}
		wantErr(t, r, os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 25*time.Second || conn.set != 1 {
			t.Errorf("idle after %v with %d deadlines set, want 25s with 1", got, conn.set)
		}
		if err := r.Arm(); err != nil {
			t.Fatal(err)
		}
		peer(func(write func(string) bool) { write(text("abc")) })
		want(t, r, "text abc")
		if conn.set != 2 {
			t.Errorf("%d deadlines set, want 2", conn.set)
		}
		conn.Close()
		r.SetIdle(time.Second)
		if err := r.Arm(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Arm() = %v on a closed connection, want an error", err)
		}
	})
	// Without deadlines there is nothing to set.
	if err := read("", Limits{Idle: time.Second}).Arm(); err != nil {
		t.Errorf("Arm() = %v without deadlines, want nil", err)
	}
}

func TestControlRate(t *testing.T) {
	inTime(t, Limits{ControlPerSecond: 20}, func(t *testing.T, r *Reader, _ *timed, peer peerFunc) {
		peer(func(write func(string) bool) {
			for range 10 * 20 { // 20 a second may go on
				write(ping(""))
				time.Sleep(time.Second / 20)
			}
			for { // 25 may not
				if !write(pong("")) {
					return
				}
				time.Sleep(time.Second / 25)
			}
		})
		for range 10 * 20 {
			want(t, r, "ping ")
		}
		began := time.Now()
		for {
			_, err := r.Next()
			if fault, ok := errors.AsType[*CloseError](err); ok && fault.Code == 1008 {
				break
			} else if err != nil {
				t.Fatalf("Next() = %v, want close code 1008", err)
			}
			if time.Since(began) > time.Minute {
				t.Fatal("25 pongs a second went on for a minute")
			}
		}
		if got := time.Since(began); got < 5*time.Second {
			t.Errorf("refused after %v, want the burst to last 5s and more", got)
		}
	})
}

// TLS keeps its state over a read deadline.
func TestIdleOverTLS(t *testing.T) {
	certs := httptest.NewUnstartedServer(nil)
	certs.StartTLS()
	defer certs.Close()
	a, b := loopback(t)
	client := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	server := tls.Server(b, &tls.Config{Certificates: certs.TLS.Certificates})
	defer client.Close()
	defer server.Close()
	go client.Handshake()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(server, nil, Server, Limits{Idle: time.Millisecond})
	wantErr(t, r, os.ErrDeadlineExceeded)
	wantErr(t, r, os.ErrDeadlineExceeded)
	r.SetIdle(time.Minute)
	if _, err := client.Write([]byte(text("a"))); err != nil {
		t.Fatal(err)
	}
	want(t, r, "text a")
}
