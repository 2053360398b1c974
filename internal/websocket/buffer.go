package websocket

import (
	"math/bits"
	"sync"
)

const (
	// homeBytes is what an idle reader holds: a chat command of 200 bytes fits.
	// A longer one costs a second read and a borrowed buffer; twice as much
	// would cost every idle connection 256 bytes.
	homeBytes = 256
	// burstBytes bounds what is borrowed only because a read came back full
	// and ended within a frame, so that more is on its way.
	burstBytes = 4 << 10
	// maxControlFrame is the longest control frame from a client. A read has
	// room for at least one, unless the frame under way needs less.
	maxControlFrame = 2 + maskBytes + MaxControlBytes
)

// Buffers from minLent to maxLent bytes, by powers of two, are pooled. Longer
// ones, for limits above the usual 64 KiB, are left to the garbage collector.
const (
	minLent = 2 * homeBytes
	maxLent = 128 << 10
)

var pools [9]sync.Pool // of *[]byte; minLent<<i bytes in pools[i]

func poolOf(size int) *sync.Pool { return &pools[bits.Len(uint(size/minLent))-1] }

func borrow(size int) *[]byte {
	if size <= maxLent {
		if b, ok := poolOf(size).Get().(*[]byte); ok {
			return b
		}
	}
	b := make([]byte, size)
	return &b
}

func giveBack(b *[]byte) {
	if len(*b) <= maxLent {
		poolOf(len(*b)).Put(b)
	}
}

// sizeFor returns the buffer size for n bytes: a power of two, at least
// homeBytes.
func sizeFor(n int) int {
	if n <= homeBytes {
		return homeBytes
	}
	return 1 << bits.Len(uint(n-1))
}

// fit moves what is kept, the unfinished message and the bytes not yet parsed,
// to the front of a buffer with room for a read. The size follows from what
// has arrived and not from what a header declares: less than twice the kept
// bytes and a control frame together, or homeBytes.
func (r *Reader) fit() {
	room := maxControlFrame
	if r.inFrame {
		room = min(room, r.remaining)
	}
	size := sizeFor(r.end - r.start + r.w - r.r + room)
	if r.full && r.inside() {
		size = max(size, min(2*len(r.buf), burstBytes))
	}
	if size == len(r.buf) {
		r.moveTo(r.buf)
		return
	}
	lent := r.lent
	if size == homeBytes {
		r.lent = nil
		r.moveTo(r.home[:])
	} else {
		r.lent = borrow(size)
		r.moveTo(*r.lent)
	}
	if lent != nil {
		giveBack(lent)
	}
}

// moveTo copies what is kept to the front of dst, which may be r.buf itself.
func (r *Reader) moveTo(dst []byte) {
	n := r.end - r.start
	if r.start > 0 || &dst[0] != &r.buf[0] {
		copy(dst, r.buf[r.start:r.end])
	}
	m := copy(dst[n:], r.buf[r.r:r.w])
	r.start, r.end = 0, n
	r.r, r.w = n, n+m
	r.buf = dst
}

// release gives back what is borrowed and forgets what is buffered.
func (r *Reader) release() {
	if r.lent != nil {
		giveBack(r.lent)
		r.lent = nil
	}
	r.buf = r.home[:]
	r.start, r.end, r.r, r.w = 0, 0, 0, 0
}
