package peer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const listed = "https://app.example.org"

// api stands behind the rules for browsers.
func api() http.Handler {
	b := Browser{
		Proxies: proxies,
		Listed:  []string{listed},
		Methods: []string{"GET", "POST"},
		Refuse:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
	}
	return Headers{}.Handler(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
}

func TestBrowser(t *testing.T) {
	const reached, refused = http.StatusTeapot, http.StatusForbidden
	for _, c := range []struct {
		name, method string
		remote       string
		header       []string
		status       int
		cors         bool
	}{
		{"no browser", "POST", "", nil, reached, false},
		{"own page", "POST", "", []string{"Origin", "http://inner:8000", "Sec-Fetch-Site", "same-origin"}, reached, false},
		{"own page of an old browser", "POST", "", []string{"Origin", "http://inner:8000"}, reached, false},
		{"own page of an old browser by a proxy", "POST", "10.0.0.1:1", []string{"Origin", "https://chat.example.org", "X-Forwarded-Host", "chat.example.org"}, reached, false},
		{"what a stranger calls own", "POST", "", []string{"Origin", "https://chat.example.org", "X-Forwarded-Host", "chat.example.org"}, refused, false},
		{"listed page", "POST", "", []string{"Origin", listed, "Sec-Fetch-Site", "cross-site"}, reached, true},
		{"foreign page", "POST", "", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, refused, false},
		{"foreign page of an old browser", "DELETE", "", []string{"Origin", "https://evil.example"}, refused, false},
		{"page of a neighbour", "POST", "", []string{"Origin", "https://x.example.org", "Sec-Fetch-Site", "same-site"}, refused, false},
		{"null", "POST", "", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, refused, false},
		{"foreign page reads", "GET", "", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, reached, false},
		{"listed page reads", "GET", "", []string{"Origin", listed}, reached, true},
		{"preflight of a listed page", "OPTIONS", "", []string{"Origin", listed, "Access-Control-Request-Method", "POST"}, http.StatusNoContent, true},
		{"preflight of a foreign page", "OPTIONS", "", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, reached, false},
		{"no preflight", "OPTIONS", "", []string{"Origin", listed}, reached, true},
		{"longer origin", "OPTIONS", "", []string{"Origin", listed + ".evil.example", "Access-Control-Request-Method", "POST"}, reached, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.remote == "" {
				c.remote = "203.0.113.7:1"
			}
			r := request(c.remote, c.header...)
			r.Method = c.method
			w := httptest.NewRecorder()
			api().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			want := ""
			if c.cors {
				want = listed
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, want)
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(w.Header().Get("Vary"), "Origin") {
				t.Errorf("header %v, want no credentials allowed, and caches told of the origin", w.Header())
			}
		})
	}
}

func TestPreflightSaysWhatMayBeSent(t *testing.T) {
	r := request("203.0.113.7:1", "Origin", listed, "Access-Control-Request-Method", "POST")
	r.Method = http.MethodOptions
	w := httptest.NewRecorder()
	api().ServeHTTP(w, r)
	for name, words := range map[string][]string{
		"Access-Control-Allow-Methods":  {"GET", "POST"},
		"Access-Control-Allow-Headers":  {"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "If-Match", "Last-Event-ID", "X-Request-Id"},
		"Access-Control-Expose-Headers": {"ETag", "Link", "Retry-After", "Location", "Idempotent-Replayed", "X-Request-Id"},
		"Access-Control-Max-Age":        {"600"},
	} {
		if got, want := w.Header().Get(name), strings.Join(words, ", "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, secure := range []bool{false, true} {
		w := httptest.NewRecorder()
		Headers{Secure: secure}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
		})).ServeHTTP(w, request("203.0.113.7:1"))
		want := map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "max-age=60", // the handler's own
			"Strict-Transport-Security":    "",
		}
		if secure {
			want["Strict-Transport-Security"] = "max-age=31536000"
		}
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("secure %v: %s: %q, want %q", secure, name, got, value)
			}
		}
	}
}
