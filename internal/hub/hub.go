package hub

import (
	"context"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// Config says what a hub stands on. The first three fields are required; for
// the others zero is the default.
type Config struct {
	Bus bus.Bus
	// Log reads the rooms' logs. By the time one of its reads returns, the
	// replies to all local posts in the result have been queued; that is what
	// keeps an acknowledgement before its author's own copy.
	Log store.Reader
	// Encode makes the frames.
	Encode Encoder

	// Loops is the number of delivery loops; default GOMAXPROCS, at most 64.
	Loops int
	// TailBytes bounds the frames that a feed keeps; default 256 KiB, which
	// holds the 192 KiB of history that a client gets on connecting.
	TailBytes int
	// IdleFeeds bounds the feeds kept warm without a subscriber; default 1024.
	IdleFeeds int
	// GapWait is how long an event may wait for the one before it until the
	// log is read; default 50 ms (two nodes publish out of commit order).
	GapWait time.Duration
	// HeadCheck is how often the heads of busy rooms are compared with the
	// store, which finds a lost last event; default 2 s. Quiet rooms are
	// compared every fifth time.
	HeadCheck time.Duration
	Logger    *slog.Logger
}

// Limits of one hub. Their figures come from docs/performance.md.
const (
	defaultTailBytes = 256 << 10
	defaultIdleFeeds = 1024
	defaultGapWait   = 50 * time.Millisecond
	defaultHeadCheck = 2 * time.Second
	// idleAfter is how long a feed without subscribers stays warm.
	idleAfter = time.Minute
	// warmEvents is how much of a log a feed reads when it opens: the default
	// history on connect (50) and some more.
	warmEvents = 64
	// pageReads bounds the reads of the store on behalf of readers who have
	// fallen behind.
	pageReads = 16
	// openTimeout bounds the reads that open a feed.
	openTimeout = 10 * time.Second
)

// Hub is a node's feeds. Its methods may be called from any goroutine.
type Hub struct {
	cfg       Config
	counts    *Counts
	loops     []*loop
	connected atomic.Uint32 // connections ever; deals them to the loops in turn

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // loops, tend, writers, page reads, gap reads
	reads  chan struct{}  // pageReads slots

	spawning sync.Mutex // orders spawn and Close; taken last of all locks

	pagesMu sync.Mutex
	pages   pages

	doubts doubts

	mu    sync.Mutex
	feeds map[bus.Topic]*Feed
	idle  int // feeds without a subscriber
}

// New starts a hub: its loops and one goroutine that tends the feeds.
// Close ends and joins them.
func New(cfg Config) *Hub {
	if cfg.Loops <= 0 {
		cfg.Loops = min(runtime.GOMAXPROCS(0), 64)
	}
	cfg.TailBytes = orDefault(cfg.TailBytes, defaultTailBytes)
	cfg.IdleFeeds = orDefault(cfg.IdleFeeds, defaultIdleFeeds)
	cfg.GapWait = orDefault(cfg.GapWait, defaultGapWait)
	cfg.HeadCheck = orDefault(cfg.HeadCheck, defaultHeadCheck)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		cfg:    cfg,
		counts: newCounts(cfg.Loops),
		feeds:  make(map[bus.Topic]*Feed),
		reads:  make(chan struct{}, pageReads),
		pages:  make(pages),
		doubts: newDoubts(),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	for i := range cfg.Loops {
		l := &loop{id: i, hub: h, wake: make(chan struct{}, 1)}
		h.loops = append(h.loops, l)
		h.wg.Go(l.run)
	}
	h.wg.Go(h.tend)
	return h
}

// debugging reports whether each step of an event's way is logged.
func (h *Hub) debugging() bool { return h.cfg.Logger.Enabled(h.ctx, slog.LevelDebug) }

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Close ends all delivery and waits for the hub's goroutines. Connections are
// not closed: whoever made them closes them first.
func (h *Hub) Close() {
	h.spawning.Lock()
	h.cancel()
	h.spawning.Unlock()
	h.wg.Wait()
	h.mu.Lock()
	feeds := h.feeds
	h.feeds = nil
	h.mu.Unlock()
	for _, f := range feeds {
		f.close()
	}
}

// feed returns the open feed of a topic with one more reference, opening it if
// there is none. id is the room whose topic it is, "" if it is a user's. The
// caller gives the reference back with release.
func (h *Hub) feed(topic bus.Topic, id chat.RoomID, hurry bool) (*Feed, error) {
	f, first := h.refer(topic, id)
	if f == nil {
		return nil, chat.Errorf(chat.ShuttingDown, "The server is stopping; connect again in a moment.")
	}
	if first {
		f.open(hurry)
	}
	<-f.ready
	if f.openErr != nil {
		h.release(f)
		return nil, f.openErr
	}
	return f, nil
}

// refer returns the feed of a topic with one more reference, nil if the hub is
// closed. If first is true the caller has to open it.
func (h *Hub) refer(topic bus.Topic, id chat.RoomID) (f *Feed, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feeds == nil {
		return nil, false
	}
	f = h.feeds[topic]
	first = f == nil
	if first {
		f = newFeed(h, topic, id)
		h.feeds[topic] = f
	} else if f.refs == 0 {
		h.idle--
		f.active.Store(true) // nobody has looked since
	}
	f.refs++
	return f, first
}

// Open has the feeds of rooms opened at the same time, where [Hub.Attach] would
// open one after the other, and keeps them until the returned function is
// called. What became of each is said by Attach, to which a single one is left.
// hurry is as in [AttachOptions].
func (h *Hub) Open(rooms []chat.RoomID, hurry bool) (release func()) {
	if len(rooms) < 2 {
		return func() {}
	}
	var feeds []*Feed
	for _, id := range rooms {
		f, first := h.refer(bus.RoomTopic(id), id)
		if f == nil {
			break
		}
		feeds = append(feeds, f)
		if open := func() { f.open(hurry) }; first && !h.spawn(open) {
			open() // and learns that the hub is closing
		}
	}
	return func() {
		for _, f := range feeds {
			<-f.ready
			h.release(f)
		}
	}
}

// release gives back a reference. A feed that could not open is forgotten
// with its last one; another stays warm for a while.
func (h *Hub) release(f *Feed) {
	h.mu.Lock()
	f.refs--
	current := h.feeds[f.topic] == f // not evicted, and the hub is open
	forget := f.refs == 0 && (f.openErr != nil || !current)
	switch {
	case forget && current:
		delete(h.feeds, f.topic)
	case f.refs == 0 && current:
		h.idle++
		f.idleSince = time.Now()
	}
	h.mu.Unlock()
	if forget {
		f.close()
	}
}

// spawn runs fn in a goroutine that Close waits for; it reports false, and
// does nothing, once the hub is closing.
func (h *Hub) spawn(fn func()) bool {
	h.spawning.Lock()
	defer h.spawning.Unlock()
	if h.ctx.Err() != nil {
		return false
	}
	h.wg.Go(fn)
	return true
}

// tend closes feeds that nobody reads and looks for lost events: of the feeds
// in doubt soon, of the others every now and then. It is the only goroutine
// that compares, so one look at the store is under way at most.
func (h *Hub) tend() {
	tick := time.NewTicker(h.cfg.HeadCheck)
	defer tick.Stop()
	rounds := rounds{every: h.cfg.HeadCheck, last: time.Now()}
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.doubts.wake:
			h.settleDoubts()
		case <-tick.C:
			h.closeIdle()
			h.checkHeads(rounds.all(time.Now()))
			h.releasePassing()
		}
	}
}

// releasePassing frees the typing and presence events that everyone has
// passed.
func (h *Hub) releasePassing() {
	h.mu.Lock()
	feeds := slices.Collect(maps.Values(h.feeds))
	h.mu.Unlock()
	for _, f := range feeds {
		f.releasePassing()
	}
}

func (h *Hub) closeIdle() {
	var closing []*Feed
	h.mu.Lock()
	now := time.Now()
	for topic, f := range h.feeds {
		if f.refs > 0 || now.Sub(f.idleSince) < idleAfter && h.idle <= h.cfg.IdleFeeds {
			continue
		}
		delete(h.feeds, topic)
		h.idle--
		closing = append(closing, f)
	}
	h.mu.Unlock()
	for _, f := range closing {
		f.close()
	}
}
