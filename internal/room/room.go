// Package room holds the rules: what a user may do in a room and what becomes
// of it, one file a verb.
//
// A post is checked and handed to the journal, which stores it and answers;
// after the answer its event goes out on the bus. Reading goes through [Log].
//
// # Promises
//
//   - The callback of every post is called exactly once. Success means that
//     the event is on stable storage.
//   - The callbacks of the posts that were taken into one room's queue come in
//     the order of the posts. A refusal within [Service.Post] comes at once.
//   - A post's callback is called before its event is published, and before a
//     read of [Log] that contains the event returns.
//   - Stored events are published in the order of their seqs and without a
//     gap, for as long as the store answers. An event may be published again.
//
// # The journal
//
// Rooms are hashed onto as many lanes as the store has writers. A lane is one
// goroutine with one batch in flight; what is posted meanwhile is the next
// batch. Nothing of a room can overtake a batch in flight, so its order needs
// no further care. The [Service] owns the lanes: New starts them, Close ends
// and joins them.
package room

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// defaultQueueBytes is one or two seconds of SQLite: 32 MiB hold some 80,000
// posts of 100 bytes, and it stores 39,000 to 183,000 rows a second
// (docs/performance.md, SQLite rows by batch). Who would wait longer is better
// told so.
const defaultQueueBytes = 32 << 20

// Config is what a [Service] is made of. Store, Bus and Fatal are required.
type Config struct {
	Store store.Store
	Bus   bus.Bus
	// AutoCreate lets every room exist: its first event begins its log.
	AutoCreate bool
	// Initial are the rooms that exist without having been made.
	Initial []chat.RoomID
	// Keep bounds the logs of rooms that have no bounds of their own; zero
	// keeps everything.
	Keep chat.Retention
	// TrimEvery is the time between two rounds of trimming; 0 is a minute.
	TrimEvery time.Duration
	// QueueBytes bounds the posts that wait in one lane, counted with what
	// they cost in memory; further ones are refused with
	// chat.StoreUnavailable. 0 is 32 MiB.
	QueueBytes int
	// Log takes one line at debug for each stored message, without its text,
	// and the troubles of the store. Nil discards.
	Log *slog.Logger
	// Fatal is called once, from a goroutine of the Service or within a verb,
	// when the store is broken (store.ErrBroken): the process must exit. It
	// must not call Drain or Close, which wait for those goroutines.
	Fatal func(error)
}

// Service applies the rules. All methods may be called from any goroutine.
type Service struct {
	// Fixed after construction.
	store      store.Store
	bus        bus.Bus
	log        *slog.Logger
	counts     *Counts
	fatal      func(error)
	autoCreate bool
	initial    map[chat.RoomID]bool
	seed       maphash.Seed
	lanes      []*lane
	marks      *marker
	janitor    *janitor
	reader     Log
	arrivals   *arrivals

	admissions admissions
	writers    writers
	opens      opens
	heed       heed

	// halt ends the context of the lanes: no batch is begun afterwards.
	halt context.CancelFunc

	fatalOnce sync.Once
}

// New starts one journal goroutine for each of the store's writers, one for
// marks and one that trims logs; Close ends them. The store and the bus stay the caller's, to be closed after the
// Service.
func New(cfg Config) *Service {
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = defaultQueueBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, halt := context.WithCancel(context.Background())
	s := &Service{
		store:      cfg.Store,
		bus:        cfg.Bus,
		log:        cfg.Log,
		counts:     newCounts(),
		fatal:      cfg.Fatal,
		autoCreate: cfg.AutoCreate,
		initial:    make(map[chat.RoomID]bool, len(cfg.Initial)),
		seed:       maphash.MakeSeed(),
		lanes:      make([]*lane, cfg.Store.Writers()),
		halt:       halt,
		admissions: newAdmissions(),
	}
	s.reader.s = s
	s.arrivals = newArrivals(s)
	s.marks = newMarker(s)
	s.janitor = newJanitor(s, cfg.Keep, cfg.TrimEvery)
	for _, id := range cfg.Initial {
		s.initial[id] = true
	}
	for i := range s.lanes {
		s.lanes[i] = newLane(ctx, cfg, s)
	}
	s.listen()
	for _, l := range s.lanes {
		go l.run()
	}
	go s.marks.run()
	go s.janitor.run(ctx)
	return s
}

// Log returns the reading side.
func (s *Service) Log() *Log { return &s.reader }

// Drain refuses new posts with chat.ShuttingDown and waits until those taken
// before are answered and published, or ctx ends. The error is the context's.
// Close still has to be called.
func (s *Service) Drain(ctx context.Context) error {
	s.refuse(errShuttingDown)
	for _, l := range s.lanes {
		select {
		case <-l.ended:
		case <-ctx.Done():
			return fmt.Errorf("drain the journal: %w", ctx.Err())
		}
	}
	return nil
}

// Close ends the journal and joins its goroutines. A batch in flight is
// waited for, but not run again if its outcome is unknown; what is still
// queued is answered with chat.ShuttingDown and not stored; marks that are
// queued are stored. Closing again does nothing. The error is always nil.
func (s *Service) Close() error {
	s.refuse(errShuttingDown)
	s.halt()
	s.deafen()
	s.arrivals.Close()
	s.marks.end()
	<-s.janitor.ended
	for _, l := range s.lanes {
		<-l.ended
	}
	return nil
}

// refuse lets the lanes take no more posts, and wakes them to notice.
func (s *Service) refuse(why *chat.Error) {
	for _, l := range s.lanes {
		l.refuse(why)
	}
}

// broken gives the store up, for all lanes.
func (s *Service) broken(err error) {
	s.refuse(errBroken)
	s.halt()
	s.fatalOnce.Do(func() {
		s.log.Error("the store is broken", "error", err)
		s.fatal(err)
	})
}

// lane returns the lane of a room and the key that stands for the room there.
func (s *Service) lane(id chat.RoomID) (l *lane, key uint64) {
	key = maphash.String(s.seed, string(id))
	return s.lanes[key%uint64(len(s.lanes))], key
}

// mayCreate reports whether a room without a log may begin one, open to all.
func (s *Service) mayCreate(id chat.RoomID) bool {
	return (s.autoCreate || s.initial[id]) && !id.Direct()
}
