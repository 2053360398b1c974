package gateway

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// judge ends a write to a peer that takes fewer than pieceBytes within a
// timeout. That the write goes on is not enough to judge by: Linux wakes who
// waits for a full socket only when a third of its buffer is free, which may
// be more than a megabyte, and a peer that is slow but steady takes that only
// in many timeouts. So what the socket still holds is looked at too.
type judge struct {
	nc      net.Conn // which the write is to
	socket  net.Conn // nc, or what is below its TLS
	timeout time.Duration
	written atomic.Int64 // bytes that nc has taken so far

	mu    sync.Mutex
	over  bool
	taken int64 // by the peer up to the last look, beside a constant
	timer *time.Timer
}

// newJudge begins to watch. The caller counts what it writes in written, and
// calls end.
func newJudge(nc, socket net.Conn, timeout time.Duration) *judge {
	j := &judge{nc: nc, socket: socket, timeout: timeout}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.taken = j.takenNow()
	j.timer = time.AfterFunc(timeout, j.look)
	return j
}

// takenNow is what has been written and is not in the socket any more.
func (j *judge) takenNow() int64 { return j.written.Load() - queued(j.socket) }

// look is called once a timeout.
func (j *judge) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		return
	}
	if now := j.takenNow(); now-j.taken >= pieceBytes {
		j.taken = now
		j.timer.Reset(j.timeout)
		return
	}
	// An error here is the connection's end, and the write meets it too.
	_ = j.nc.SetWriteDeadline(time.Unix(1, 0)) // the past
}

// end is called when the write is over, and leaves no deadline.
func (j *judge) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	j.timer.Stop()
	_ = j.nc.SetWriteDeadline(time.Time{}) // the next write meets the error
}
