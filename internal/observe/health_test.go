package observe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// probe asks health one question.
func probe(h *Health, path string) (code int, body string) {
	mux := http.NewServeMux()
	h.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

// wantProbe asks and compares.
func wantProbe(t *testing.T, h *Health, path string, code int, body string) {
	t.Helper()
	if gotCode, gotBody := probe(h, path); gotCode != code || gotBody != body {
		t.Errorf("GET %s = %d %q, want %d %q", path, gotCode, gotBody, code, body)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestHealthFollowsItsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := NewHealth("0.1.0", NewLogger(&log, LogOptions{}))
		defer h.Close()
		var broken atomic.Bool
		h.Add("store", func(context.Context) error {
			if broken.Load() {
				return errors.New("disk full")
			}
			return nil
		})
		h.Add("bus", func(context.Context) error { return nil })

		wantProbe(t, h, "/livez", 200, "ok\n")
		wantProbe(t, h, "/readyz", 200, "ok\n")
		wantProbe(t, h, "/readyz?verbose", 200, "[+] store ok, 0.0 ms\n[+] bus ok, 0.0 ms\nok\n")
		wantProbe(t, h, "/health", 200, `{"status":"ok","version":"0.1.0","checks":{"bus":"ok","store":"ok"}}`+"\n")

		broken.Store(true)
		time.Sleep(checkAge)
		wantProbe(t, h, "/livez", 200, "ok\n")
		wantProbe(t, h, "/readyz", 503, "failing\n")
		time.Sleep(12 * time.Second)
		wantProbe(t, h, "/readyz?verbose", 503, "[-] store failing, for 12s\n[+] bus ok, 0.0 ms\nfailing\n")
		wantProbe(t, h, "/health", 503, `{"status":"failing","version":"0.1.0","checks":{"bus":"ok","store":"failing"}}`+"\n")

		broken.Store(false)
		time.Sleep(checkAge)
		wantProbe(t, h, "/readyz", 200, "ok\n")

		want := []string{
			`WARN  health check fails check=store error="disk full"`,
			`INFO  health check works again check=store after=13s`,
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != len(want) {
			t.Fatalf("log:\n%s\nwant %d lines", log.String(), len(want))
		}
		for i, line := range lines {
			if _, text, _ := strings.Cut(line, " "); text != want[i] {
				t.Errorf("line %d is %q, want %q", i, text, want[i])
			}
		}
	})
}

// What the server can do without is shown as degraded, and keeps nobody away.
func TestOptionalCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth("0.1.0", quiet())
		defer h.Close()
		h.Add("store", func(context.Context) error { return nil })
		h.AddOptional("redis", func(context.Context) error { return errors.New("no route") })
		wantProbe(t, h, "/readyz", 200, "ok\n")
		since := time.Now().UTC().Format(time.RFC3339)
		time.Sleep(12 * time.Second)
		wantProbe(t, h, "/readyz?verbose", 200, "[+] store ok, 0.0 ms\n[~] redis degraded since "+since+", for 12s\nok\n")
		wantProbe(t, h, "/health", 200, `{"status":"ok","version":"0.1.0","checks":{"redis":"degraded","store":"ok"}}`+"\n")
		if h.Passes(t.Context(), "redis") {
			t.Error("Passes(redis) = true, want false")
		}
	})
}

// A check that failed when it was last asked for, long ago, may have passed since.
func TestFailingIsNotRememberedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth("0.1.0", quiet())
		defer h.Close()
		h.Add("store", func(context.Context) error { return errors.New("not yet") })
		wantProbe(t, h, "/readyz?verbose", 503, "[-] store failing, for 0s\nfailing\n")
		time.Sleep(checkMemory - time.Second)
		wantProbe(t, h, "/readyz?verbose", 503, "[-] store failing, for 59s\nfailing\n")
		time.Sleep(checkMemory)
		wantProbe(t, h, "/readyz?verbose", 503, "[-] store failing, for 0s\nfailing\n")
	})
}

func TestPasses(t *testing.T) {
	h := NewHealth("0.1.0", quiet())
	defer h.Close()
	h.Add("good", func(context.Context) error { return nil })
	h.Add("bad", func(context.Context) error { return errors.New("no") })
	for name, want := range map[string]bool{"good": true, "bad": false, "unheard of": false} {
		if got := h.Passes(t.Context(), name); got != want {
			t.Errorf("Passes(%s) = %v, want %v", name, got, want)
		}
	}
}

func TestDraining(t *testing.T) {
	h := NewHealth("0.1.0", quiet())
	defer h.Close()
	h.Add("store", func(context.Context) error { return nil })
	h.Drain()
	wantProbe(t, h, "/livez", 200, "ok\n")
	wantProbe(t, h, "/readyz", 503, "draining\n")
	wantProbe(t, h, "/health", 503, `{"status":"draining","version":"0.1.0","checks":{"store":"ok"}}`+"\n")
}

// However often a server is probed, it asks its store once a second.
func TestProbingIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth("0.1.0", quiet())
		defer h.Close()
		var runs atomic.Int32
		h.Add("store", func(context.Context) error {
			runs.Add(1)
			return nil
		})
		for range 100 {
			probe(h, "/readyz")
			probe(h, "/health")
			time.Sleep(checkAge / 10)
		}
		if got := runs.Load(); got != 10 {
			t.Errorf("the check ran %d times in 10 s, want 10", got)
		}
	})
}

// A check that hangs is failing after checkTimeout, for every prober that
// comes, and is not started again beside itself.
func TestCheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth("0.1.0", quiet())
		var runs atomic.Int32
		release := make(chan struct{})
		h.Add("store", func(context.Context) error { // deaf to its context
			if runs.Add(1) > 1 {
				<-release
			}
			return nil
		})
		wantProbe(t, h, "/readyz", 200, "ok\n")
		time.Sleep(checkAge)

		began := time.Now()
		for range 10 {
			go probe(h, "/readyz")
		}
		wantProbe(t, h, "/readyz", 503, "failing\n")
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("the probe took %v, want %v", took, checkTimeout)
		}
		began = time.Now()
		wantProbe(t, h, "/readyz?verbose", 503, "[-] store failing, for 2s\nfailing\n")
		if took := time.Since(began); took != 0 {
			t.Errorf("the next probe took %v, want none", took)
		}
		if got := runs.Load(); got != 2 {
			t.Errorf("the check ran %d times, want 2", got)
		}
		close(release)
		synctest.Wait()
		wantProbe(t, h, "/readyz", 200, "ok\n")
		h.Close()
	})
}

// Close ends a check under way, waits for it, and does not call that a
// failure.
func TestCloseWhileChecking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := NewHealth("0.1.0", NewLogger(&log, LogOptions{}))
		ended := false
		h.Add("store", func(ctx context.Context) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		})
		go probe(h, "/readyz")
		synctest.Wait()
		h.Close()
		if !ended {
			t.Error("Close returned before the check did")
		}
		if log.Len() > 0 {
			t.Errorf("log has %q, want nothing", log.String())
		}
	})
}

func TestHealthWithoutAnswerYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth("0.1.0", quiet())
		defer h.Close()
		h.Add("store", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		wantProbe(t, h, "/readyz", 503, "failing\n")
	})
}
