package bustest

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

var errClosed = errors.New("chaotic bus: closed")

// Faults says how often a hostile bus misbehaves. The probabilities go from 0
// (never) to 1 (always) and are rolled for each event and subscriber.
type Faults struct {
	// Drop loses an event.
	Drop float64
	// Double hands an event over twice. The copies are then reordered and
	// delayed each on its own.
	Double float64
	// Reorder holds an event back until another one has overtaken it, or
	// until MaxDelay has passed without another.
	Reorder float64
	// Bare hands a durable event over without its content.
	Bare float64
	// Delay hands an event over later, after up to MaxDelay.
	Delay float64
	// MaxDelay bounds all lateness; 0 is 10 ms.
	MaxDelay time.Duration
}

// ChaoticBreaks names the cases of [Run] that a [Chaotic] bus with faults
// breaks on purpose. It passes the others, and all of them without faults.
var ChaoticBreaks = []string{
	"ReachesOwnNodeBeforePublishReturns",
	"KeepsOrderOfOnePublisher",
	"SubscribeTakesEffectAtReturn",
}

// Chaotic returns a bus that does to the events of inner what the contract
// allows between nodes, and does it on the own node too. It keeps the
// contract's other sentences.
//
// Each subscription rolls dice of its own, seeded by seed, the topic, and how
// many subscriptions the topic had before: the same events in the same order
// meet the same fate. Late events are handed over by timers, so the bus works
// under testing/synctest. Closing a subscription or the bus stops the timers
// and waits for those that run; closing the bus closes inner.
func Chaotic(inner bus.Bus, seed uint64, faults Faults) bus.Bus {
	if faults.MaxDelay == 0 {
		faults.MaxDelay = 10 * time.Millisecond
	}
	return &chaotic{
		inner:  inner,
		seed:   seed,
		faults: faults,
		made:   make(map[bus.Topic]uint64),
		subs:   make(map[*chaoticSubscription]struct{}),
	}
}

type chaotic struct {
	// Fixed after construction.
	inner  bus.Bus
	seed   uint64
	faults Faults

	mu     sync.Mutex
	made   map[bus.Topic]uint64 // subscriptions so far
	subs   map[*chaoticSubscription]struct{}
	closed bool
}

func (c *chaotic) Publish(topic bus.Topic, events []chat.Event) { c.inner.Publish(topic, events) }

func (c *chaotic) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	s := &chaoticSubscription{
		bus:     c,
		faults:  c.faults,
		handler: h,
		dice:    c.dice(topic),
		timers:  make(map[*time.Timer]struct{}),
	}
	inner, err := c.inner.Subscribe(ctx, topic, s.take)
	if err != nil {
		return nil, err
	}
	s.inner = inner
	if !c.add(s) {
		s.end()
		return nil, errClosed
	}
	return s, nil
}

// add keeps s for Close to end, and reports false if Close has been here.
func (c *chaotic) add(s *chaoticSubscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.subs[s] = struct{}{}
	}
	return !c.closed
}

func (c *chaotic) dice(topic bus.Topic) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(topic)) // never fails
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[topic]++
	return rand.New(rand.NewPCG(c.seed, h.Sum64()+c.made[topic]))
}

func (c *chaotic) Close() error {
	err := c.inner.Close()
	for _, s := range c.takeAll() {
		s.end()
	}
	return err
}

// takeAll hands over the subscriptions that are left and lets none in any
// more.
func (c *chaotic) takeAll() []*chaoticSubscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	subs := slices.Collect(maps.Keys(c.subs))
	clear(c.subs)
	return subs
}

// chaoticSubscription stands between a subscription of the inner bus and its
// handler.
type chaoticSubscription struct {
	// Fixed after construction.
	bus     *chaotic
	faults  Faults
	inner   bus.Subscription
	handler bus.Handler

	// working counts timers that wait or run and calls of the handler. It
	// grows under mu while ended is false, so end can wait for it.
	working sync.WaitGroup

	mu     sync.Mutex
	dice   *rand.Rand
	timers map[*time.Timer]struct{}
	ended  bool
	// held waits to be overtaken, at most until holding fires.
	held    []chat.Event
	holding *time.Timer
}

// take is the handler on the inner bus.
func (s *chaoticSubscription) take(events []chat.Event) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	var now []chat.Event
	for _, e := range events {
		for range s.copies() {
			now = s.place(now, s.strip(e))
		}
	}
	s.working.Add(1)
	s.mu.Unlock()
	defer s.working.Done()
	if len(now) > 0 {
		s.handler(now)
	}
}

// copies rolls how often an event is handed over. s.mu is held.
func (s *chaoticSubscription) copies() int {
	switch {
	case s.roll(s.faults.Drop):
		return 0
	case s.roll(s.faults.Double):
		return 2
	}
	return 1
}

// strip rolls whether a copy of e comes bare. s.mu is held.
func (s *chaoticSubscription) strip(e chat.Event) chat.Event {
	if s.roll(s.faults.Bare) {
		return e.Stripped()
	}
	return e
}

// place rolls when one copy of e is handed over, and appends to now what is
// not to come later. s.mu is held.
func (s *chaoticSubscription) place(now []chat.Event, e chat.Event) []chat.Event {
	switch {
	case s.roll(s.faults.Reorder):
		if s.held = append(s.held, e); len(s.held) == 1 {
			s.holding = s.after(s.faults.MaxDelay, s.release)
		}
	case s.roll(s.faults.Delay):
		late := time.Duration(1 + s.dice.Int64N(int64(s.faults.MaxDelay)))
		s.after(late, func() []chat.Event { return []chat.Event{e} })
	default:
		now = append(append(now, e), s.release()...)
	}
	return now
}

func (s *chaoticSubscription) roll(p float64) bool { return p > 0 && s.dice.Float64() < p }

// release returns the events that waited to be overtaken. s.mu is held.
func (s *chaoticSubscription) release() []chat.Event {
	if s.holding != nil {
		s.cancel(s.holding)
	}
	held := s.held
	s.held, s.holding = nil, nil
	return held
}

// after hands what pick returns to the handler after d; pick is called under
// s.mu. s.mu is held.
func (s *chaoticSubscription) after(d time.Duration, pick func() []chat.Event) *time.Timer {
	s.working.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		defer s.working.Done()
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return
		}
		delete(s.timers, timer)
		events := pick()
		s.mu.Unlock()
		if len(events) > 0 {
			s.handler(events)
		}
	})
	s.timers[timer] = struct{}{}
	return timer
}

// cancel stops a timer, which may have fired. s.mu is held.
func (s *chaoticSubscription) cancel(timer *time.Timer) {
	if timer.Stop() {
		s.working.Done()
	}
	delete(s.timers, timer)
}

// end drops what is late and waits for what runs.
func (s *chaoticSubscription) end() {
	s.mu.Lock()
	s.ended = true
	for timer := range s.timers {
		s.cancel(timer)
	}
	s.mu.Unlock()
	s.working.Wait()
}

func (s *chaoticSubscription) Close() {
	s.inner.Close()
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	s.end()
}
