package authtest

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/config"
	"tertulia/internal/limit"
	"tertulia/internal/server"
)

// net/http leaves a refused request's connection open for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience bounds what a test waits for on real sockets; only a failing test
// spends it.
const patience = 30 * time.Second

// What the server believes.
const (
	secret     = "a secret of 32 bytes or more, as it has to be"
	serviceKey = "a key of a back end, long enough to be one"
	issuer     = "https://id.example"

	// Another issuer, whose users are called partner:… here.
	partner       = "https://partner.example"
	partnerSecret = "another secret of 32 bytes or more"
	partnerPrefix = "partner:"
)

// node is a server that serves.
type node struct {
	addr   string
	client *http.Client
	stop   func() // may be called again
}

// start runs a server in token mode on a folder, without limits on how often
// something may be done.
func start(t *testing.T, dir string) *node {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", dir
	cfg.Auth.Mode, cfg.Auth.HS256Secret, cfg.Auth.Name = config.AuthToken, secret, issuer
	cfg.Auth.Issuers = []config.Issuer{{Name: partner, HS256Secret: partnerSecret, MaxLifetime: time.Hour, UserPrefix: partnerPrefix}}
	cfg.Auth.ServiceKeys = append(cfg.Auth.ServiceKeys, serviceKey)
	cfg.Rooms.AutoCreate = false
	none := limit.Rate{}
	l := &cfg.Limits
	l.Handshakes, l.Commands, l.Posts, l.RoomPosts, l.RoomsMade, l.Requests, l.AnonymousRequests = none, none, none, none, none, none, none
	l.ConnectionsPerUser, l.ConnectionsPerAddress = 0, 0
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	n := &node{addr: s.Addr().String(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: patience}}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		n.client.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// tokenOf signs a token for a user by the user's issuer, issued that long ago.
func tokenOf(t *testing.T, user chat.User, age, lifetime time.Duration) string {
	t.Helper()
	if sub, ok := strings.CutPrefix(string(user.ID), partnerPrefix); ok {
		return signed(t, partnerSecret, partner, chat.User{ID: chat.UserID(sub), Name: user.Name}, age, lifetime)
	}
	return signed(t, secret, issuer, user, age, lifetime)
}

func signed(t *testing.T, key, iss string, user chat.User, age, lifetime time.Duration) string {
	t.Helper()
	token, err := auth.Sign([]byte(key), auth.Grant{User: user, Issuer: iss, IssuedAt: time.Now().Add(-age), Lifetime: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	return token
}
