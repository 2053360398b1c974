package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"tertulia/chat"
)

// record is what is known of one request while it is answered. It belongs to
// the goroutine that answers it.
type record struct {
	id    string
	r     *http.Request
	route string // the pattern that it matched, empty for none
	by    chat.Principal
	// cause is what went wrong inside, for the log alone.
	cause error
}

type recordKey struct{}

// recordOf returns the record of the request that a context belongs to.
func recordOf(ctx context.Context) *record { return ctx.Value(recordKey{}).(*record) }

// maxRequestIDBytes bounds a request id that a client may choose.
const maxRequestIDBytes = 64

// requestID returns the id that a client or a proxy has given, if it is fit to
// stand in a log and in a URL, else a random one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) == 0 || len(id) > maxRequestIDBytes {
		return rand.Text()
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return rand.Text()
		}
	}
	return id
}

// recorded gives each request its id, notes in the log what became of it, and
// answers for handlers that panic. The line has neither the query nor anything
// that was sent: there may be secrets in it.
func (a *API) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &record{id: requestID(r)}
		outer := r
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		rec.r = r
		w.Header().Set("X-Request-Id", rec.id)
		out := &response{ResponseWriter: w}
		a.serve(next, out, r, rec)
		if rec.route != "" {
			outer.Pattern = rec.route // for whoever measures routes
		}
		// What became of it is known before the answer is sent: a client that
		// has it may go at once.
		gone := r.Context().Err() != nil
		out.send()
		a.logRequest(rec, out.status, time.Since(began), gone)
	})
}

// serve calls next, and makes an answer of its own if next panics. What is
// followed ends with http.ErrAbortHandler where the client has gone: that is
// net/http's to take, which cuts the connection.
func (a *API) serve(next http.Handler, out *response, r *http.Request, rec *record) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			a.log.Error("a request panicked", "request_id", rec.id, "panic", p, "stack", string(debug.Stack()))
			out.status, out.body = 0, nil
			writeProblem(out, r, fmt.Errorf("panic: %v", p))
		}
	}()
	next.ServeHTTP(out, r)
}

// logRequest writes a request's line. A client that was gone before there was
// an answer is no failure of the server's.
func (a *API) logRequest(rec *record, status int, took time.Duration, gone bool) {
	r, level, cause := rec.r, slog.LevelDebug, ""
	if status >= http.StatusInternalServerError && !gone {
		level = slog.LevelWarn
		if rec.cause != nil {
			cause = rec.cause.Error()
		}
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	_, route, _ := strings.Cut(rec.route, " ")
	line := []any{"request_id", rec.id, "method", r.Method, "route", route, "status", status,
		"duration_ms", float64(took.Microseconds()) / 1000, "user_id", string(rec.by.User.ID)}
	if cause != "" {
		line = append(line, "error", cause)
	}
	a.log.Log(r.Context(), level, "request", line...)
}

// sendTimeout bounds the time that a client takes to take an answer.
const sendTimeout = 30 * time.Second

// response is an answer that waits until it is complete: a page of a log is
// bounded, and so half an answer never has to be taken back.
type response struct {
	http.ResponseWriter
	status int
	body   []byte
	sent   bool // by a handler that has written to what is below
}

// Unwrap lets http.ResponseController find what is below.
func (o *response) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// WriteHeader and Write are http.ResponseWriter's.
func (o *response) WriteHeader(status int) {
	if o.status == 0 {
		o.status = status
	}
}

func (o *response) Write(b []byte) (int, error) {
	o.WriteHeader(http.StatusOK)
	o.body = append(o.body, b...)
	return len(b), nil
}

// send writes the answer. A client that does not take it in time is cut off.
func (o *response) send() {
	if o.sent {
		return
	}
	o.WriteHeader(http.StatusOK)
	if o.status != http.StatusNoContent && o.status != http.StatusNotModified {
		o.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	}
	// The deadline is for this answer alone. A writer without deadlines is a
	// test's, and a client that is gone does not matter.
	control := http.NewResponseController(o.ResponseWriter)
	_ = control.SetWriteDeadline(time.Now().Add(sendTimeout))
	o.ResponseWriter.WriteHeader(o.status)
	_, _ = o.ResponseWriter.Write(o.body)
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}
