package redis

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
)

// patience is spent only by what fails.
const patience = 30 * time.Second

func open(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// await waits until Redis is, or is not, up.
func await(t *testing.T, c *Client, up bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, err := c.Up()
		if (err == nil) == up {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v Up() = %v, want up to be %t", patience, err, up)
		}
	}
}

func ping(c *Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := c.Commands()
	return client.Do(ctx, client.B().Ping().Build()).Error()
}

func TestStandalone(t *testing.T) {
	c := open(t, Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}, Prefix: "p:"})
	await(t, c, true)
	if err := ping(c); err != nil {
		t.Errorf("PING = %v", err)
	}
	if c.Cluster() || c.Prefix() != "p:" {
		t.Errorf("Cluster, Prefix = %t, %q, want false, p:", c.Cluster(), c.Prefix())
	}
}

// A server that is not there when the node starts is found when it comes, and
// again after it was away.
func TestServerThatComesLater(t *testing.T) {
	r, err := services.StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Kill()
	c := open(t, Config{URLs: []string{"redis://" + r.Addr}})
	<-c.Tried()
	if _, err := c.Up(); err == nil {
		t.Error("a server that does not run is up")
	}
	if err := ping(c); err == nil {
		t.Error("a server that does not run answers")
	}
	for range 2 {
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, c, true)
		if err := ping(c); err != nil {
			t.Errorf("PING = %v", err)
		}
		r.Kill()
		await(t, c, false)
	}
}

func TestFrozenServerIsDown(t *testing.T) {
	r, err := services.StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := open(t, Config{URLs: []string{"redis://" + r.Addr}})
	await(t, c, true)
	r.Stop()
	await(t, c, false)
	r.Continue()
	await(t, c, true)
}

// What Sentinels, or who is taken for one, say of a wrong name stands in what
// operators read.
func TestWrongSentinels(t *testing.T) {
	w, err := services.StartWatched(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, test := range []struct{ name, url, want string }{
		{"right", "redis://" + w.Sentinels[0].Addr + "?master_set=" + services.MasterSet, ""},
		{"no such master", "redis://" + w.Sentinels[0].Addr + "?master_set=nobody", "No such master"},
		{"no Sentinel", "redis://" + w.Servers[0].Addr + "?master_set=" + services.MasterSet, "unknown command"},
		{"a Sentinel as a server", "redis://" + w.Sentinels[0].Addr, "master_set"},
	} {
		c := open(t, Config{URLs: []string{test.url}})
		if test.want == "" {
			await(t, c, true)
			continue
		}
		var err error
		says := func() bool { _, err = c.Up(); return err != nil && strings.Contains(err.Error(), test.want) }
		for deadline := time.Now().Add(patience); !says(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: Up = %v, want %q in it", test.name, err, test.want)
			}
		}
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"none", Config{}, "no URL"},
		{"no URL", Config{URLs: []string{"redis://:s3cret@host:port"}}, "no URL"},
		{"scheme", Config{URLs: []string{"http://:s3cret@host"}}, "must begin with redis://"},
		{"host", Config{URLs: []string{"redis://:s3cret@/1"}}, "no host"},
		{"database", Config{URLs: []string{"redis://:s3cret@host/one"}}, "number of a database"},
		{"user alone", Config{URLs: []string{"redis://ana@host"}}, "without a password"},
		{"unknown", Config{URLs: []string{"redis://host?tls=yes"}}, `"tls"`},
		{"master without a name", Config{URLs: []string{"redis://:s3cret@host?master_set="}}, "sentinel monitor"},
		{"different masters", Config{URLs: []string{"redis://one?master_set=a", "redis://two?master_set=b"}}, "only host and port"},
		{"different", Config{URLs: []string{"redis://:s3cret@one", "redis://:s3cre7@two"}}, "URL 2: only host and port"},
		{"cluster with database", Config{URLs: []string{"redis://one/3", "redis://two/3"}}, "no databases"},
		{"CA without TLS", Config{URLs: []string{"redis://one"}, CAFile: "ca.pem"}, "rediss://"},
		{"prefix", Config{URLs: []string{"redis://one"}, Prefix: "{a}:"}, "brace"},
		{"no CA", Config{URLs: []string{"rediss://one"}, CAFile: "/nowhere/ca.pem"}, "CA file"},
		{"empty CA", Config{URLs: []string{"rediss://one"}, CAFile: "redis_test.go"}, "no certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, want %q in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cre") {
				t.Errorf("Open = %v, which shows the password", err)
			}
		})
	}
}

// Sentinels that want a password, which is not the master's, or a user by the
// very line of docs/operations.md: a client comes to them with the password of
// its configuration, and goes with them to the next master. Without it the
// operator reads why it does not.
func TestSentinelsWithAPassword(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^user (\S+) on >(\S+) .*\+sentinel\|.*$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("docs/operations.md has no line for a user of Sentinels")
	}
	const password, sentinelPassword = "of-the-servers", "of-the-sentinels"
	w, err := services.StartGuarded(t.Context(), t.TempDir(), password, sentinelPassword, string(line[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cfg := Config{URLs: []string{"redis://:" + password + "@" + w.Sentinels[0].Addr + "?master_set=" + services.MasterSet}}
	let := map[string]*Client{}
	for _, test := range []struct{ name, user, password, want string }{
		{"password", "", sentinelPassword, ""},
		{"user", string(line[1]), string(line[2]), ""},
		{"none", "", "", "NOAUTH"},
		{"the servers' password", "", password, "WRONGPASS"},
	} {
		cfg.SentinelUser, cfg.SentinelPassword = test.user, test.password
		c := open(t, cfg)
		<-c.Tried()
		switch _, err := c.Up(); {
		case test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: Up = %v, want %q in it", test.name, err, test.want)
		case err == nil:
			let[test.name] = c
		case test.password != "" && strings.Contains(err.Error(), test.password):
			t.Errorf("%s: Up = %v, which shows the password", test.name, err)
		}
	}
	w.Servers[0].Kill()
	for name, c := range let {
		client := c.Commands()
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			err := client.Do(t.Context(), client.B().Set().Key(name).Value("x").Build()).Error()
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the next master was not found within %v: %v", name, patience, err)
			}
		}
	}
}
