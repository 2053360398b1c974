package gather

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tertulia/internal/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tenASecond is twenty questions at once, and then ten a second.
var tenASecond = limit.Rate{Count: 10, Per: time.Second, Burst: 20}

// doubling is a Gather of numbers whose values are twice as large.
type doubling struct {
	*Gather[int, int]
	questions, largest atomic.Int64
	takes              time.Duration
}

func newDoubling() *doubling {
	d := new(doubling)
	d.Gather = New(tenASecond, time.Minute, slog.New(slog.DiscardHandler), func(ctx context.Context, keys []int) ([]int, error) {
		d.questions.Add(1)
		d.largest.Store(max(d.largest.Load(), int64(len(keys))))
		values := make([]int, len(keys))
		for i, k := range keys {
			values[i] = 2 * k
		}
		select {
		case <-time.After(d.takes):
			return values, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return d
}

func (d *doubling) want(t *testing.T, keys ...int) {
	got, err := d.Get(t.Context(), keys...)
	if err != nil {
		t.Errorf("Get(%v): %v", keys, err)
		return
	}
	for i, k := range keys {
		if got[i] != 2*k {
			t.Errorf("Get(%v)[%d] = %d, want %d", keys, i, got[i], 2*k)
		}
	}
}

// Few questions do not wait; a storm is few questions.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoubling()
		defer d.Close()
		began := time.Now()
		for i := range 20 { // one after the other
			d.want(t, i)
		}
		if took := time.Since(began); took != 0 || d.questions.Load() != 20 {
			t.Errorf("20 took %v in %d questions, want no time, and 20", took, d.questions.Load())
		}
		var all sync.WaitGroup
		for i := range 3000 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				at := time.Now()
				d.want(t, i, i+1, i+2)
				if took := time.Since(at); took > 100*time.Millisecond {
					t.Errorf("one waited %v, want at most the step of the rate", took)
				}
			})
		}
		all.Wait()
		if n := d.questions.Load() - 20; n > 31 {
			t.Errorf("a storm of 3 s was %d questions, want ten a second", n)
		}
	})
}

// A question that is full waits for nothing.
func TestFullQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoubling()
		defer d.Close()
		for i := range 20 {
			d.want(t, i)
		}
		began := time.Now()
		keys := make([]int, maxKeys)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { d.want(t, keys...) })
		}
		all.Wait()
		if took := time.Since(began); took > 100*time.Millisecond || d.largest.Load() != maxKeys {
			t.Errorf("five full questions took %v, the largest of %d; want one step, and %d", took, d.largest.Load(), maxKeys)
		}
	})
}

// Who gives up leaves the others their answer, and Close waits for nobody's.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoubling()
		d.takes = time.Second
		var all sync.WaitGroup
		all.Go(func() { d.want(t, 1) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := d.Get(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v, want the end of its context", err)
		}
		all.Wait()
		all.Go(func() {
			if _, err := d.Get(t.Context(), 3); !errors.Is(err, context.Canceled) {
				t.Errorf("Get of what is closed = %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		began := time.Now()
		d.Close()
		all.Wait()
		if _, err := d.Get(t.Context(), 4); err == nil || time.Since(began) != 0 {
			t.Errorf("Get after Close = %v after %v, want an error at once", err, time.Since(began))
		}
	})
}

func TestError(t *testing.T) {
	wrong := errors.New("wrong")
	g := New(tenASecond, time.Minute, slog.New(slog.DiscardHandler), func(context.Context, []int) ([]int, error) { return nil, wrong })
	defer g.Close()
	if _, err := g.Get(t.Context(), 1); !errors.Is(err, wrong) {
		t.Errorf("Get = %v, want %v", err, wrong)
	}
}

// A panic ends the question and nothing else.
func TestPanic(t *testing.T) {
	g := New(tenASecond, time.Minute, slog.New(slog.DiscardHandler), func(_ context.Context, keys []int) ([]int, error) { return keys[:1/keys[0]], nil })
	defer g.Close()
	if _, err := g.Get(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "divide by zero") {
		t.Errorf("Get = %v, want the panic", err)
	}
	if got, err := g.Get(t.Context(), 1); err != nil || got[0] != 1 {
		t.Errorf("Get after a panic = %v, %v, want 1", got, err)
	}
}
