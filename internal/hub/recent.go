package hub

import (
	"context"
	"slices"

	"tertulia/chat"
	"tertulia/internal/store"
)

// recent collects the newest events of a room for a reader, newest first.
type recent struct {
	list  []Recent
	want  int // events more
	bytes int // and no more than these
}

// add takes the event before those that it has, and reports whether it took
// it.
func (r *recent) add(seq uint64, frame []byte) bool {
	if r.want <= 0 || len(frame) > r.bytes {
		r.want = 0
		return false
	}
	r.list = append(r.list, Recent{Seq: seq, Frame: frame})
	r.want--
	r.bytes -= len(frame)
	return true
}

// addTail takes what a tail has up to seq, and returns the seq below which it
// has nothing.
func (r *recent) addTail(t *tail, seq uint64, p Profile) uint64 {
	for k := t.find(seq); k != nil; k = t.find(seq) {
		if p == Seed {
			if _, hidden := k.run(seq, seq); hidden {
				seq--
				continue
			}
		}
		if !r.add(seq, k.frame(seq)) {
			break
		}
		seq--
	}
	return seq + 1
}

// recent returns the newest events up to head that the profile gets, oldest
// first: from the tail, and from the log what is older.
func (f *Feed) recent(ctx context.Context, known *tail, head, floor uint64, p Profile, opt AttachOptions) ([]Recent, error) {
	r := recent{want: opt.Recent, bytes: opt.RecentBytes}
	before := head + 1
	if r.want > 0 {
		before = r.addTail(known, head, p)
	}
	if r.want > 0 && before > floor {
		limit := store.Limit{Events: r.want, Bytes: r.bytes}
		if p == Seed {
			limit.Only = chat.KindMessage
		}
		page, err := f.hub.cfg.Log.Before(ctx, f.room, before, limit)
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(page.Events) {
			r.add(e.Seq, f.hub.cfg.Encode.Durable(nil, &e))
		}
	}
	slices.Reverse(r.list)
	return r.list, nil
}
