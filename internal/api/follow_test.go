package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tertulia/chat"
)

// What is followed is described like everything else, and answered with
// problems if it is refused.
func TestFollowing(t *testing.T) {
	refuse := func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Query().Has("refuse") {
			return &chat.Error{Code: chat.ShuttingDown, Message: "Not now.", RetryAfter: 1}
		}
		_, err := io.WriteString(w, "served")
		return err
	}
	a := New(Config{Stream: refuse, Poll: refuse})
	doc := a.describe(new(recordingMux)).OpenAPI()
	for at, op := range map[string]string{"GET /stream": "follow-rooms", "POST /poll": "poll-rooms"} {
		method, path, _ := strings.Cut(at, " ")
		described := operations(doc)[at]
		if described == nil || described.OperationID != op || described.Summary == "" || described.Responses["200"] == nil {
			t.Fatalf("%s is described as %+v", at, described)
		}
		checkAction(t, at, described)
		for _, p := range described.Parameters {
			if p.Description == "" || p.Schema == nil {
				t.Errorf("%s does not describe its parameter %s", at, p.Name)
			}
		}
		codes, _ := described.Responses["503"].Extensions["x-codes"].([]chat.Code)
		if !slices.Contains(codes, chat.ShuttingDown) {
			t.Errorf("%s lists %v under 503, want %s too", at, codes, chat.ShuttingDown)
		}
		for query, want := range map[string]string{"": "served", "?refuse": `"code": "shutting_down"`} {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(method, prefix+path+query, nil))
			if !strings.Contains(w.Body.String(), want) || (w.Code == http.StatusOK) != (query == "") {
				t.Errorf("%s%s is answered with %d %s, want %s", at, query, w.Code, w.Body, want)
			}
		}
	}
}
