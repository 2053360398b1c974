package hub

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func frameOf(seq uint64, size int) []byte {
	b := fmt.Appendf(nil, "<%d>", seq)
	return append(b, bytes.Repeat([]byte{'.'}, max(0, size-len(b)))...)
}

// Whatever is read from a tail by whatever steps is the log, as far as the
// tail reaches back; what it lets go of is never more than its limit asks.
func TestTailIsTheEndOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 4 << 10
		var tl tail
		var log [][]byte
		first := rapid.Uint64Range(1, 1000).Draw(t, "first")
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			seq := first + uint64(len(log))
			frame := frameOf(seq, rapid.IntRange(1, 600).Draw(t, "size"))
			log = append(log, frame)
			tl.add(seq, frame, uint32(seq), false, limit)
		}
		head := first + uint64(len(log)) - 1
		held := 0
		for seq := tl.first(); seq <= head; seq++ {
			held += len(log[seq-first])
		}
		if total := len(bytes.Join(log, nil)); held < min(total, limit-maxChunkBytes) {
			t.Fatalf("the tail holds %d bytes of %d, less than its limit of %d allows", held, total, limit)
		}
		snap := tl.snapshot(nil)
		tl.add(head+1, frameOf(head+1, 10), 0, false, limit) // the snapshot does not move
		cursor := rapid.Uint64Range(snap.first()-1, head).Draw(t, "cursor")
		for cursor < head {
			upto := rapid.Uint64Range(cursor+1, head).Draw(t, "upto")
			budget := rapid.IntRange(1, 2000).Draw(t, "budget")
			got, last := snap.find(cursor+1).after(cursor, upto, budget)
			want := bytes.Join(log[cursor+1-first:last+1-first], nil)
			if !bytes.Equal(got, want) || last <= cursor || last > upto {
				t.Fatalf("after(%d, %d, %d) = %q up to %d, want %q", cursor, upto, budget, got, last, want)
			}
			if len(got) > budget && last > cursor+1 {
				t.Fatalf("after(%d, %d, %d) gave %d bytes in %d frames", cursor, upto, budget, len(got), last-cursor)
			}
			if tag, ok := snap.tag(last); !ok || tag != uint32(last) {
				t.Fatalf("tag(%d) = %d, %v", last, tag, ok)
			}
			cursor = last
		}
		if snap.find(head+1) != nil || snap.find(snap.first()-1) != nil {
			t.Fatal("find returned a chunk for a seq outside the tail")
		}
	})
}

func TestPassingKeepsTheLastState(t *testing.T) {
	var p passing
	for i := range 10 * maxPassing {
		e := passingEvent{state: state{presence, "a"}, version: uint64(i + 1)}
		if i%2 == 0 {
			e = passingEvent{state: state{typing, "b"}}
		}
		p.add(e)
		if len(p.events) > maxPassing {
			t.Fatalf("%d passing events are kept, want at most %d", len(p.events), maxPassing)
		}
	}
	if p.lost != 0 {
		t.Errorf("lost = %d, want 0: only superseded events were dropped", p.lost)
	}
	if last := p.events[len(p.events)-1]; last.n != p.last || last.version != 10*maxPassing {
		t.Errorf("the newest event is %+v, want the last one added", last)
	}
}

// Receipts and typing make room for what a reader may not miss.
func TestPassingDropsTypingAndReceiptsFirst(t *testing.T) {
	var p passing
	needed := 0
	for i := range maxPassing + 1 {
		class := []class{typing, receipt, presence}[i%3]
		if class == presence {
			needed++
		}
		p.add(passingEvent{state: state{class, string(userN(i))}})
	}
	if p.lost != 0 {
		t.Errorf("lost = %d, want 0 while there are others to drop", p.lost)
	}
	kept := 0
	for _, e := range p.events {
		if e.state.class == presence {
			kept++
		}
	}
	if kept != needed || len(p.events) != maxPassing/2+1 {
		t.Errorf("%d events are kept, %d of presence, want %d and all %d", len(p.events), kept, maxPassing/2+1, needed)
	}
}

func TestPassingSaysWhatItLost(t *testing.T) {
	var p passing
	for i := range 3 * maxPassing {
		p.add(passingEvent{state: state{presence, string(userN(i))}, version: uint64(i + 1)})
	}
	oldest := p.events[0].n
	if p.lost == 0 || p.lost >= oldest {
		t.Errorf("lost = %d with %d as the oldest kept, want the newest dropped", p.lost, oldest)
	}
	if got := p.after(p.last - 3); len(got) != 3 || got[0].n != p.last-2 {
		t.Errorf("after(last-3) has %d events, want the last 3", len(got))
	}
}
