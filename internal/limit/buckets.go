package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

// shards is how many locks the buckets of one kind are spread over.
const shards = 32

// MaxBuckets bounds the buckets that one [Buckets] remembers: 16 bytes each
// and the map's share, some 4 MB in all.
const MaxBuckets = 1 << 17

// sweepEvery is how often a shard forgets full buckets at most. Forgetting
// costs some 10 ns for each that is remembered.
const sweepEvery = time.Second

// Buckets is a [Bucket] for each key, all of one rate. Its methods may be
// called from any goroutine.
//
// Keys are remembered by a 64-bit hash under a secret seed, so that a bucket
// has the same small size whatever its key is, and no key is kept. Two that
// have the same hash share a bucket; among 100,000 keys that happens once in
// four thousand million tries.
//
// When MaxBuckets are in use, none of which is full, new keys share one bucket
// for each shard. So whoever comes from ever new addresses is limited as one,
// and those who were there before are not touched.
type Buckets[K comparable] struct {
	rate   Rate
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.Mutex
	buckets  map[uint64]Bucket
	sweepAt  time.Duration // not before
	overflow Bucket        // shared by keys that find no place
	_        [24]byte      // shards do not share a cache line
}

// NewBuckets makes buckets of a rate; one that is off allows everything.
func NewBuckets[K comparable](rate Rate) *Buckets[K] {
	return &Buckets[K]{rate: rate, seed: maphash.MakeSeed()}
}

// Allow is [Bucket.Allow] for the bucket of key.
func (b *Buckets[K]) Allow(key K, n int) (ok bool, retryAfter time.Duration) {
	if b.rate.Off() {
		return true, 0
	}
	hash := maphash.Comparable(b.seed, key)
	s := &b.shards[hash%shards]
	at := now()
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, known := s.buckets[hash]
	if !known && !s.makePlace(at) {
		return s.overflow.take(b.rate, n, at)
	}
	if ok, retryAfter = bucket.take(b.rate, n, at); ok {
		s.buckets[hash] = bucket
	}
	return ok, retryAfter
}

// makePlace prepares for one more bucket, and reports whether there is a
// place for it. Full buckets are forgotten by moving the others to a new map,
// since a map never becomes smaller.
func (s *shard) makePlace(at time.Duration) bool {
	if at >= s.sweepAt {
		s.sweepAt = at + sweepEvery
		kept := make(map[uint64]Bucket)
		for hash, bucket := range s.buckets {
			if bucket.fullAt > at {
				kept[hash] = bucket
			}
		}
		s.buckets = kept
	}
	return len(s.buckets) < MaxBuckets/shards
}

// Len returns how many buckets are remembered.
func (b *Buckets[K]) Len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}
