package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"tertulia/internal/websocket"
	"tertulia/wire"
)

// writer writes to a socket without waiting. It is used by one goroutine at a
// time.
type writer struct {
	raw syscall.RawConn // nil if the connection cannot write without waiting: TLS
}

func (w *writer) init(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		w.raw = raw
	}
}

// try writes what the socket takes at once.
func (w *writer) try(p []byte) (int, error) {
	if w.raw == nil {
		return 0, nil
	}
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.p, a.n, a.err = p, 0, nil
	err := w.raw.Write(a.fn)
	a.p = nil
	if err == nil {
		err = a.err
	}
	return a.n, err
}

// attempt is one write. It is lent, with its function value, so that a write
// allocates nothing and a connection keeps nothing for it.
type attempt struct {
	fn  func(fd uintptr) bool
	p   []byte
	n   int
	err error
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.fn = a.write
	return a
}}

// write is called by the runtime with the descriptor, which stays open
// meanwhile. It always returns true: nobody waits for the socket.
func (a *attempt) write(fd uintptr) bool {
	a.n, a.err = writeNow(fd, a.p)
	return true
}

// farewellTime is how long a slow peer may take for the rest of the frame and
// the close frame that says so.
const farewellTime = time.Second

var errSlow = errors.New("gateway: peer takes no bytes")

// pieceBytes is what a peer must take within the write timeout. A batch may be
// larger than a slow link carries in that time (connected with its history is
// some 200 KiB), and that alone is no reason to cut the peer off.
const pieceBytes = 16 << 10

// wait writes batch[sent:] and waits for the peer to take it, for as long as
// it takes pieceBytes within each timeout. A peer that does not is told, if it
// takes bytes after all: the frame under way is ended, and a close frame
// follows. n is how much of the batch it took here. socket is nc, or what is
// below its TLS.
func (w *writer) wait(nc, socket net.Conn, batch []byte, sent int, timeout time.Duration) (n int, err error) {
	began := sent
	j := newJudge(nc, socket, timeout)
	for sent < len(batch) && err == nil {
		n, err = nc.Write(batch[sent:min(len(batch), sent+pieceBytes)])
		sent += n
		j.written.Add(int64(n))
	}
	j.end()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = w.tellSlow(nc, batch, sent)
	}
	return sent - began, err
}

// tellSlow ends a connection whose peer did not take batch[sent:]. It returns
// an error.
func (w *writer) tellSlow(nc net.Conn, batch []byte, sent int) error {
	end := websocket.FrameEnd(batch, sent)
	last := slices.Clone(batch[sent:end])
	last = closeFrame(last, wire.CloseSlow, "too slow; resume from your cursor")
	if _, err := writeWithin(nc, last, farewellTime); err != nil {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return errSlow
}

func writeWithin(nc net.Conn, p []byte, timeout time.Duration) (int, error) {
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	return nc.Write(p)
}
