package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

func TestPointer(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "content": "/content", "members[3].user_id": "/members/3/user_id", "a/b": "/a~1b", "a~b": "/a~0b",
	} {
		if got := pointerOf(in); got != want {
			t.Errorf("pointerOf(%q) = %q, want %q", in, got, want)
		}
	}
}

// What went wrong inside is for the log; what is told is the problem.
func TestProblemOf(t *testing.T) {
	rec := &record{id: "r-1"}
	p := problemOf(rec, errors.New("dial 10.0.0.7: password wrong"))
	if p.Code != chat.Internal || p.Status != http.StatusInternalServerError || strings.Contains(p.Detail, "10.0.0.7") {
		t.Errorf("an internal error is told as %+v", p)
	}
	if rec.cause == nil || !strings.Contains(rec.cause.Error(), "10.0.0.7") {
		t.Errorf("the log gets %v, want the cause", rec.cause)
	}
	p = problemOf(rec, &chat.Error{Code: chat.RateLimited, Message: "Slower.", RetryAfter: 1500 * time.Millisecond})
	want := problemJSON{Type: "/problems/rate_limited", Title: "Too much at a time", Status: 429, Detail: "Slower.", Instance: "r-1", Code: chat.RateLimited, Num: 1301, Retryable: true, RetryAfterMS: 1500}
	if p.Type != want.Type || p.Title != want.Title || p.Status != want.Status || p.Detail != want.Detail || p.Instance != want.Instance ||
		p.Code != want.Code || p.Num != want.Num || p.Retryable != want.Retryable || p.RetryAfterMS != want.RetryAfterMS || p.Errors != nil {
		t.Errorf("problemOf = %+v, want %+v", *p, want)
	}
	h := make(http.Header)
	p.setHeader(h.Set)
	if got := h.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After = %q, want the seconds rounded up, 2", got)
	}
}

// The page of a problem can be read by people.
func TestProblemPages(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /problems/{code}", Problems())
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for code := range chat.Codes {
		if status, body := get("/problems/" + string(code)); status != http.StatusOK || !strings.Contains(body, answers[code].title) {
			t.Errorf("the page of %s: %d %s", code, status, body)
		}
	}
	if status, _ := get("/problems/none"); status != http.StatusNotFound {
		t.Errorf("the page of no code: %d, want 404", status)
	}
}
