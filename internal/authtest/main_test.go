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
	"tertulia/internal/oncluster"
	"tertulia/internal/server"
	"tertulia/internal/services/servicetest"
)

// net/http leaves a refused request's connection open for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servicetest.M{M: m}, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
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

// node is a server that serves, or several on one store, who are asked one
// after the other.
type node struct {
	turn   oncluster.Turn
	client *http.Client
	stop   func() // may be called again
}

func (n *node) addr() string { return n.turn.Next() }

// start runs a server in token mode on a place, without limits on how often
// something may be done.
func start(t *testing.T, dir string) *node {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", dir
	cfg.Auth.Mode, cfg.Auth.HS256Secret, cfg.Auth.Name = config.AuthToken, secret, issuer
	cfg.Auth.Issuers = []config.Issuer{{Name: partner, HS256Secret: partnerSecret, MaxLifetime: time.Hour, UserPrefix: partnerPrefix}}
	cfg.Auth.ServiceKeys = append(cfg.Auth.ServiceKeys, serviceKey)
	cfg.Rooms.AutoCreate = false
	cfg.WS.PingInterval, cfg.WS.IdleTimeout = time.Hour, 2*time.Hour // a socket of the tests has no answer to a ping
	none := limit.Rate{}
	l := &cfg.Limits
	l.Handshakes, l.Commands, l.Posts, l.RoomPosts, l.RoomsMade, l.Requests, l.AnonymousRequests = none, none, none, none, none, none, none
	l.ConnectionsPerUser, l.ConnectionsPerAddress = 0, 0
	count := 1
	if oncluster.Now() {
		oncluster.Asked(t)
		count = 3
		cfg.DataDir, cfg.Database.URL = t.TempDir(), config.Secret(dir)
		cfg.Redis.URLs, cfg.Redis.Prefix = []config.Secret{config.Secret("redis://" + servicetest.Redis(t).Addr)}, servicetest.Prefix()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, count)
	n := &node{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: patience}}
	for range count {
		s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- s.Run(ctx) }()
		n.turn.Addrs = append(n.turn.Addrs, s.Addr().String())
	}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		n.client.CloseIdleConnections()
		cancel()
		for range count {
			if err := <-ended; err != nil {
				t.Errorf("Run = %v", err)
			}
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
