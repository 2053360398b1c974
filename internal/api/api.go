// Package api answers HTTP requests: REST under /api/v1, with the document
// that describes it (docs/protocol.md, Part 3), and the prototype's
// statistics.
//
// A file is a resource. Its handlers call the verbs of package room and
// nothing else decides here; what a verb refuses is translated in problem.go.
// The OpenAPI document is made from the same types and tables that the
// handlers work with, so it cannot say anything else than they do.
package api

import (
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/observe"
	"tertulia/internal/peer"
	"tertulia/internal/presence"
	"tertulia/internal/room"
)

// prefix is where the API is.
const prefix = "/api/v1"

// Config is what an [API] stands on. Rooms, Presence, Identify and Ticket are
// required.
type Config struct {
	Rooms    *room.Service
	Presence *presence.Tracker
	// Identify says who asks. The error is a *chat.Error, Unauthenticated if
	// nobody is named.
	Identify func(*http.Request) (chat.Principal, error)
	// Ticket makes a one-use credential for whoever asks, and says when it
	// ends.
	Ticket func(*http.Request) (ticket string, expiresAt time.Time, err error)
	// Stream and Poll serve what is followed; an error says why nothing was
	// written. Both are nil on a server where nothing can be followed.
	Stream, Poll func(http.ResponseWriter, *http.Request) error
	// Browser says what pages may do. Its Methods and Refuse are set here.
	Browser peer.Browser
	// Limits are those on requests, posts and new rooms; services have none.
	// Nil is no limit.
	Limits *limit.Limiter
	// StatsForAll shows the statistics of the node to everybody, not only to
	// services.
	StatsForAll bool
	Build       observe.Build
	// Log takes a line a request. Nil discards.
	Log *slog.Logger
}

// API serves REST. It may be used from any goroutine.
type API struct {
	cfg     Config
	log     *slog.Logger
	begun   time.Time
	handler http.Handler
	openAPI []byte
}

// New builds the API. It starts nothing.
func New(cfg Config) *API {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{cfg: cfg, log: cfg.Log, begun: time.Now()}
	mux := http.NewServeMux()
	a.describe(mux)
	a.handler = a.chain(mux)
	return a
}

// ServeHTTP answers everything under /api/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// chain puts around the routes what concerns every request, the outermost
// last. What it refuses is a problem too, and is seen in the log.
func (a *API) chain(mux *http.ServeMux) http.Handler {
	browser := a.cfg.Browser
	browser.Methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	browser.Refuse = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeProblem(w, r, errForeignPage) })
	return a.recorded(browser.Handler(routed(mux)))
}

var errForeignPage = chat.Errorf(chat.Forbidden, "Pages of this origin may change nothing here; whoever runs the server can list it.")

// describe registers every route, and returns their description.
func (a *API) describe(mux humago.Mux) huma.API {
	cfg := huma.Config{
		OpenAPI:       a.document(),
		Formats:       map[string]huma.Format{"application/json": strictJSON, "json": strictJSON},
		DefaultFormat: "application/json",
	}
	to := &routes{API: huma.NewAPI(cfg, humago.NewAdapter(mux, prefix)), identified: a.identified, anonymous: a.anonymous}
	a.describeRooms(to)
	a.describeMembership(to)
	a.describeMembers(to)
	a.describeMessages(to)
	a.describeEvents(to)
	a.describeMarks(to)
	a.describePresence(to)
	a.describeMe(to)
	a.describeUsers(to)
	a.describeTokens(to)
	a.describeNode(to)
	a.describeFollowing(to, mux)
	a.describeDocuments(to)
	return to.API
}

// routed calls the mux, and answers itself where that has no route. It keeps
// the pattern for the log.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at := r.URL.EscapedPath(); path.Clean(at) != at {
			writeProblem(w, r, errNoPath) // the mux would redirect
			return
		}
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			writeProblem(w, r, errQuery)
			return
		}
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			recordOf(r.Context()).route = pattern
			mux.ServeHTTP(w, r)
			return
		}
		said := &probe{header: make(http.Header)}
		refuse.ServeHTTP(said, r)
		if said.status != http.StatusMethodNotAllowed {
			writeProblem(w, r, errNoPath)
			return
		}
		allowed := said.header.Get("Allow")
		w.Header().Set("Allow", allowed)
		writeProblem(w, r, chat.Errorf(chat.MethodNotAllowed, "This path has no %.10q; it has %s.", r.Method, allowed))
	})
}

var errQuery = chat.Errorf(chat.InvalidParameter, "The query of the URL is not well-formed.")

var errNoPath = chat.Errorf(chat.PathNotFound, "There is nothing at this path; %s/openapi.json lists what there is.", prefix)

// probe is a response that nobody gets.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

// identified lets a request in when it is known who asks.
func (a *API) identified(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	by, err := a.cfg.Identify(r)
	if limited := a.allow(by, limit.Use{Class: limit.Request, User: by.User.ID, Address: a.cfg.Browser.Proxies.Of(r).Addr}); limited != nil {
		err = limited
	}
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	recordOf(r.Context()).by = by
	next(ctx)
}

// anonymous lets a request in whoever asks.
func (a *API) anonymous(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if err := a.allow(chat.Principal{}, limit.Use{Class: limit.Request, Address: a.cfg.Browser.Proxies.Of(r).Addr}); err != nil {
		writeProblem(w, r, err)
		return
	}
	next(ctx)
}

// allow counts a use against the limits, of which services have none.
func (a *API) allow(by chat.Principal, use limit.Use) error {
	if by.Service {
		return nil
	}
	return a.cfg.Limits.Allow(use)
}
