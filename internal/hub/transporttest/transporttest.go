// Package transporttest holds the conformance suite of [hub.Transport]. [Run]
// has a named case for each sentence of the contract.
package transporttest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tertulia/internal/hub"
)

// Peer is the other end of a transport. Read returns what the transport has
// carried and then an error, of any kind, when the transport has closed. A
// peer that is not read from takes a bounded number of bytes. Close goes away
// without a word; it may be called twice.
type Peer interface {
	io.ReadCloser
}

// Side is one transport under test.
type Side struct {
	Transport hub.Transport
	Peer      Peer
	// Frame appends a frame as the transport's batches have them.
	Frame func(dst, payload []byte) []byte
	// Told reports whether rest, which came after the part of a batch that
	// ends with a whole frame, and end, with which reading ended, tell the peer
	// that it was too slow. Nil if the transport has no way to say so.
	Told func(rest []byte, end error) bool
}

// Factory opens a connection between two ends, with a write timeout that the
// suite chooses. The factory sees to it that both are closed after the test.
type Factory func(t *testing.T, writeTimeout time.Duration) Side

// patience bounds what must happen in the end; only a transport that fails
// spends it.
const patience = 30 * time.Second

// frameBytes is the payload of a frame of the suite, large enough that a
// write can stop within one.
const frameBytes = 1000

var filler = bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), frameBytes/26+1)

// testCase is one sentence of the contract.
type testCase struct {
	name string
	// writeTimeout is patience if zero.
	writeTimeout time.Duration
	run          func(l *link)
}

// Run checks a transport against the contract.
func Run(t *testing.T, open Factory) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			timeout := c.writeTimeout
			if timeout == 0 {
				timeout = patience
			}
			c.run(newLink(t, open, timeout))
		})
	}
}

// link is a connection in a test.
type link struct {
	*testing.T
	Side
	again  func() *link // another one like it
	frames int          // so far
}

func newLink(t *testing.T, open Factory, writeTimeout time.Duration) *link {
	l := &link{T: t, Side: open(t, writeTimeout)}
	l.again = func() *link { return newLink(t, open, writeTimeout) }
	return l
}

var cases = []testCase{
	{name: "TryWrite never waits", run: func(l *link) { l.fill() }},
	{name: "TryWrite keeps nothing of p", run: func(l *link) {
		batch := l.batch(8)
		p := bytes.Clone(batch)
		n := l.tryWrite(p)
		clear(p)
		l.write(batch, n)
		l.wantRead(batch)
	}},
	{name: "a write that stops goes on where it stopped", run: func(l *link) {
		sent := l.fill()
		batch := l.batch(200)
		n := l.tryWrite(batch)
		rest := l.goWrite(batch, n)
		l.wantRead(append(sent, batch...))
		l.wantNil(rest, "Write")
	}},
	{name: "Write waits for the peer", run: func(l *link) {
		sent := l.fill()
		batch := l.batch(4000)
		rest := l.goWrite(batch, 0)
		all := append(sent, batch...)
		for i := range 100 { // room comes byte by byte at first
			l.wantRead(all[i : i+1])
		}
		l.wantRead(all[100:])
		l.wantNil(rest, "Write")
	}},
	{name: "Write keeps nothing of the batch", run: func(l *link) {
		sent := l.fill()
		batch := l.batch(50)
		p := bytes.Clone(batch)
		var got []byte
		reading := l.goes(func() error { got = l.read(len(sent) + len(batch)); return nil })
		if err := l.Transport.Write(p, 0); err != nil {
			l.Fatalf("Write = %v, want nil", err)
		}
		clear(p)
		l.wantNil(reading, "reading")
		l.wantBytes(got, append(sent, batch...))
	}},
	{name: "writes arrive whole and in order", run: func(l *link) {
		rnd := rand.New(rand.NewPCG(1, 2))
		var all []byte
		for range 200 {
			all = append(all, l.batch(1+rnd.IntN(60))...)
		}
		var got []byte
		reading := l.goes(func() error { got = l.read(len(all)); return nil })
		for at := 0; at < len(all); {
			batch := all[at:min(len(all), at+1+rnd.IntN(64<<10))]
			n := l.tryWrite(batch)
			if n < len(batch) {
				l.write(batch, n)
			}
			at += len(batch)
		}
		l.wantNil(reading, "reading")
		l.wantBytes(got, all)
	}},
	{name: "the time of one write does not count for the next", writeTimeout: slowTimeout, run: timesEachWrite},
	{name: "Write times out on a peer that takes nothing", writeTimeout: 50 * time.Millisecond, run: func(l *link) {
		l.fill()
		l.wantError(l.goWrite(l.batch(4000), 0), "Write to a peer that takes nothing")
	}},
	{name: "a peer that is too slow is told so", writeTimeout: slowTimeout, run: tellsSlow},
	{name: "Finish lets the last bytes arrive and then closes", run: func(l *link) {
		batch := l.batch(5)
		l.write(batch, l.tryWrite(batch))
		l.Transport.Finish()
		l.wantRead(batch)
		l.wantEnd()
	}},
	{name: "Abort closes", run: func(l *link) {
		l.Transport.Abort()
		l.wantEnd()
		l.wantNoWrite()
	}},
	{name: "Abort may be called more than once and from any goroutine", run: func(l *link) {
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(l.Transport.Abort)
		}
		for range 20 { // fails from some moment on
			batch := l.batch(3)
			if n, err := l.Transport.TryWrite(batch); err == nil && n < len(batch) {
				_ = l.Transport.Write(batch, n)
			}
		}
		calls.Wait()
		l.Transport.Abort()
		l.wantNoWrite()
	}},
	{name: "Abort ends a Write that waits", run: func(l *link) {
		l.fill()
		waits := l.goWrite(l.batch(4000), 0)
		l.Transport.Abort()
		l.wantError(waits, "Write after Abort")
	}},
	{name: "Abort after Finish", run: func(l *link) {
		l.Transport.Finish()
		l.Transport.Abort()
		l.wantEnd()
	}},
	{name: "writing to a peer that has gone fails in the end", run: func(l *link) {
		l.Peer.Close()
		ends := l.goes(func() error {
			for {
				batch := l.batch(10)
				n, err := l.Transport.TryWrite(batch)
				if err == nil && n < len(batch) {
					err = l.Transport.Write(batch, n)
				}
				if err != nil {
					return err
				}
			}
		})
		l.wantError(ends, "writing to nobody")
	}},
}

// slowTimeout is the write timeout in the cases in which it is reached, or
// would be.
const slowTimeout = 100 * time.Millisecond

// timesEachWrite writes twice, with a pause between in which the time of the
// first one ends. A machine that lets nobody run makes a write late for once,
// so the writer may try again.
func timesEachWrite(l *link) {
	var err error
	for range 5 {
		if err = l.deliver(); err == nil {
			time.Sleep(2 * slowTimeout)
			err = l.deliver()
		}
		if err == nil {
			return
		}
		l = l.again()
	}
	l.Errorf("a write after a pause, or the one before it: %v", err)
}

// deliver writes some frames, which the peer takes.
func (l *link) deliver() error {
	l.Helper()
	batch := l.batch(4)
	if err := l.result(l.goWrite(batch, l.tryWrite(batch)), "Write"); err != nil {
		return err
	}
	l.wantRead(batch)
	return nil
}

// tellsSlow has a peer that takes nothing until a write has timed out, and
// then takes everything. Only the transport knows when that is, and it does
// not wait for ever to say so: the peer guesses, and may try again.
func tellsSlow(l *link) {
	if l.Told == nil {
		return // it has no way to
	}
	for range 5 {
		const frames = 1 << 10
		sent := l.fill()
		batch := l.batch(frames)
		all := append(bytes.Clone(sent), batch...)
		writes := l.goes(func() error {
			err := l.Transport.Write(batch, 0)
			if err != nil {
				l.Transport.Abort() // as the hub does
			}
			return err
		})
		time.Sleep(3 * slowTimeout)
		var got []byte
		var end error
		for buf := make([]byte, 64<<10); end == nil && len(got) < len(all); {
			var n int
			n, end = l.Peer.Read(buf)
			got = append(got, buf[:n]...)
		}
		err := l.result(writes, "Write to a slow peer")
		// What is said may begin like a frame of the batch, so the place to
		// look is the last end of a frame.
		same := common(got, all)
		frame := len(batch) / frames
		whole := same - (same-len(sent))%frame
		if err != nil && same >= len(sent) && l.Told(got[whole:], end) {
			return
		}
		l.Logf("Write = %v; the peer got %d bytes of %d, of these %d as sent, and then %v", err, len(got), len(all), same, end)
		l = l.again()
	}
	l.Error("a peer that was too slow was never told so")
}

// batch returns n frames that differ from all before.
func (l *link) batch(n int) []byte {
	var b []byte
	for range n {
		l.frames++
		payload := append(fmt.Appendf(nil, "frame %d ", l.frames), filler...)
		b = l.Frame(b, payload[:frameBytes])
	}
	return b
}

// tryWrite calls TryWrite, which must not fail, and watches that it returns.
func (l *link) tryWrite(p []byte) (n int) {
	l.Helper()
	l.wantNil(l.goes(func() (err error) { n, err = l.Transport.TryWrite(p); return err }), "TryWrite")
	if n < 0 || n > len(p) {
		l.Fatalf("TryWrite of %d bytes = %d", len(p), n)
	}
	return n
}

// fill writes until a write would have to wait, and returns what was written.
func (l *link) fill() []byte {
	l.Helper()
	const most = 256 << 20
	var sent []byte
	for len(sent) < most {
		batch := l.batch(64)
		n := l.tryWrite(batch)
		if sent = append(sent, batch[:n]...); n == len(batch) {
			continue
		}
		// Go on from the end of a frame, so that what follows is a batch.
		frame := len(batch) / 64
		if n%frame == 0 {
			return sent
		}
		return l.completeFrame(sent, batch, n, frame)
	}
	l.Fatalf("a peer that takes nothing was sent %d bytes", most)
	return nil
}

// completeFrame writes the rest of the frame in which a write of batch
// stopped after n bytes. The peer takes about as much as it must, however long
// that takes it: a Write would have a timeout, which may be short.
func (l *link) completeFrame(sent, batch []byte, n, frame int) []byte {
	l.Helper()
	for end := n - n%frame + frame; n < end; {
		sent = sent[len(l.wantRead(sent[:min(len(sent), frame)])):]
		went := l.tryWrite(batch[n:end])
		sent = append(sent, batch[n:n+went]...)
		n += went
	}
	return sent
}

func (l *link) write(batch []byte, sent int) {
	l.Helper()
	l.wantNil(l.goWrite(batch, sent), "Write")
}

func (l *link) goWrite(batch []byte, sent int) <-chan error {
	return l.goes(func() error { return l.Transport.Write(batch, sent) })
}

// goes runs f and returns where its error will come. Closing the link, which
// follows the test, ends what f may still wait for.
func (l *link) goes(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func (l *link) result(c <-chan error, what string) error {
	l.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		l.Fatalf("%s has not returned after %v", what, patience)
		return nil
	}
}

func (l *link) wantNil(c <-chan error, what string) {
	l.Helper()
	if err := l.result(c, what); err != nil {
		l.Fatalf("%s = %v, want nil", what, err)
	}
}

func (l *link) wantError(c <-chan error, what string) {
	l.Helper()
	if err := l.result(c, what); err == nil {
		l.Fatalf("%s = nil, want an error", what)
	}
}

// wantNoWrite checks that nothing can be written any more.
func (l *link) wantNoWrite() {
	l.Helper()
	batch := l.batch(1)
	n, err := l.Transport.TryWrite(batch)
	if err == nil && n < len(batch) {
		err = l.Transport.Write(batch, n)
	}
	if err == nil {
		l.Error("a write on a closed transport = nil, want an error")
	}
}

// read takes n bytes out of the peer's end.
func (l *link) read(n int) []byte {
	l.Helper()
	got := make([]byte, n)
	if m, err := io.ReadFull(l.Peer, got); err != nil {
		l.Errorf("the peer got %d bytes and then %v, want %d", m, err, n)
		got = got[:m]
	}
	return got
}

// wantRead takes as many bytes as want has and compares them.
func (l *link) wantRead(want []byte) []byte {
	l.Helper()
	l.wantBytes(l.read(len(want)), want)
	return want
}

func (l *link) wantBytes(got, want []byte) {
	l.Helper()
	if bytes.Equal(got, want) {
		return
	}
	l.Fatalf("the peer got %d bytes, want %d; they differ at %d", len(got), len(want), common(got, want))
}

// common returns the length of the longest common beginning.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// wantEnd checks that nothing more comes and the transport closes.
func (l *link) wantEnd() {
	l.Helper()
	var rest []byte
	ends := l.goes(func() error {
		var err error
		rest, err = io.ReadAll(l.Peer)
		return err
	})
	_ = l.result(ends, "the end of the connection") // how it ends is the transport's
	if len(rest) > 0 {
		l.Errorf("the peer got %d bytes more, want the end", len(rest))
	}
}
