package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"tertulia/internal/websocket"
	"tertulia/wire"
)

const (
	// maxFrameBytes bounds a message from the server, after reassembly
	// (docs/protocol.md §9).
	maxFrameBytes = 1 << 20
	// writeTimeout is how long the peer may take no bytes.
	writeTimeout = 10 * time.Second
	// closeWait bounds the closing handshake.
	closeWait = time.Second
	// keepBytes is the largest write buffer that outlives its use.
	keepBytes = 64 << 10
)

// socket is the client's end of a WebSocket (RFC 6455) with text messages and
// no extension. One goroutine reads and one writes.
type socket struct {
	raw  net.Conn // below TLS, to cut without ceremony
	conn net.Conn

	in *websocket.Reader // owned by the reader

	out []byte // owned by the writer

	mu  sync.Mutex
	cut *time.Timer // ends the connection if the peer does not, nil is none
}

// newSocket returns the socket of a connection whose handshake is done; early
// holds the bytes that were read beyond it.
func newSocket(raw, conn net.Conn, early *bufio.Reader) *socket {
	b, _ := early.Peek(early.Buffered())
	limits := websocket.Limits{MaxMessageBytes: maxFrameBytes}
	return &socket{raw: raw, conn: conn, in: websocket.NewReader(conn, b, websocket.Client, limits)}
}

// abort cuts the connection; a read under way returns.
func (s *socket) abort() { s.raw.Close() }

// abortSoon leaves the server closeWait to finish. It starts once.
func (s *socket) abortSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut == nil {
		s.cut = time.AfterFunc(closeWait, s.abort)
	}
}

// close releases everything; the reader calls it last.
func (s *socket) close() {
	s.abort()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut != nil {
		s.cut.Stop()
	}
}

// resumable reports whether to come back after a close code; package comment,
// "Coming back".
func resumable(code int) bool { return wire.CloseCode(code).Resumable() }

// read returns the next text message, ping or pong. The payload is good until
// the next read. The end of the connection is a [*CloseError] if the server
// sent a close frame.
func (s *socket) read() (websocket.Opcode, []byte, error) {
	m, err := s.in.Next()
	if fault, ok := errors.AsType[*websocket.CloseError](err); ok {
		return 0, nil, violation("%w", fault)
	}
	if err == nil && m.Op == websocket.Close {
		err = &CloseError{Code: int(m.Code), Reason: string(m.Payload)}
	}
	if errors.Is(err, io.EOF) {
		err = errBroken
	}
	return m.Op, m.Payload, err
}

var errBroken = errors.New("the connection broke without a word")

// write writes frames in one go. The socket is of no more use for writing if
// that fails, because the peer takes no bytes or ctx ends; then at most
// closeWait passes.
func (s *socket) write(ctx context.Context, frames []outFrame) error {
	s.out = s.out[:0]
	for _, f := range frames {
		s.out = websocket.AppendMasked(s.out, f.op, f.payload)
	}
	s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	stop := context.AfterFunc(ctx, func() { s.conn.SetWriteDeadline(time.Now().Add(closeWait)) })
	defer stop()
	_, err := s.conn.Write(s.out)
	if cap(s.out) > keepBytes {
		s.out = nil
	}
	return err
}

// sendClose writes a close frame and leaves the server closeWait to answer.
// It may be called beside a write.
func (s *socket) sendClose(code uint16) {
	if code == websocket.CodeNone {
		code = websocket.CodeNormal
	}
	s.abortSoon()
	s.conn.Write(websocket.AppendMasked(nil, websocket.Close, websocket.ClosePayload(code, "")))
}
