package websocket

import (
	"errors"
	"io"
	"os"
	"time"
)

// deadliner is a source whose reads can be bounded in time.
type deadliner interface {
	SetReadDeadline(t time.Time) error
}

// maxEmptyReads is how often in a row a source may return neither bytes nor an
// error, as in package bufio.
const maxEmptyReads = 100

// inside reports whether a frame or message has begun and is not yet whole.
func (r *Reader) inside() bool {
	return r.state.Fragmented() || r.r < r.w
}

// limit is how long the present wait, and those that it goes on from, may last
// in all; zero or less is for ever.
func (r *Reader) limit() time.Duration {
	if r.inside() {
		return r.limits.MessageTime
	}
	return r.limits.Idle
}

// beforeRead makes room for a read and returns the deadline that must be set
// for it, zero if the one that is set will do.
//
// Only time spent in reads counts, so that the peer does not pay for a caller
// who was busy. Setting a deadline costs a good part of a read; so one that is
// already set and comes earlier is left to fire, and only then moved: a busy
// connection sets one each Idle or MessageTime.
func (r *Reader) beforeRead() (due time.Time) {
	r.fit()
	if !r.timed {
		return due
	}
	r.since = time.Now()
	limit := r.limit()
	if limit <= 0 {
		return due
	}
	due = r.since.Add(limit - r.spent)
	if !r.armed.IsZero() && !r.armed.After(due) {
		return time.Time{}
	}
	r.armed = due
	return due
}

// afterRead takes note of what a read has brought. It returns nil if reading
// goes on.
func (r *Reader) afterRead(n int, err error) error {
	if n > 0 {
		// An error beside bytes comes again with the next read.
		r.countWait()
		r.w += n
		r.full = r.w == len(r.buf)
		r.empty = 0
		return nil
	}
	if r.timed && errors.Is(err, os.ErrDeadlineExceeded) {
		return r.expired()
	}
	if r.empty++; err == nil && r.empty >= maxEmptyReads {
		return io.ErrNoProgress
	}
	return err
}

// countWait adds the read that has brought bytes to the time that a message
// has taken. Bytes that begin one have ended an idle wait.
func (r *Reader) countWait() {
	switch {
	case !r.inside():
		r.spent = 0
	case r.timed:
		r.spent += time.Since(r.since)
	}
}

// expired decides what the deadline that has fired means. It returns nil if it
// was an earlier wait's.
func (r *Reader) expired() error {
	r.armed = time.Time{}
	r.spent += time.Since(r.since)
	switch limit := r.limit(); {
	case limit <= 0:
		return r.src.(deadliner).SetReadDeadline(time.Time{})
	case r.spent < limit:
		return nil
	case r.inside():
		return closef(CodePolicy, "a message must come within %v", limit)
	}
	r.spent = 0
	return os.ErrDeadlineExceeded
}

// fail notes an error that ends reading, and returns it.
func (r *Reader) fail(err error) error {
	if err == os.ErrDeadlineExceeded {
		return err
	}
	if err == io.EOF && r.inside() {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
	r.release()
	return err
}
