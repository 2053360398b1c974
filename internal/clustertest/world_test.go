package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/auth"
	"tertulia/internal/cluster"
	"tertulia/internal/services"

	// The binary is not a dependency that go test knows of. With this its
	// cached results end when the server changes.
	_ "tertulia/internal/server"
)

const (
	// patience bounds every wait for something that must happen.
	patience = 2 * time.Minute

	secret = "the secret that the tests' tokens are signed with"
	key    = "the service key of the tests' back end"
)

// world is the cluster that all tests share, one after the other: three nodes
// in token mode behind a proxy. Who kills a part of it starts it again.
var world *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tertulia-clustertest")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o711) // PostgreSQL's user must be let in
	}
	binary := filepath.Join(dir, "tertulia")
	if err == nil {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "tertulia/cmd/tertulia").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err == nil {
		world, err = cluster.Start(context.Background(), cluster.Config{Binary: binary, Dir: dir, Nodes: 3, Proxy: "127.0.0.1:0", Env: []string{
			"TERTULIA_AUTH_MODE=token", "TERTULIA_AUTH_HS256_SECRET=" + secret, "TERTULIA_AUTH_SERVICE_KEYS=" + key, "TERTULIA_PRESENCE_GRACE=1s"}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer world.Close()
	return m.Run()
}

// tokenOf makes what a user comes with.
func tokenOf(user chat.UserID) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		return auth.Sign([]byte(secret), auth.Grant{User: chat.User{ID: user, Name: string(user)}, IssuedAt: time.Now().Add(-time.Minute), Lifetime: time.Hour})
	}
}

// dial connects a user to a node, or to whichever the proxy finds.
func dial(t *testing.T, at *services.Program, user chat.UserID) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), "ws://"+at.Addr, client.WithBackoff(50*time.Millisecond, time.Second),
		client.WithToken(tokenOf(user)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask is one request of the back end to a node, in the name of a user if there
// is one. It wants success and returns the body.
func ask(t *testing.T, at *services.Program, as chat.UserID, method, path, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+at.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	if as != "" {
		req.Header.Set("Tertulia-User", string(as))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// messages follows a room and wants messages with exactly these contents, in
// this order; other events are passed over.
func messages(t *testing.T, room *client.Room, want []string) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	i := 0
	for e, err := range room.Events(ctx) {
		if err != nil {
			return fmt.Errorf("after %d messages: %w", i, err)
		}
		m, ok := e.(client.Message)
		if !ok {
			continue
		}
		if m.Content != want[i] {
			return fmt.Errorf("message %d is %q, want %q", i, m.Content, want[i])
		}
		if i++; i == len(want) {
			return nil
		}
	}
	return errors.New("the events have ended")
}

func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("número ", i)
	}
	return all
}
