package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

var (
	alice = chat.User{ID: "1", Name: "Alice"}
	bob   = chat.User{ID: "2", Name: "Bob"}

	byAlice = chat.Principal{User: alice}
	byBob   = chat.Principal{User: bob}
	service = chat.Principal{Service: true}
)

// recorder is a bus that nobody listens to, and that remembers.
type recorder struct {
	hook func([]chat.Event) // called for each Publish, if set

	mu     sync.Mutex
	topics []bus.Topic
	runs   [][]chat.Event
}

func (r *recorder) Publish(topic bus.Topic, events []chat.Event) {
	if r.hook != nil {
		r.hook(events)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics = append(r.topics, topic)
	r.runs = append(r.runs, events)
}

func (r *recorder) Subscribe(context.Context, bus.Topic, bus.Handler) (bus.Subscription, error) {
	return deaf{}, nil
}

// deaf is a subscription to a recorder, which calls nobody.
type deaf struct{}

func (deaf) Close() {}

func (r *recorder) Close() error { return nil }

// seqs returns what was published, as one "room:seq,seq" for each Publish.
func (r *recorder) seqs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, run := range r.runs {
		s := string(run[0].Room) + ":"
		for i, e := range run {
			if i > 0 {
				s += ","
			}
			s += fmt.Sprint(e.Seq)
		}
		out = append(out, s)
	}
	return out
}

// stage is a Service over a hostile store, and what came of its posts.
type stage struct {
	t     *testing.T
	store *hostile
	bus   *recorder
	*Service

	mu      sync.Mutex
	answers []string
	fatal   []error
}

// newStage sets up a Service whose rooms all exist. It is closed at the end
// of the test, so the test must be in its synctest bubble.
func newStage(t *testing.T, h *hostile) *stage {
	return newStageWith(t, h, Config{AutoCreate: true})
}

func newStageWith(t *testing.T, h *hostile, cfg Config) *stage {
	s := &stage{t: t, store: h, bus: new(recorder)}
	cfg.Store, cfg.Bus = h, s.bus
	cfg.Fatal = func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fatal = append(s.fatal, err)
	}
	s.Service = New(cfg)
	t.Cleanup(func() {
		s.Close()
		for _, breach := range h.breaches {
			t.Error(breach)
		}
	})
	return s
}

// post posts under a nonce that is the content, and notes the answer.
func (s *stage) post(room chat.RoomID, content string) {
	s.Post(Post{Room: room, By: chat.Principal{User: alice}, Nonce: chat.Nonce(content), Content: content}, s.noting(content))
}

// noting returns a callback that notes "content seq", "content again seq" or
// "content code".
func (s *stage) noting(content string) func(Posted, error) {
	return func(p Posted, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answers = append(s.answers, content+" "+outcome(p, err))
	}
}

func outcome(p Posted, err error) string {
	if e, ok := errors.AsType[*chat.Error](err); ok {
		return string(e.Code)
	}
	switch {
	case err != nil:
		return "not a chat.Error: " + err.Error()
	case p.Duplicate:
		return fmt.Sprintf("again %d", p.Event.Seq)
	}
	return fmt.Sprint(p.Event.Seq)
}

// pass lets time pass, and whatever is due by then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// taken returns the answers noted since it was last called.
func (s *stage) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.answers
	s.answers = nil
	return answers
}

// wantAnswers looks at the answers noted since taken was last called.
func (s *stage) wantAnswers(want ...string) {
	s.t.Helper()
	if got := s.taken(); !slices.Equal(got, want) {
		s.t.Errorf("answers = %q, want %q", got, want)
	}
}

// wantPublished looks at all that was published: see seqs.
func (s *stage) wantPublished(want ...string) {
	s.t.Helper()
	if got := s.bus.seqs(); !slices.Equal(got, want) {
		s.t.Errorf("published %q, want %q", got, want)
	}
}

// fates returns a plan: the fates of the first calls of Append; all goes well
// afterwards.
func fates(list ...fate) func(int, []store.Append) fate {
	return func(n int, _ []store.Append) fate {
		if n < len(list) {
			return list[n]
		}
		return fate{}
	}
}

// repeat returns n times the same fate.
func repeat(n int, f fate) []fate {
	list := make([]fate, n)
	for i := range list {
		list[i] = f
	}
	return list
}
