package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/redis"
	"tertulia/internal/services"
)

// TestACL lets a user in by the very line of docs/operations.md, with its
// prefix and its password.
func TestACL(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^user tertulia on >(\S+) .*$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("docs/operations.md has no line that begins with user tertulia on >")
	}
	r, err := services.StartRedis(t.Context(), t.TempDir(), "user default off", string(line[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	u := url.URL{Scheme: "redis", User: url.UserPassword("tertulia", string(line[1])), Host: r.Addr}
	cfg := redis.Config{URLs: []string{u.String()}, Prefix: "tertulia:"}
	a, b := open(t, cfg), open(t, cfg)
	l := listen(t, b, room)
	l.want(t, a, 1)
	quiet(t, b, l)

	client := a.redis.Commands()
	for _, command := range []string{"FLUSHALL", "CONFIG GET *", "KEYS *", "EVAL return 0", "GET other:key", "PUBLISH other:channel x"} {
		err := client.Do(t.Context(), client.B().Arbitrary(strings.Fields(command)...).Build()).Error()
		if err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%s = %v, want NOPERM", command, err)
		}
	}
	if err := client.Do(t.Context(), client.B().Role().Build()).Error(); err != nil { // asked of the master whom Sentinels name
		t.Errorf("ROLE = %v", err)
	}
	const key = "tertulia:recent:{r}:e" // as package cache uses it
	for _, command := range []string{"ZADD " + key + " 1 x", "ZRANGE " + key + " 0 +inf BYSCORE LIMIT 0 9", "ZREMRANGEBYRANK " + key + " 0 -65", "EXPIRE " + key + " 600", "DEL " + key} {
		if err := client.Do(t.Context(), client.B().Arbitrary(strings.Fields(command)...).Build()).Error(); err != nil {
			t.Errorf("%s = %v", command, err)
		}
	}
	wrong := url.URL{Scheme: "redis", User: url.UserPassword("tertulia", "wr0ng"), Host: r.Addr}
	c, err := redis.Open(redis.Config{URLs: []string{wrong.String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-c.Tried()
	if _, err := c.Up(); err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("with a wrong password Up() = %v, want an error without it", err)
	}
}

func TestPassword(t *testing.T) {
	r, _ := private(t, "requirepass s3cret")
	two := nodes(t, 2, redis.Config{URLs: []string{"redis://:s3cret@" + r.Addr}})
	listen(t, two[1], room).want(t, two[0], 1)
}

// certificate makes a certificate for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, typ string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", encoded)
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	r, err := services.StartRedisTLS(t.Context(), t.TempDir(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg := redis.Config{URLs: []string{"rediss://" + r.Addr}, CAFile: cert}
	two := nodes(t, 2, cfg)
	listen(t, two[1], room).want(t, two[0], 1)

	cfg.CAFile = "" // the system does not know it
	c, err := redis.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-c.Tried()
	if _, err := c.Up(); err == nil {
		t.Error("a certificate that nobody has signed was taken")
	}
}

// urls are of all servers of a cluster, which none of them leads.
func urls(servers []*services.Redis) (all []string) {
	for _, r := range servers {
		all = append(all, "redis://"+r.Addr)
	}
	return all
}

func TestCluster(t *testing.T) {
	masters, err := services.StartRedisCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range masters {
		defer m.Close()
	}
	cfg := redis.Config{URLs: urls(masters)}
	t.Run("Conformance", func(t *testing.T) { conform(t, func(testing.TB) redis.Config { return cfg }) })
	t.Run("OneURL", func(t *testing.T) {
		b := nodes(t, 1, redis.Config{URLs: cfg.URLs[1:2]})[0]
		listen(t, b, room)
		if !b.redis.Cluster() {
			t.Error("a cluster was not recognised by one of its servers")
		}
	})
	t.Run("SlotMoves", func(t *testing.T) { slotMoves(t, masters, cfg) })
	t.Run("MasterKilled", func(t *testing.T) { masterKilled(t, masters[0], cfg) })
}

// topicOf returns a topic of a shard.
func topicOf(shard int) bus.Topic {
	for i := 0; ; i++ {
		if topic := bus.RoomTopic(chat.RoomID(rune('a'+i%26)) + chat.RoomID(rune('a'+i/26))); shardOf(topic) == shard {
			return topic
		}
	}
}

// ask gives a server a command and wants it to be taken.
func ask(t *testing.T, r *services.Redis, command string, args ...any) string {
	t.Helper()
	answer, err := r.Command(t.Context(), fmt.Sprintf(command, args...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// moveSlot moves a slot from one master to another as resharding does. Keys are
// none in it, so there is nothing else to move.
func moveSlot(t *testing.T, masters []*services.Redis, slot int, from, to *services.Redis) {
	t.Helper()
	source, target := ask(t, from, "CLUSTER MYID"), ask(t, to, "CLUSTER MYID")
	ask(t, to, "CLUSTER SETSLOT %d IMPORTING %s", slot, source)
	ask(t, from, "CLUSTER SETSLOT %d MIGRATING %s", slot, target)
	ask(t, to, "CLUSTER SETSLOT %d NODE %s", slot, target)
	for _, m := range masters {
		if m != to {
			ask(t, m, "CLUSTER SETSLOT %d NODE %s", slot, target)
		}
	}
}

// A slot moves to another master while events are published: the server ends
// the subscriptions to its channel. Readers are told of it, whatever they miss
// they are told of after it was published, and then they hear everything from
// the new master.
func slotMoves(t *testing.T, masters []*services.Redis, cfg redis.Config) {
	two := nodes(t, 2, cfg)
	const shard = 1 // the first master's
	l := listen(t, two[1], topicOf(shard))
	publish := func(id int64) { two[0].Publish(topicOf(shard), []chat.Event{{ID: id}}) }
	heard := func(id int64) bool {
		for len(l.ids) > 0 {
			if <-l.ids == id {
				return true
			}
		}
		return false
	}
	until(t, "the first event", func() bool { publish(1); return heard(1) })
	quiet(t, two[1], l)
	slot := slotOf(two[0].redis.Commands(), channels(two[0].redis.Commands(), two[0].redis.Prefix())[shard])
	from, to := masters[0], masters[2]
	for range 2 { // there, and back
		subscribed := two[1].Counts().Subscribed.Value()
		moveSlot(t, masters, slot, from, to)
		from, to = to, from
		publish(2)
		l.wantTold(t, "the slot has moved")
		began := time.Now()
		until(t, "an event from the new master", func() bool { publish(3); return heard(3) })
		t.Logf("events are heard again %v after that", time.Since(began).Round(time.Millisecond))
		if two[1].Counts().Subscribed.Value() == subscribed {
			t.Error("the node has not subscribed anew")
		}
		quiet(t, two[1], l)
		for id := int64(4); id < 50; id++ {
			publish(id)
		}
		until(t, "all of what comes later", func() bool { return heard(49) })
	}
}

// A master takes its shards with it, and no others: it has the first slots,
// and with them the first shards.
func masterKilled(t *testing.T, m *services.Redis, cfg redis.Config) {
	two := nodes(t, 2, cfg)
	lost, kept := listen(t, two[1], topicOf(0)), listen(t, two[1], topicOf(shards-1))
	send := func(l *listener, shard int, id int64) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			two[0].Publish(topicOf(shard), []chat.Event{{ID: id}})
			select {
			case got := <-l.ids:
				if got == id {
					return
				}
			case <-time.After(20 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatalf("event %d of shard %d did not arrive within %v", id, shard, patience)
			}
		}
	}
	send(lost, 0, 1)
	send(kept, shards-1, 1)
	quiet(t, two[1], lost)
	m.Kill()
	lost.wantTold(t, "a master was killed")
	lost.wantTold(t, "it is away")
	send(kept, shards-1, 2)
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It has kept its place in the cluster, and who its neighbours are.
	send(lost, 0, 3)
	quiet(t, two[1], lost)
}

func TestChannelsAreSpread(t *testing.T) {
	masters, err := services.StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer masters.Close()
	b := nodes(t, 1, redis.Config{URLs: []string{"redis://" + masters.Addr}})[0]
	<-b.redis.Connected()
	for i, name := range channels(b.redis.Commands(), "tertulia:") {
		if got := slotOf(b.redis.Commands(), name) * shards / clusterSlots; got != i || !strings.HasPrefix(name, "tertulia:bus:{") {
			t.Errorf("channel %d, %s, is in part %d of the slots", i, name, got)
		}
	}
}
