// Package cache keeps the newest events of rooms in Redis, so that who comes
// into a room, or comes back to it, costs the store one row and not a page.
//
// It stands in front of a store and answers only what it can prove to be the
// store's own answer. The room's head is read from the store, and its tag;
// entries are used if they are of the same epoch, without a hole up to exactly
// that event, each following the one before it, not below the floor, and no
// edit, deletion or erasure among them is younger than the form in which an
// event that it touches was kept. Everything else, every error, and an
// answer that takes longer than a moment, is a read of the store. So nothing
// that happens to Redis, and nothing that is in it, changes an answer.
package cache

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/gather"
	"tertulia/internal/limit"
	"tertulia/internal/packed"
	"tertulia/internal/redis"
	"tertulia/internal/store"
)

const (
	// keepEvents is how many events are kept of a room, and maxEntryBytes how
	// large one may be: 256 KiB in all. Beyond a larger event nothing is found.
	keepEvents    = 64
	maxEntryBytes = 4 << 10
	// keepFor is how long after its last event a room is kept.
	keepFor = 10 * time.Minute
	// fillEvery is how often what was appended is written.
	fillEvery = 100 * time.Millisecond
	// dropAgain is after how long a room whose text was taken back is dropped
	// once more: another node may have written at the same time.
	dropAgain = time.Second
	// answerWithin is how long Redis may take; tests have more time. It is not
	// asked again for restFor after an error.
	answerWithin = 50 * time.Millisecond
	restFor      = time.Second
	// maxRooms bounds the rooms that wait to be written. What is new then
	// leaves a hole, and a hole is read from the store.
	maxRooms = 10_000
	// headWithin bounds a read of the store for several patient readers.
	headWithin = 10 * time.Second
)

// headRate is how many reads of the store patient readers are: a node that
// has just begun, and to which hundreds of clients a second come, opens
// hundreds of rooms.
var headRate = limit.Rate{Count: 10, Per: time.Second, Burst: 20}

// Config is what a [Store] is made of. Store, Redis and Secret are required.
type Config struct {
	Store store.Store
	Redis *redis.Client
	// Secret is known to the nodes of this deployment and to nobody else.
	Secret []byte
	// Logger is told when Redis fails. Nil discards.
	Logger *slog.Logger
}

// Store is a store whose newest events are read from Redis where that is
// provably the same.
type Store struct {
	store.Store
	redis  *redis.Client
	key    *packed.Key
	log    *slog.Logger
	within time.Duration // answerWithin
	counts Counts
	heads  *gather.Gather[chat.RoomID, store.Head]

	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	rest   time.Time // Redis is not asked before
	rooms  map[chat.RoomID]*change
	again  []dropped
	closed bool
}

// Counts are what a [Store] has done since it began.
type Counts struct {
	// Hits are the reads that were answered without reading events from the
	// store, Misses those that were not. Reads that could not be answered so,
	// because Redis rests or the log is not asked for its end, count as
	// neither.
	Hits, Misses count.Counter
	// Failed are the errors and late answers of Redis.
	Failed count.Counter
}

// New puts a cache in front of a store; closing it closes that too. The Redis
// client stays the caller's, to be closed afterwards.
func New(cfg Config) *Store {
	s := newStore(cfg)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.fill(ctx) })
	return s
}

func newStore(cfg Config) *Store {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		Store:  cfg.Store,
		redis:  cfg.Redis,
		key:    packed.NewKey(cfg.Secret, "cache"),
		log:    cfg.Logger,
		within: answerWithin,
		rooms:  make(map[chat.RoomID]*change),
	}
	s.heads = gather.New(headRate, headWithin, s.log, s.readHeads)
	return s
}

// Counts returns the counts, which go on rising.
func (s *Store) Counts() *Counts { return &s.counts }

// Close writes what waits, and closes the store behind.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.heads.Close()
	s.running.Wait()
	return s.Store.Close()
}

// keyOf returns where the events of a room are, in one life of its log.
func (s *Store) keyOf(id chat.RoomID, epoch string) string {
	return s.redis.Prefix() + "recent:{" + string(id) + "}:" + epoch
}

// failed notes an error of Redis, and gives it a rest.
func (s *Store) failed(err error) {
	s.counts.Failed.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = time.Now().Add(restFor)
	s.log.Debug("the cache of recent messages is not used", "error", err)
}

func (s *Store) resting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.rest)
}

// do asks Redis, and waits no longer than within, in a goroutine because
// a connection that is being made does not look at ctx. nil is an error that
// was noted.
func (s *Store) do(ctx context.Context, commands ...rueidis.Completed) []rueidis.RedisResult {
	answers := make(chan []rueidis.RedisResult, 1)
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.running.Go(func() { answers <- s.redis.Commands().DoMulti(ctx, commands...) })
	s.mu.Unlock()
	select {
	case all := <-answers:
		for i := range all {
			if err := all[i].Error(); err != nil {
				s.failed(err)
				return nil
			}
		}
		return all
	case <-ctx.Done():
		s.failed(ctx.Err())
		return nil
	}
}
