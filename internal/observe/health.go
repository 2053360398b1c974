package observe

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// Health answers whether the server lives, and whether it is ready for
// clients. Readiness is asked of named checks, such as one for the store.
//
// However often it is probed, a check runs at most once a second, and never
// twice at a time. The answers name the checks but not the reasons, which
// stand in the log: once when a check begins to fail, once when it works
// again.
//
// [Health.Add] comes before the first request; every other method may be
// called from any goroutine.
type Health struct {
	// Fixed when requests begin.
	version string
	log     *slog.Logger
	checks  []*check

	draining atomic.Bool

	stopped context.Context // ends with Close
	stop    context.CancelFunc
}

// NewHealth makes a health without checks. Version is reported as it is.
func NewHealth(version string, log *slog.Logger) *Health {
	h := &Health{version: version, log: log}
	h.stopped, h.stop = context.WithCancel(context.Background())
	return h
}

// Add adds a check that must pass for the server to be ready. run says what
// is wrong, or nil, and returns soon after its context ends, which is
// checkTimeout after its call.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.checks = append(h.checks, &check{name: name, run: run, log: h.log})
}

// AddOptional adds a check of something without which the server does worse
// and serves all the same. A probe shows it, and is not failed by it; run is
// as for [Health.Add].
func (h *Health) AddOptional(name string, run func(context.Context) error) {
	h.checks = append(h.checks, &check{name: name, optional: true, run: run, log: h.log})
}

// Drain makes the server not ready for good: load balancers should send
// nobody any more.
func (h *Health) Drain() { h.draining.Store(true) }

// Close ends the checks under way and waits for them. Requests that come
// later get the latest results.
func (h *Health) Close() {
	h.stop()
	for _, c := range h.checks {
		c.join()
	}
}

// Register serves /livez, /readyz and /health on mux.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", h.serveLive)
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.HandleFunc("GET /health", h.serveHealth)
}

// report is the state of everything at one moment.
type report struct {
	status  string // statusOK, or why the server is not ready
	results []result
}

const (
	statusOK       = "ok"
	statusFailing  = "failing"
	statusDegraded = "degraded" // of an optional check
	statusDraining = "draining"
)

func (h *Health) report(ctx context.Context) report {
	r := report{status: statusOK}
	for _, c := range h.checks {
		c.start(h.stopped)
	}
	for _, c := range h.checks {
		result := c.wait(ctx)
		if result.failing && !result.optional {
			r.status = statusFailing
		}
		r.results = append(r.results, result)
	}
	if h.draining.Load() {
		r.status = statusDraining
	}
	return r
}

// Passes reports whether the check of that name passes now. It waits for it
// as long as a probe would.
func (h *Health) Passes(ctx context.Context, name string) bool {
	for _, c := range h.checks {
		if c.name == name {
			c.start(h.stopped)
			return !c.wait(ctx).failing
		}
	}
	return false
}

func (r report) code() int {
	if r.status != statusOK {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// serveLive answers as long as the process can answer at all. It asks no
// dependency: restarting the server does not mend a broken store.
func (h *Health) serveLive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// serveReady answers in one word, or with ?verbose in one line a check:
//
//	[+] store ok, 0.4 ms
//	[-] store failing, for 12s
//	[~] redis degraded since 2026-11-28T10:00:00Z, for 12s
func (h *Health) serveReady(w http.ResponseWriter, req *http.Request) {
	r := h.report(req.Context())
	var b strings.Builder
	if req.URL.Query().Has("verbose") {
		for _, result := range r.results {
			fmt.Fprintln(&b, result)
		}
	}
	fmt.Fprintln(&b, r.status)
	answer(w, r.code(), "text/plain; charset=utf-8", []byte(b.String()))
}

// serveHealth answers the same in JSON:
//
//	{"status":"ok","version":"0.1.0","checks":{"store":"ok"}}
func (h *Health) serveHealth(w http.ResponseWriter, req *http.Request) {
	r := h.report(req.Context())
	body := struct {
		Status  string            `json:"status"`
		Version string            `json:"version"`
		Checks  map[string]string `json:"checks"`
	}{r.status, h.version, make(map[string]string)}
	for _, result := range r.results {
		body.Checks[result.name] = result.status()
	}
	data, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		h.log.Error("health report", "error", err)
		answer(w, http.StatusInternalServerError, "application/json", []byte("{}\n"))
		return
	}
	answer(w, r.code(), "application/json", append(data, '\n'))
}

func answer(w http.ResponseWriter, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // a prober that went away needs no answer
}

const (
	// checkTimeout is when a check that does not answer has failed. Probes
	// commonly give up after one second to ten.
	checkTimeout = 2 * time.Second
	// checkAge is for how long the result of a check is good.
	checkAge = time.Second
	// checkMemory is for how long it counts that a check has failed. It may have
	// passed between two runs that are further apart, so it fails anew: nobody
	// had asked in the meantime.
	checkMemory = time.Minute
)
