package bustest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder takes the place of a *testing.T for a case that should fail.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(string, ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// fails reports whether check finds fault. It runs in its own goroutine
// because Fatalf ends it.
func fails(check func(t testing.TB)) bool {
	r := &recorder{}
	var wg sync.WaitGroup
	wg.Go(func() { check(r) })
	wg.Wait()
	return r.failed
}

// broken is a local bus with one thing wrong.
type broken struct {
	*local.Bus
	publish   func(b *local.Bus, topic bus.Topic, events []chat.Event)
	subscribe func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error)
	close     func(b *local.Bus) error
}

func (b broken) Publish(topic bus.Topic, events []chat.Event) {
	if b.publish != nil {
		b.publish(b.Bus, topic, events)
		return
	}
	b.Bus.Publish(topic, events)
}

func (b broken) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	if b.subscribe != nil {
		return b.subscribe(b.Bus, ctx, topic, h)
	}
	return b.Bus.Subscribe(ctx, topic, h)
}

func (b broken) Close() error {
	if b.close != nil {
		return b.close(b.Bus)
	}
	return b.Bus.Close()
}

// closer is a subscription with a Close of its own.
type closer func()

func (c closer) Close() { c() }

// TestSuiteFindsFaults shows for each case a bus that fails it. (What
// MethodsFromAnyGoroutine finds, it finds by the race detector.)
func TestSuiteFindsFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		broken func() broken
		cases  []string
	}{
		{"publishes nothing", func() broken {
			return broken{publish: func(*local.Bus, bus.Topic, []chat.Event) {}}
		}, []string{"CarriesToEverySubscriber"}},
		{"loses a field", func() broken {
			return broken{publish: func(b *local.Bus, topic bus.Topic, events []chat.Event) {
				events = slices.Clone(events)
				for i := range events {
					events[i].Follows = 0
				}
				b.Publish(topic, events)
			}}
		}, []string{"CarriesToEverySubscriber"}},
		{"mixes topics", func() broken {
			return broken{
				publish: func(b *local.Bus, _ bus.Topic, events []chat.Event) { b.Publish("one", events) },
				subscribe: func(b *local.Bus, ctx context.Context, _ bus.Topic, h bus.Handler) (bus.Subscription, error) {
					return b.Subscribe(ctx, "one", h)
				},
			}
		}, []string{"KeepsTopicsApart"}},
		{"publishes late", func() broken {
			return broken{publish: func(b *local.Bus, topic bus.Topic, events []chat.Event) {
				go b.Publish(topic, events)
			}}
		}, []string{"ReachesOwnNodeBeforePublishReturns", "SubscribeTakesEffectAtReturn"}},
		{"turns batches round", func() broken {
			return broken{publish: func(b *local.Bus, topic bus.Topic, events []chat.Event) {
				slices.Reverse(events)
				b.Publish(topic, events)
			}}
		}, []string{"KeepsOrderOfOnePublisher"}},
		{"uses one buffer for all", func() broken {
			buffer := make([]chat.Event, 2)
			return broken{publish: func(b *local.Bus, topic bus.Topic, events []chat.Event) {
				copy(buffer, events)
				b.Publish(topic, buffer)
			}}
		}, []string{"HandlerMayKeepEvents"}},
		{"replays the past", func() broken {
			var mu sync.Mutex
			past := make(map[bus.Topic][]chat.Event)
			return broken{
				publish: func(b *local.Bus, topic bus.Topic, events []chat.Event) {
					mu.Lock()
					past[topic] = append(past[topic], events...)
					mu.Unlock()
					b.Publish(topic, events)
				},
				subscribe: func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
					mu.Lock()
					h(past[topic])
					mu.Unlock()
					return b.Subscribe(ctx, topic, h)
				},
			}
		}, []string{"SubscribeBringsNothingFromBefore"}},
		{"ignores the context", func() broken {
			return broken{subscribe: func(b *local.Bus, _ context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
				return b.Subscribe(context.Background(), topic, h)
			}}
		}, []string{"SubscribeFailsIfContextEnded"}},
		{"clings to the context", func() broken {
			return broken{subscribe: func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
				return b.Subscribe(ctx, topic, func(events []chat.Event) {
					if ctx.Err() == nil {
						h(events)
					}
				})
			}}
		}, []string{"SubscriptionOutlivesContext"}},
		{"closes no subscription", func() broken {
			return broken{subscribe: func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
				_, err := b.Subscribe(ctx, topic, h)
				return closer(func() {}), err
			}}
		}, []string{"SubscriptionCloseEndsCalls", "SubscriptionCloseLeavesOthers"}},
		{"does not wait in a subscription's Close", func() broken {
			return broken{subscribe: func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
				sub, err := b.Subscribe(ctx, topic, h)
				return closer(func() { // as if a call were under way each time
					sub.Close()
					go func() {
						for range 5 {
							runtime.Gosched()
						}
						h([]chat.Event{event("tertulia", 1)})
					}()
				}), err
			}}
		}, []string{"SubscriptionCloseEndsCalls"}},
		{"closes a subscription and all", func() broken {
			return broken{subscribe: func(b *local.Bus, ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
				_, err := b.Subscribe(ctx, topic, h)
				return closer(func() { b.Close() }), err
			}}
		}, []string{"SubscriptionCloseLeavesOthers"}},
		{"does not close", func() broken {
			return broken{close: func(*local.Bus) error { return nil }}
		}, []string{"CloseEndsAllSubscriptions", "PublishAfterCloseDoesNothing", "SubscribeAfterCloseFails"}},
	} {
		for _, name := range tc.cases {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == name })
					b := tc.broken()
					b.Bus = local.New()
					defer b.Bus.Close()
					if !fails(func(t testing.TB) { cases[i].run(t, b) }) {
						t.Errorf("%s passed, want it to fail", name)
					}
				})
			})
		}
	}
}

func TestNodesConformance(t *testing.T) {
	RunNodes(t, func(_ *testing.T, n int) []bus.Bus { return network(n) })
}

func TestNodesSuiteFindsFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nodes func(n int) []bus.Bus
		cases []string
	}{
		{"nodes apart", func(n int) []bus.Bus {
			nodes := make([]bus.Bus, n)
			for i := range nodes {
				nodes[i] = local.New()
			}
			return nodes
		}, []string{"CarriesToEveryNode"}},
		{"one bus for all", func(n int) []bus.Bus {
			return slices.Repeat([]bus.Bus{local.New()}, n)
		}, []string{"PublishDoesNotWaitForAnotherNode", "CloseIsOfOneNode"}},
		{"late at home", func(n int) []bus.Bus {
			nodes := network(n)
			nodes[0] = lateNode{nodes[0]}
			return nodes
		}, []string{"ReachesOwnNodeBeforePublishReturns"}},
	} {
		for _, name := range tc.cases {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					i := slices.IndexFunc(nodesCases, func(c nodesCase) bool { return c.name == name })
					nodes := tc.nodes(3)
					if !fails(func(t testing.TB) { nodesCases[i].run(t, nodes) }) {
						t.Errorf("%s passed, want it to fail", name)
					}
					for _, b := range nodes {
						b.Close()
					}
				})
			})
		}
	}
}

// network returns n nodes that hand each other what is published, each by a
// goroutine of its own; a node whose queue is full loses.
func network(n int) []bus.Bus {
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = &node{Bus: local.New(), queue: make(chan parcel, 16), done: make(chan struct{})}
	}
	all := make([]bus.Bus, n)
	for i, to := range nodes {
		to.peers = slices.Delete(slices.Clone(nodes), i, i+1)
		to.running.Go(to.work)
		all[i] = to
	}
	return all
}

type parcel struct {
	topic  bus.Topic
	events []chat.Event
}

type node struct {
	*local.Bus
	peers   []*node
	queue   chan parcel
	done    chan struct{}
	running sync.WaitGroup
}

func (n *node) work() {
	for {
		select {
		case p := <-n.queue:
			n.Bus.Publish(p.topic, p.events)
		case <-n.done:
			return
		}
	}
}

func (n *node) Publish(topic bus.Topic, events []chat.Event) {
	select {
	case <-n.done:
		return
	default:
	}
	n.Bus.Publish(topic, events)
	for _, to := range n.peers {
		select {
		case to.queue <- parcel{topic, events}:
		default:
		}
	}
}

// lateNode publishes after Publish has returned.
type lateNode struct{ bus.Bus }

func (n lateNode) Publish(topic bus.Topic, events []chat.Event) { go n.Bus.Publish(topic, events) }

func (n *node) Close() error {
	close(n.done)
	n.running.Wait()
	return n.Bus.Close()
}
