package hub

import (
	"slices"
	"sort"
)

// Chunk sizes: a quiet room should cost little, a busy one few chunks.
const (
	minChunkBytes = 1 << 10
	maxChunkBytes = 64 << 10
)

// chunk is a run of frames in one piece of memory, so that what stands after
// a cursor is a slice of it and is written as it is.
//
// buf is allocated once and only appended to within its capacity. A copy of
// the struct is therefore a snapshot that stays good while the original grows.
type chunk struct {
	first  uint64 // seq of the first frame
	buf    []byte
	ends   []uint32 // where each frame ends in buf
	tags   []uint32
	hidden []uint32 // which frames the seed profile does not get, rising
}

func (c *chunk) last() uint64 { return c.first + uint64(len(c.ends)) - 1 }

// start returns where the frame of seq begins.
func (c *chunk) start(seq uint64) uint32 {
	if seq == c.first {
		return 0
	}
	return c.ends[seq-c.first-1]
}

func (c *chunk) frame(seq uint64) []byte {
	return c.buf[c.start(seq):c.ends[seq-c.first]]
}

func (c *chunk) tag(seq uint64) uint32 { return c.tags[seq-c.first] }

func (c *chunk) add(frame []byte, tag uint32, hidden bool) {
	if hidden {
		c.hidden = append(c.hidden, uint32(len(c.ends)))
	}
	c.buf = append(c.buf, frame...)
	c.ends = append(c.ends, uint32(len(c.buf)))
	c.tags = append(c.tags, tag)
}

// after returns the frames with after < seq ≤ upto, as many as fit into
// budget bytes but at least one, and the last seq among them. The chunk must
// hold after+1, and upto must not be below it.
func (c *chunk) after(after, upto uint64, budget int) ([]byte, uint64) {
	from := c.start(after + 1)
	i := int(after + 1 - c.first) // the first frame
	n := int(min(upto, c.last()) - c.first + 1)
	if int(c.ends[n-1]-from) > budget {
		n = max(i+1, i+sort.Search(n-i, func(k int) bool { return int(c.ends[i+k]-from) > budget }))
	}
	return c.buf[from:c.ends[n-1]:c.ends[n-1]], c.first + uint64(n) - 1
}

// run returns the last seq, upto at most, that the seed profile sees or does
// not see like seq, and which of the two it is. A chunk of messages only is one
// run, so that its readers share one slice.
func (c *chunk) run(seq, upto uint64) (last uint64, hidden bool) {
	i := uint32(seq - c.first)
	k, hidden := slices.BinarySearch(c.hidden, i)
	switch {
	case hidden:
		for k+1 < len(c.hidden) && c.hidden[k+1] == c.hidden[k]+1 {
			k++
		}
		last = c.first + uint64(c.hidden[k])
	case k < len(c.hidden):
		last = c.first + uint64(c.hidden[k]) - 1
	default:
		last = c.last()
	}
	return min(last, upto), hidden
}

// from returns a chunk of its own memory with the frames from seq on.
func (c *chunk) from(seq uint64) chunk {
	n := seq - c.first
	skip := c.start(seq)
	d := chunk{first: seq, tags: slices.Clone(c.tags[n:])}
	d.buf = append(make([]byte, 0, cap(c.buf)-int(skip)), c.buf[skip:]...)
	d.ends = make([]uint32, 0, len(c.ends)-int(n))
	for _, end := range c.ends[n:] {
		d.ends = append(d.ends, end-skip)
	}
	for _, i := range c.hidden {
		if i >= uint32(n) {
			d.hidden = append(d.hidden, i-uint32(n))
		}
	}
	return d
}

// tail is the newest part of a log as chunks, oldest first, without a hole.
// It may be empty.
type tail struct {
	chunks []chunk
	bytes  int // capacity of all chunks
}

// add appends the frame of the next seq and lets go of the oldest chunks
// while more than limit bytes would remain without them.
func (t *tail) add(seq uint64, frame []byte, tag uint32, hidden bool, limit int) {
	n := len(t.chunks)
	if n == 0 || cap(t.chunks[n-1].buf)-len(t.chunks[n-1].buf) < len(frame) {
		size := minChunkBytes
		if n > 0 {
			size = min(2*cap(t.chunks[n-1].buf), maxChunkBytes)
		}
		size = max(size, len(frame))
		t.chunks = append(t.chunks, chunk{first: seq, buf: make([]byte, 0, size)})
		t.bytes += size
		n++
	}
	t.chunks[n-1].add(frame, tag, hidden)
	drop := 0
	for drop < n-1 && t.bytes-cap(t.chunks[drop].buf) >= limit {
		t.bytes -= cap(t.chunks[drop].buf)
		drop++
	}
	if drop > 0 {
		t.chunks = slices.Clone(t.chunks[drop:])
	}
}

// forget lets go of the frames up to and including seq, and reports whether
// there were any. Nothing that snapshots share is changed.
func (t *tail) forget(seq uint64) bool {
	kept := t.chunks
	for len(kept) > 0 && kept[0].last() <= seq {
		t.bytes -= cap(kept[0].buf)
		kept = kept[1:]
	}
	if len(kept) == len(t.chunks) && (len(kept) == 0 || kept[0].first > seq) {
		return false
	}
	t.chunks = slices.Clone(kept)
	if len(kept) > 0 && kept[0].first <= seq {
		t.bytes -= cap(kept[0].buf)
		t.chunks[0] = kept[0].from(seq + 1)
		t.bytes += cap(t.chunks[0].buf)
	}
	return true
}

// prepend puts before t the frames that end right before its first, those of
// the newest chunks that limit bytes leave room for.
func (t *tail) prepend(older tail, limit int) {
	from := len(older.chunks)
	for from > 0 && t.bytes+cap(older.chunks[from-1].buf) <= limit {
		from--
		t.bytes += cap(older.chunks[from].buf)
	}
	t.chunks = slices.Concat(older.chunks[from:], t.chunks)
}

// first returns the lowest seq held; it is meaningless for an empty tail.
func (t *tail) first() uint64 { return t.chunks[0].first }

// find returns the chunk that holds seq, nil if none does.
func (t *tail) find(seq uint64) *chunk {
	if len(t.chunks) == 0 || seq < t.first() {
		return nil
	}
	i := sort.Search(len(t.chunks), func(i int) bool { return t.chunks[i].last() >= seq })
	if i == len(t.chunks) {
		return nil
	}
	return &t.chunks[i]
}

// tag returns the tag of the event at seq, if the tail holds it.
func (t *tail) tag(seq uint64) (tag uint32, ok bool) {
	c := t.find(seq)
	if c == nil {
		return 0, false
	}
	return c.tag(seq), true
}

// lastTag returns the tag of the newest event, if there is any.
func (t *tail) lastTag() (tag uint32, ok bool) {
	if len(t.chunks) == 0 {
		return 0, false
	}
	tags := t.chunks[len(t.chunks)-1].tags
	return tags[len(tags)-1], true
}

// contradicts reports whether the tail holds another event at seq than the one
// with this tag.
func (t *tail) contradicts(seq uint64, tag uint32) bool {
	has, ok := t.tag(seq)
	return ok && has != tag
}

// snapshot copies t so that it may be read while t grows; buf is reused.
func (t *tail) snapshot(buf []chunk) tail {
	return tail{chunks: append(buf[:0], t.chunks...), bytes: t.bytes}
}
