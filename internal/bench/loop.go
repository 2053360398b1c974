//go:build linux

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// loop owns connections to one server. All its methods belong to one
// goroutine, and the handlers are called from run on that goroutine.
type loop struct {
	// addrs are the nodes: connections are dealt out to them in turn.
	addrs []netip.AddrPort
	// onFrame is called for each event of the kinds message, message_sent and
	// other; event is good until it returns. now is when it was read.
	onFrame func(c *conn, k kind, event []byte, now time.Duration)
	// onRefusal, if set, is called for each event of the kind error, which
	// otherwise ends the run, as does an error that it returns.
	onRefusal func(c *conn, event []byte) error
	// onEnd, if set, is called when a connection has ended, which otherwise
	// ends the run, as does an error that it returns.
	onEnd func(c *conn, why error) error
	// onTick, if set, is called after each round of events, at least every
	// tickInterval.
	onTick func(now time.Duration)

	epoll  int
	timer  int
	events []unix.EpollEvent
	buf    []byte  // what a read returns, before it is taken apart
	conns  []*conn // by the number that epoll reports
	dialed int     // conns[:dialed] have been dialed
	opened int     // connected has come
	dirty  []*conn // have something to write
	start  time.Time
	err    error // what ended the run
}

const (
	// readBytes is what one read takes at most; a coalescing server writes
	// some hundred frames at once.
	readBytes = 256 << 10
	// maxDialing bounds the handshakes under way, below the 4,096 of a
	// listener's usual backlog (net.core.somaxconn), so that none waits for
	// the repetition of its SYN.
	maxDialing = 512
	// tickInterval bounds how late a moment is noticed while nothing comes.
	tickInterval = 10 * time.Millisecond
	// minTick is the shortest interval of the timer: it costs 5,000 wake-ups
	// a second.
	minTick = 200 * time.Microsecond
	// timerSlot is what epoll reports for the timer.
	timerSlot = -1
)

func newLoop(addrs ...netip.AddrPort) (*loop, error) {
	l := &loop{
		addrs:  addrs,
		epoll:  -1,
		timer:  -1,
		events: make([]unix.EpollEvent, 256),
		buf:    make([]byte, readBytes),
		start:  time.Now(),
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		l.close()
		return nil, fmt.Errorf("create timer: %w", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: timerSlot}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &event); err != nil {
		l.close()
		return nil, fmt.Errorf("watch timer: %w", err)
	}
	if err := l.tick(tickInterval); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// tick sets how often onTick is called while nothing else happens.
func (l *loop) tick(interval time.Duration) error {
	ts := unix.NsecToTimespec(int64(min(max(interval, minTick), tickInterval)))
	spec := unix.ItimerSpec{Interval: ts, Value: ts}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return nil
}

// now is the time since the loop began.
func (l *loop) now() time.Duration { return time.Since(l.start) }

// add makes a connection that connect will dial.
func (l *loop) add(path string, r *room) *conn {
	c := &conn{slot: int32(len(l.conns)), path: path, room: r, fd: -1}
	c.node = int(c.slot) % len(l.addrs)
	l.conns = append(l.conns, c)
	return c
}

// connect dials what was added and returns when each connection has got its
// connected event.
func (l *loop) connect(ctx context.Context) error {
	return l.run(ctx, func() bool {
		for l.err == nil && l.dialed < len(l.conns) && l.dialed-l.opened < maxDialing {
			l.dial(l.conns[l.dialed])
			l.dialed++
		}
		return l.opened == len(l.conns)
	})
}

// drop ends all connections without a word, as a lost network does. They can
// be connected again, and each comes to another node then, if there are several.
func (l *loop) drop() {
	for _, c := range l.conns {
		if c.fd >= 0 {
			unix.Close(c.fd) // epoll forgets it
		}
		*c = conn{slot: c.slot, node: (c.node + 1) % len(l.addrs), path: c.path, room: c.room, v1: c.v1, fd: -1}
	}
	l.dialed, l.opened, l.dirty = 0, 0, nil
}

// close ends everything. The loop cannot be used again.
func (l *loop) close() {
	l.drop()
	for _, fd := range []int{l.epoll, l.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// run serves the connections until done reports true, which it is asked after
// each round of events. It returns what went wrong on any connection, or the
// error of ctx.
func (l *loop) run(ctx context.Context, done func() bool) error {
	for {
		if l.err != nil {
			return l.err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if done() {
			return nil
		}
		n, err := unix.EpollWait(l.epoll, l.events, -1) // the timer ends it
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, e := range l.events[:max(n, 0)] {
			l.handle(e)
		}
		if l.onTick != nil {
			l.onTick(l.now())
			l.flushDirty()
		}
	}
}

func (l *loop) handle(e unix.EpollEvent) {
	if e.Fd == timerSlot {
		var expirations [8]byte
		unix.Read(l.timer, expirations[:]) // or it would report again at once
		return
	}
	c := l.conns[e.Fd]
	if c.fd < 0 {
		return // ended by an event of the same round
	}
	if e.Events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if e.Events&^unix.EPOLLOUT != 0 {
		l.read(c)
	}
	l.flushDirty()
}

// fail ends the run; the first reason stands.
func (l *loop) fail(c *conn, err error) {
	if l.err == nil {
		l.err = fmt.Errorf("connection %s: %w", c.path, err)
	}
}

// lose takes the end of a connection.
func (l *loop) lose(c *conn, why error) {
	if l.onEnd == nil {
		l.fail(c, why)
		return
	}
	unix.Close(c.fd) // epoll forgets it
	c.fd, c.state, c.in, c.out = -1, stateClosed, nil, nil
	if err := l.onEnd(c, why); err != nil {
		l.fail(c, err)
	}
}

func (l *loop) dial(c *conn) {
	addr := l.addrs[c.node]
	fd, err := dialSocket(addr, int(c.slot))
	if err != nil {
		l.fail(c, err)
		return
	}
	c.fd, c.state, c.writable = fd, stateUpgrading, true
	c.out = c.handshake(addr.String())
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: c.slot}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		l.fail(c, fmt.Errorf("watch socket: %w", err))
	}
}

// send queues a whole frame; it leaves at the end of the event that is being
// handled, together with what else was queued for c.
func (l *loop) send(c *conn, frame []byte) {
	c.out = append(c.out, frame...)
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

func (l *loop) flushDirty() {
	for _, c := range l.dirty {
		c.dirty = false
		if c.fd >= 0 {
			l.flush(c)
		}
	}
	l.dirty = l.dirty[:0]
}

// flush writes what the socket takes, and has it watched while there is more.
func (l *loop) flush(c *conn) {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.EAGAIN {
			c.out = nil
			if l.onEnd == nil { // otherwise reading tells what the server said before
				l.fail(c, fmt.Errorf("write: %w", err))
			}
			return
		}
		c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
		if err == unix.EAGAIN {
			break
		}
	}
	if more := len(c.out) > 0; more != c.writable {
		l.watch(c, more)
	}
}

func (l *loop) watch(c *conn, writable bool) {
	c.writable = writable
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot}
	if writable {
		event.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		l.fail(c, fmt.Errorf("watch socket: %w", err))
	}
}

// read takes one buffer from the socket. Epoll reports again what is left.
func (l *loop) read(c *conn) {
	n, err := unix.Read(c.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		l.lose(c, fmt.Errorf("read: %w", err))
		return
	case n == 0:
		l.lose(c, errors.New("ended by the server without a close frame"))
		return
	}
	b := l.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	rest, err := l.take(c, b, l.now())
	if _, ended := errors.AsType[*closed](err); ended {
		l.lose(c, err)
		return
	}
	if err != nil {
		l.fail(c, err)
		return
	}
	c.in = append(c.in[:0], rest...)
}

// take handles the whole frames of b and returns what follows them.
func (l *loop) take(c *conn, b []byte, now time.Duration) (rest []byte, err error) {
	if c.state == stateUpgrading {
		rest, ok, err := takeHandshake(b)
		if err != nil || !ok {
			return rest, err
		}
		c.state, b = stateOpening, rest
	}
	for {
		op, payload, rest, err := nextFrame(b)
		if err != nil || op == 0 {
			return rest, err
		}
		if err := l.frame(c, op, payload, now); err != nil {
			return nil, err
		}
		b = rest
	}
}

func (l *loop) frame(c *conn, op byte, payload []byte, now time.Duration) error {
	switch op {
	case opText:
		return l.event(c, payload, now)
	case opPing:
		l.send(c, clientFrame(opPong, payload))
	case opClose:
		if len(payload) < 2 {
			return errors.New("closed by the server without a code")
		}
		return &closed{int(binary.BigEndian.Uint16(payload)), string(payload[2:])}
	}
	return nil
}

// closed is a close frame of the server.
type closed struct {
	code   int
	reason string
}

func (e *closed) Error() string {
	return fmt.Sprintf("closed by the server with %d %q", e.code, e.reason)
}

func (l *loop) event(c *conn, event []byte, now time.Duration) error {
	k := kindOf(event)
	switch {
	case k == kindError && l.onRefusal != nil:
		return l.onRefusal(c, event)
	case k == kindError:
		return fmt.Errorf("refused: %.300s", event)
	case c.v1 && c.state == stateOpening && k == kindHello:
		c.state = stateOpen
		l.opened++
	case c.state == stateOpening && (c.v1 || k != kindConnected):
		return fmt.Errorf("first event is %.80s, want connected", event)
	case k == kindConnected:
		head, ok := numberAfter(event, headMember)
		if !ok || c.state != stateOpening {
			return fmt.Errorf("unexpected %.80s", event)
		}
		c.state, c.seq = stateOpen, head
		l.opened++
	}
	l.onFrame(c, k, event, now)
	return nil
}

// historyItems counts the messages in a connected event.
func historyItems(event []byte) int { return bytes.Count(event, createdMember) }
