package limit

import (
	"hash/maphash"
	"sync"
)

// Places counts how many of something each key has at one time. Its methods
// may be called from any goroutine. Whatever holds a place is larger than the
// count of it, so that the memory here needs no bound of its own.
type Places[K comparable] struct {
	most int
	seed maphash.Seed

	mu    sync.Mutex
	taken map[uint64]int
}

// Place is one that was taken; the zero value is none.
type Place uint64

// NewPlaces gives each key most places; 0 is no limit.
func NewPlaces[K comparable](most int) *Places[K] {
	return &Places[K]{most: most, seed: maphash.MakeSeed(), taken: make(map[uint64]int)}
}

// Take takes a place of key's, unless all are taken. The caller gives it back.
func (p *Places[K]) Take(key K) (Place, bool) {
	if p.most == 0 {
		return 0, true
	}
	hash := maphash.Comparable(p.seed, key) | 1 // never 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[hash] >= p.most {
		return 0, false
	}
	p.taken[hash]++
	return Place(hash), true
}

// GiveBack ends the use of a place. It is called once for each place taken.
func (p *Places[K]) GiveBack(place Place) {
	if place == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	hash := uint64(place)
	if p.taken[hash]--; p.taken[hash] <= 0 {
		delete(p.taken, hash)
	}
}
