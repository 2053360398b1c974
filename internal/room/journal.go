package room

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"tertulia/chat"
	"tertulia/internal/store"
)

// lane stores the posts of its rooms, one batch after another.
type lane struct {
	// Fixed after construction.
	store    store.Appender
	explain  func(*store.Append, error) error
	writers  *writers
	opens    *opens
	log      *slog.Logger
	counts   *Counts
	broken   func(error)
	maxBytes int
	ctx      context.Context // ends when no batch may be begun any more
	wake     chan struct{}   // one slot; filled when queue stops being empty
	ended    chan struct{}   // closed when run has returned

	late sync.Mutex // held by stall; run holds nothing while it waits for it

	// Owned by run.
	out     publisher
	failing bool // the last batch was not stored

	mu          sync.Mutex
	queue       []*batch // oldest first; posts go into the last
	queuedBytes int
	inFlight    *batch      // nil once it has been answered
	spare       *batch      // empty, for reuse
	refusal     *chat.Error // why no posts are taken; nil if they are
}

func newLane(ctx context.Context, cfg Config, s *Service) *lane {
	return &lane{
		store:    cfg.Store,
		explain:  s.explain,
		writers:  &s.writers,
		opens:    &s.opens,
		log:      cfg.Log,
		counts:   s.counts,
		broken:   s.broken,
		maxBytes: cfg.QueueBytes,
		ctx:      ctx,
		wake:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
		out:      publisher{bus: cfg.Bus, index: make(map[chat.RoomID]int)},
	}
}

// enqueue takes rows into one batch of the queue, or returns why it does not;
// the waiters are then left to the caller. There are at most maxBatchRows.
func (l *lane) enqueue(rows []store.Append, waiters []waiter) *chat.Error {
	bytes := 0
	for i := range rows {
		bytes += rowBytes(&rows[i])
	}
	l.mu.Lock()
	if why := l.refusalOf(bytes); why != nil {
		l.mu.Unlock()
		return why
	}
	idle := len(l.queue) == 0
	l.open(len(rows), bytes).add(rows, waiters, bytes)
	l.queuedBytes += bytes
	l.mu.Unlock()
	if idle {
		l.awaken()
	}
	return nil
}

// refusalOf returns why rows of this size are not taken. The caller holds mu.
func (l *lane) refusalOf(bytes int) *chat.Error {
	if l.refusal == nil && l.queuedBytes+bytes > l.maxBytes {
		return errQueueFull
	}
	return l.refusal
}

// open returns the last batch of the queue, or a new one behind it if that
// has no room for so many rows and bytes. The caller holds mu.
func (l *lane) open(rows, bytes int) *batch {
	if n := len(l.queue); n > 0 && l.queue[n-1].takes(rows, bytes) {
		return l.queue[n-1]
	}
	b := l.spare
	if l.spare = nil; b == nil {
		b = new(batch)
	}
	l.queue = append(l.queue, b)
	return b
}

func (l *lane) awaken() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// refuse lets the lane take no more posts, for good.
func (l *lane) refuse(why *chat.Error) {
	l.mu.Lock()
	l.refusal = why
	l.mu.Unlock()
	l.awaken()
}

// run stores what is queued until ctx ends, or until the queue is empty after
// refuse.
func (l *lane) run() {
	defer close(l.ended)
	for {
		b, over := l.take()
		switch {
		case over:
			l.dropQueue(l.why())
			return
		case b != nil:
			l.commit(b)
			l.recycle(b)
		default:
			l.idle()
		}
	}
}

// why returns the refusal in force.
func (l *lane) why() *chat.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal
}

func (l *lane) idle() {
	select {
	case <-l.wake:
	case <-l.ctx.Done():
	}
}

// take puts the oldest batch in flight. It returns nil if there is none, and
// over if there never will be.
func (l *lane) take() (b *batch, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, true
	}
	if len(l.queue) == 0 {
		return nil, l.refusal != nil
	}
	b = l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.queuedBytes -= b.bytes
	l.inFlight = b
	return b, false
}

// recycle keeps a batch that is over for the next one.
func (l *lane) recycle(b *batch) {
	b.reset()
	l.mu.Lock()
	l.spare = b
	l.mu.Unlock()
}
