package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/limit"
	"tertulia/internal/session"
	"tertulia/wire"
)

// heartbeatEvery is how often a stream says that it is alive; proxies give up
// on one that is silent for a minute.
const heartbeatEvery = 15 * time.Second

// Stream serves GET /api/v1/stream (docs/protocol.md §41). It returns when the
// stream has ended, or with an error if there is none: then nothing has been
// written, and the caller answers with it. The error is a *chat.Error, or one
// of the store's. A stream that had to be cut off ends in a panic with
// [http.ErrAbortHandler], as net/http wants it.
func (g *Gateway) Stream(w http.ResponseWriter, r *http.Request) error {
	who := g.cfg.Proxies.Of(r)
	if err := g.admitRequest(r, who, limit.Use{Class: limit.Handshake, Address: who.Addr}); err != nil {
		return err
	}
	ask, err := g.readStreamRequest(r)
	if err != nil {
		return err
	}
	seat, err := g.cfg.Limits.Sit(ask.id.User.ID, who.Addr)
	if err != nil {
		return err
	}
	defer g.cfg.Limits.Leave(seat)
	if err := g.mayRead(r.Context(), ask); err != nil {
		return err
	}
	s := newStream(g, w, ask)
	if !g.begin(s) {
		return errStopping
	}
	defer g.end(s)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would wait for more
	if r.Method == http.MethodHead {
		return nil
	}
	if g.log.Enabled(g.ctx, slog.LevelDebug) {
		g.log.Debug("stream opened", "conn_id", s.out.ID(), "remote", who.Remote, "user_id", ask.id.User.ID, "rooms", len(ask.rooms))
	}
	s.serve(r.Context())
	return nil
}

// mayRead returns why the client may read none of the rooms, nil if it may
// read one: of the others it is told in the stream.
func (g *Gateway) mayRead(ctx context.Context, ask streamRequest) error {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	var first error
	for _, room := range ask.rooms {
		_, err := g.cfg.Services.Rooms.Enter(ctx, ask.id.Principal, room.Room)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// stream is one client that is sent events: the hub's [hub.Transport] over the
// body of an HTTP response. The request's own goroutine serves it.
type stream struct {
	// Fixed after construction.
	gw     *Gateway
	ask    streamRequest
	body   http.ResponseWriter
	writer *http.ResponseController
	out    *hub.Conn
	ended  chan struct{} // closed by end

	// Owned by the connection's loop.
	begun   map[chat.RoomID]bool // the rooms whose subscription has been seen
	cursors chat.Cursors
	id      []byte

	writing sync.Mutex // held while the body is written to; taken before mu

	mu   sync.Mutex
	over bool // nothing more is written
	cut  bool // the client may not take what it has for the whole
	left bool // the response is the server's again
}

func newStream(g *Gateway, w http.ResponseWriter, ask streamRequest) *stream {
	s := &stream{
		gw:     g,
		ask:    ask,
		body:   w,
		writer: http.NewResponseController(w),
		ended:  make(chan struct{}),
		begun:  make(map[chat.RoomID]bool, len(ask.rooms)),
	}
	s.out = g.cfg.Services.Hub.Connect(s, ask.id.User.ID, &hub.Dialect{
		Profile: hub.V1,
		Bye:     streamFraming.Bye,
		Ended:   func(dst []byte, sub *hub.Sub) []byte { return session.Ended(dst, sub, bare) },
		Gap: func(dst []byte, sub *hub.Sub, from, to uint64) []byte {
			return session.Trimmed(dst, sub, from, to, bare)
		},
		Wrap: s.wrap,
	})
	return s
}

// bare leaves JSON as it is, for wrap to put into the stream.
func bare(dst, json []byte) []byte { return append(dst, json...) }

// serve is the life of a stream.
func (s *stream) serve(ctx context.Context) {
	s.out.Reply(append(appendRetry(nil, returnAfter), '\n'))
	conversation := s.open()
	s.await(ctx)
	if conversation != nil {
		s.close(conversation)
	}
	s.out.Gone()
	if s.leave() {
		panic(http.ErrAbortHandler)
	}
}

// open begins the session and subscribes to the rooms. It returns nil if that
// has failed, of which the client is told.
func (s *stream) open() (v *session.V1) {
	defer s.survive()
	ctx, cancel := context.WithTimeout(s.gw.ctx, attachTimeout)
	defer cancel()
	v, err := s.gw.streams.OpenV1(ctx, s.out, session.HelloV1{Identity: s.ask.id})
	if err != nil {
		s.out.Close(s.gw.streams.Farewell(err, "conn_id", s.out.ID()))
		return nil
	}
	v.Follow(s.ask.rooms)
	return v
}

// close ends the session. The user stays for the grace of presence: most
// streams end because the client is about to come back.
func (s *stream) close(v *session.V1) {
	defer s.survive()
	v.End(false)
}

// survive is deferred where a client's doing is done: a panic there ends this
// stream and nothing else.
func (s *stream) survive() {
	if p := recover(); p != nil {
		s.gw.log.Error("panic in a stream", "panic", p, "stack", string(debug.Stack()))
		s.out.Close(streamFraming.Close(nil, wire.CloseInternal, "internal error"))
	}
}

// await returns when the stream is over: the client has gone, or the hub has
// written the last frame, or could not.
func (s *stream) await(ctx context.Context) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Abort()
			return
		case <-s.ended:
			return
		case <-beat.C:
			s.out.Reply([]byte(heartbeat))
		}
	}
}

// leave gives the response back to the server, once no write is under way. It
// reports whether the connection is to be cut.
func (s *stream) leave() (cut bool) {
	s.end(s.isCut())
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	if !s.cut {
		_ = s.writer.SetWriteDeadline(time.Time{}) // the connection may carry other requests
	}
	return s.cut
}

func (s *stream) isCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// wrap is the dialect's: it puts an event or a marker into the stream, with
// the cursor after it.
func (s *stream) wrap(dst []byte, _ *hub.Sub, seq uint64, payload []byte) []byte {
	if seq == 0 && !moves(typeOf(payload)) {
		return appendBlock(dst, nil, payload)
	}
	s.cursors = s.cursors[:0]
	s.out.Cursors(func(sub *hub.Sub, at chat.Cursor) {
		s.begun[sub.Room()] = true
		s.cursors = append(s.cursors, chat.RoomCursor{Room: sub.Room(), Cursor: at})
	})
	// Where a room has not begun yet, the client still is where it was.
	for _, room := range s.ask.rooms {
		if room.After != nil && !s.begun[room.Room] {
			s.cursors = append(s.cursors, chat.RoomCursor{Room: room.Room, Cursor: *room.After})
		}
	}
	s.id = s.cursors.AppendText(s.id[:0])
	return appendBlock(dst, s.id, payload)
}

// moves reports whether a frame that is no durable event moves the cursor, or
// says that there is nothing before it that is missing.
func moves(typ []byte) bool {
	switch string(typ) {
	case "caught_up", "gap", "skip", "unsubscribed":
		return true
	}
	return false
}

var errStreamOver = errors.New("gateway: the stream is over")

// TryWrite implements [hub.Transport]: a response cannot be written to without
// waiting.
func (s *stream) TryWrite([]byte) (int, error) { return 0, nil }

// Write implements [hub.Transport]. A client that takes nothing cannot be told
// so: a write that has timed out has broken the stream.
func (s *stream) Write(batch []byte, sent int) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for sent < len(batch) {
		if err := s.allow(time.Now().Add(s.gw.cfg.WriteTimeout)); err != nil {
			return err
		}
		n, err := s.body.Write(batch[sent:min(len(batch), sent+pieceBytes)])
		sent += n
		if err == nil {
			err = s.writer.Flush()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !s.isCut() {
			s.gw.counts.Slow.Inc()
		}
		if err != nil {
			return fmt.Errorf("write to a stream: %w", err)
		}
	}
	return s.allow(time.Time{})
}

// allow sets until when the body may be written to, unless the stream is over.
func (s *stream) allow(until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errStreamOver
	}
	return s.writer.SetWriteDeadline(until)
}

// Finish implements [hub.Transport].
func (s *stream) Finish() { s.end(false) }

// Abort implements [hub.Transport].
func (s *stream) Abort() { s.end(true) }

// end ends the stream; cut also ends a write that waits.
func (s *stream) end(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.ended)
	}
	if cut && !s.left {
		s.cut = true
		_ = s.writer.SetWriteDeadline(time.Unix(1, 0)) // the past
	}
}

func (s *stream) transport() string { return sseTransport }

// sendAway implements [guest].
func (s *stream) sendAway(within time.Duration) {
	s.out.Close(appendReconnect(nil, spread(within), wire.CloseDrain, "restart"))
}
