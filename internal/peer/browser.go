package peer

import (
	"net/http"
	"slices"
	"strings"
)

// Headers puts into every answer what keeps a browser from making something
// else of it: from guessing its type, from telling others its address, from
// embedding it in foreign pages and from keeping it. A handler may replace
// them.
type Headers struct {
	// Secure tells browsers to come by TLS only from now on.
	Secure bool
}

// secureFor is how long a browser remembers to come by TLS: a year.
const secureFor = "max-age=31536000"

// Handler returns next with the headers.
func (h Headers) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header()
		set.Set("X-Content-Type-Options", "nosniff")
		set.Set("Referrer-Policy", "no-referrer")
		set.Set("Cross-Origin-Resource-Policy", "same-origin")
		set.Set("Cache-Control", "no-store")
		if h.Secure {
			set.Set("Strict-Transport-Security", secureFor)
		}
		next.ServeHTTP(w, r)
	})
}

// Browser is what pages may do with an API: those of the server's own origin
// everything, those of listed origins too, and by way of CORS; others cannot
// read, and cannot change anything.
type Browser struct {
	Proxies Proxies
	// Listed are the other origins that may ask, as in [Origins]. There is no
	// word for all of them.
	Listed []string
	// Methods are those that the API has.
	Methods []string
	// Refuse answers a request that is not let through; it writes status 403.
	Refuse http.Handler
}

var (
	// exposed are the headers of an answer that a page may read.
	exposed = strings.Join([]string{"ETag", "Link", "Retry-After", "Location", "Idempotent-Replayed", "X-Request-Id"}, ", ")
	// accepted are the headers that a page may send.
	accepted = strings.Join([]string{"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "If-Match", "Last-Event-ID", "X-Request-Id"}, ", ")
)

// preflightAge is how long, in seconds, a browser need not ask again.
const preflightAge = "600"

// Handler returns next behind these rules. Preflight requests of listed
// origins do not reach it, nor do requests of other pages that may change
// something.
func (b Browser) Handler(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	for _, origin := range b.Listed {
		if err := guard.AddTrustedOrigin(origin); err != nil {
			panic("peer: " + err.Error()) // the configuration takes origins only
		}
	}
	methods := strings.Join(b.Methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origins := r.Header["Origin"]; len(origins) == 1 && slices.Contains(b.Listed, origins[0]) {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origins[0])
			h.Set("Access-Control-Expose-Headers", exposed)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
			if isPreflight(r) {
				h.Set("Access-Control-Allow-Methods", methods)
				h.Set("Access-Control-Allow-Headers", accepted)
				h.Set("Access-Control-Max-Age", preflightAge)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		if guard.Check(b.asSeen(r)) != nil {
			b.Refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// asSeen is r under the name that the client has used for the server, which
// older browsers' Origin is compared with.
func (b Browser) asSeen(r *http.Request) *http.Request {
	who := b.Proxies.Of(r)
	if who.Host == r.Host {
		return r
	}
	seen := *r
	seen.Host = who.Host
	return &seen
}
