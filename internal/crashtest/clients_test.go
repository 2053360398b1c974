//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"tertulia/chat"
)

// world is what the clients of one run share.
type world struct {
	// where returns the address of a server to connect to, and is asked for
	// each connection.
	where func() string
	// outage tells an error that was to be expected when a life of the server
	// ended, from a fault.
	outage func(life int, err error) bool
	// patience is how long a client waits for a server that says nothing; 0
	// is for ever. Where it is set, clients also go on when the store is not
	// there.
	patience time.Duration
	rooms    string // begins the name of every room
	history  *History
	clients  sync.WaitGroup
	reading  sync.WaitGroup // followers that have yet to connect; posters wait for them
	stop     chan struct{}  // closed when posters post nothing new

	mu     sync.Mutex
	life   int           // the server's, counted from 1
	up     chan struct{} // closed while the server is up
	acks   int           // acknowledgements of all posters
	quota  int           // acks at which enough is closed
	enough chan struct{} // closed at quota
	// duplicates counts posts that a crash hit between their commit and their
	// acknowledgement: what nonces are for.
	duplicates int
	head       map[chat.RoomID]uint64 // the highest seq acknowledged
	told       map[chat.RoomID]uint64 // the last seq that tellStore has told of
	problems   []error
	failed     chan struct{} // closed at the first problem
}

// newWorld is for one server that is killed: a connection may be lost while it
// is down, and at no other time.
func newWorld(addr string) *world {
	w := &world{
		where:   func() string { return addr },
		history: NewHistory(),
		stop:    make(chan struct{}),
		up:      make(chan struct{}),
		head:    make(map[chat.RoomID]uint64),
		told:    make(map[chat.RoomID]uint64),
		failed:  make(chan struct{}),
	}
	w.outage = func(life int, err error) bool { return w.isDown(life) && isCrash(err) }
	return w
}

// setUp lets clients connect, until setDown.
func (w *world) setUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life++
	close(w.up)
}

// setDown is called before the server is killed, so that whoever fails while
// it is up has found a fault.
func (w *world) setDown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = make(chan struct{})
}

// after returns a channel that is closed when n more messages have been
// acknowledged.
func (w *world) after(n int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quota, w.enough = w.acks+n, make(chan struct{})
	if n == 0 {
		close(w.enough)
	}
	return w.enough
}

func (w *world) acked(k Key, e event) {
	w.history.Acked(k, e.Data.Seq, e.Data.MessageID)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head[k.Room] = max(w.head[k.Room], e.Data.Seq)
	if e.Data.Duplicate {
		w.duplicates++
	}
	if w.acks++; w.acks == w.quota {
		close(w.enough)
	}
}

func (w *world) headOf(room chat.RoomID) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head[room]
}

// problem notes what is wrong beside the anomalies.
func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problems == nil {
		close(w.failed)
	}
	w.problems = append(w.problems, fmt.Errorf(format, args...))
}

// connect dials as soon as the server is up. It fails with errGone if the
// server went down meanwhile.
func (w *world) connect(ctx context.Context, room chat.RoomID, user chat.UserID, query string) (*link, event, int, error) {
	w.mu.Lock()
	up := w.up
	w.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
		return nil, event{}, 0, ctx.Err()
	}
	w.mu.Lock()
	life := w.life
	w.mu.Unlock()
	l, first, err := dial(ctx, w.where(), room, user, query, w.patience)
	return l, first, life, w.judge(ctx, life, err)
}

// errGone is the end of a connection that was to be expected.
var errGone = errors.New("the server was killed")

// judge tells what a crash does from a fault.
func (w *world) judge(ctx context.Context, life int, err error) error {
	if err == nil || ctx.Err() != nil || !w.outage(life, err) {
		return err
	}
	return errGone
}

// pause waits a moment before the next connection, if the last one may have
// failed while no server was down.
func (w *world) pause() {
	if w.patience > 0 {
		time.Sleep(20*time.Millisecond + rand.N(80*time.Millisecond))
	}
}

// isDown reports whether a life of the server has ended.
func (w *world) isDown(life int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.up:
		return w.life != life
	default:
		return true
	}
}

// poster posts numbered messages to one room with a window of unacknowledged
// ones, and after a crash first sends those again, in order.
type poster struct {
	*world
	room    chat.RoomID
	user    chat.UserID
	window  int
	made    int
	unacked []unackedPost
}

type unackedPost struct {
	nonce   chat.Nonce
	content string
	again   bool // sent on an earlier connection too
}

func (s *poster) run(ctx context.Context) {
	s.reading.Wait()
	for {
		switch err := s.session(ctx); {
		case err == nil || ctx.Err() != nil:
			return
		case !errors.Is(err, errGone):
			s.problem("poster %s in %s: %w", s.user, s.room, err)
			return
		}
		s.pause()
	}
}

// session is one connection. It returns nil when the poster has stopped and
// everything is acknowledged.
func (s *poster) session(ctx context.Context) error {
	l, _, life, err := s.connect(ctx, s.room, s.user, "history=0")
	if err != nil {
		return err
	}
	defer l.conn.Close()
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	var out []byte
	for i := range s.unacked {
		s.unacked[i].again = true
		out = s.post(out, s.unacked[i])
	}
	for {
		out = s.fill(out)
		if len(s.unacked) == 0 {
			return nil
		}
		if len(out) > 0 {
			if _, err := l.conn.Write(out); err != nil {
				return s.judge(ctx, life, err)
			}
			out = out[:0]
		}
		e, err := l.next()
		if err == nil {
			err = s.take(e)
		}
		if err != nil {
			return s.judge(ctx, life, err)
		}
	}
}

// fill makes new messages while the window has place.
func (s *poster) fill(out []byte) []byte {
	for len(s.unacked) < s.window {
		select {
		case <-s.stop:
			return out
		default:
		}
		s.made++
		p := unackedPost{
			nonce:   chat.Nonce(fmt.Sprintf("%s-%d", s.user, s.made)),
			content: fmt.Sprintf("message %d of %s: ¿sigues ahí?", s.made, s.user),
		}
		s.unacked = append(s.unacked, p)
		out = s.post(out, p)
	}
	return out
}

func (s *poster) post(out []byte, p unackedPost) []byte {
	s.history.Sent(Key{s.room, s.user, p.nonce}, p.content)
	return appendPost(out, p.nonce, p.content)
}

// take handles one event. Answers come in the order of the posts, and before
// the poster's own copy (protocol.md §6.2).
func (s *poster) take(e event) error {
	switch e.Type {
	case "message_sent":
		s.acked(Key{s.room, s.user, e.Data.Nonce}, e)
		if len(s.unacked) == 0 || e.Data.Nonce != s.unacked[0].nonce {
			return fmt.Errorf("message_sent for %q, want the oldest of %v", e.Data.Nonce, s.unacked)
		}
		s.unacked = s.unacked[1:]
	case "message":
		if len(s.unacked) > 0 && e.Data.UserID == s.user && e.Data.Nonce == s.unacked[0].nonce && !s.mayBeStored(s.unacked[0]) {
			return fmt.Errorf("own copy of %s before its message_sent", e.Data.Nonce)
		}
	case "error":
		return s.refused(e)
	}
	return nil
}

// mayBeStored reports whether a post may come as a copy before it is
// acknowledged: another server may have stored it when it was sent before
// (docs/protocol.md §6.2).
func (s *poster) mayBeStored(p unackedPost) bool { return p.again && s.patience > 0 }

// refused handles the refusal of a post. One that the store was not there for
// is given up: it may be stored or not, and is not sent again, for what was
// sent after it may be stored by now. A server that stops takes none any more.
func (s *poster) refused(e event) error {
	switch {
	case s.patience == 0 || len(s.unacked) == 0:
	case chat.Code(e.Code) == chat.ShuttingDown:
		return errGone
	case chat.Code(e.Code) == chat.StoreUnavailable:
		return s.giveUp()
	}
	return refusedError(e.Code)
}

func (s *poster) giveUp() error {
	s.history.GaveUp(Key{s.room, s.user, s.unacked[0].nonce})
	s.unacked = s.unacked[1:]
	time.Sleep(50 * time.Millisecond) // what a client would do: not at once again
	return nil
}

// follower reads one room with a cursor, from its beginning: nobody posts before
// it has connected.
type follower struct {
	*world
	room   chat.RoomID
	user   chat.UserID
	rnd    *rand.Rand // for when to hang up; nil if never
	reader *Reader
	begun  func() // called once: the follower has connected, or has given up
	cursor string
	seq    uint64
}

// run follows until ctx ends, or, once sent has ended, to the head.
func (f *follower) run(ctx, sent context.Context) {
	f.begun = sync.OnceFunc(f.reading.Done)
	defer f.begun()
	for ctx.Err() == nil {
		err := f.session(ctx, sent)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, errHungUp):
		case errors.Is(err, errGone):
			f.pause()
		default:
			f.problem("follower %s in %s: %w", f.user, f.room, err)
			return
		}
	}
}

// errHungUp is the end of a connection by a follower's own wish.
var errHungUp = errors.New("hung up")

func (f *follower) session(ctx, sent context.Context) error {
	query := "history=0"
	if f.cursor != "" {
		query = "after=" + f.cursor
	}
	l, first, life, err := f.connect(ctx, f.room, f.user, query)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	if err := f.connected(first); err != nil {
		return err
	}
	// At the head there is nothing more to read: the pong wakes the loop.
	defer context.AfterFunc(sent, func() { l.conn.Write(frame([]byte(`{"type":"ping"}`))) })()
	left := -1
	if f.rnd != nil && sent.Err() == nil {
		left = f.rnd.IntN(400)
	}
	for ; left != 0; left-- {
		if f.complete(sent) {
			return nil
		}
		e, err := l.next()
		if err == nil {
			err = f.take(e)
		}
		if err != nil {
			return f.judge(ctx, life, err)
		}
	}
	return errHungUp
}

// complete reports whether everything that was sent has been read.
func (f *follower) complete(sent context.Context) bool {
	return sent.Err() != nil && f.seq >= f.headOf(f.room)
}

func (f *follower) connected(e event) error {
	cursor, err := chat.ParseCursor(e.Data.Cursor)
	if err != nil {
		return fmt.Errorf("connected with cursor %q: %w", e.Data.Cursor, err)
	}
	if f.cursor != "" && (e.Data.Resumed == nil || !*e.Data.Resumed || e.Data.Cursor != f.cursor) {
		return fmt.Errorf("cursor %s is not resumed, but goes on at %s", f.cursor, e.Data.Cursor)
	}
	f.reader.Connected(cursor.Seq)
	f.cursor, f.seq = e.Data.Cursor, cursor.Seq
	f.begun()
	return nil
}

func (f *follower) take(e event) error {
	switch e.Type {
	case "message":
		f.reader.Took(Message{
			Key:     Key{f.room, e.Data.UserID, e.Data.Nonce},
			Seq:     e.Seq,
			ID:      e.Data.ID,
			Content: e.Data.Content,
		})
		f.cursor, f.seq = fmt.Sprintf("%s:%d:%s", e.Epoch, e.Seq, e.Tag), e.Seq
	case "error":
		return refusedError(e.Code)
	}
	return nil
}
