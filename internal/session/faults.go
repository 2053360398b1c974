package session

import (
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/wire"
)

// faults are the latest errors that were the client's.
type faults struct {
	mu   sync.Mutex
	at   []time.Time // within errorWindow, oldest first, at most maxErrors
	over bool        // there were maxErrors
}

// add notes one more and reports whether it is the one too many.
func (f *faults) add(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	past := 0
	for past < len(f.at) && now.Sub(f.at[past]) >= errorWindow {
		past++
	}
	f.at = append(slices.Delete(f.at, 0, past), now)
	f.over = len(f.at) == maxErrors
	return f.over
}

func (f *faults) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// count notes that the client was told of an error. One that makes too many
// itself is sent away, after the answers to what it asked before
// (docs/protocol.md §9).
func (d *dialogue) count(told *chat.Error) {
	if told.Code.Num() < firstServerFault && d.faults.add(time.Now()) {
		d.replies.end(d.srv.Framing.Close(nil, wire.CloseTooManyErrors, string(chat.TooManyErrors)))
	}
}

// firstServerFault is the lowest number of an error that is not the client's
// own (docs/protocol.md §7).
const firstServerFault = 1300
