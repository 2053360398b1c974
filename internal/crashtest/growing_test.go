//go:build linux

package crashtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/auth"
	"tertulia/internal/services/servicetest"
)

const (
	tokenSecret = "the secret that the tests' tokens are signed with"
	serviceKey  = "the service key of the tests' back end"
)

// town is one installation in token mode that outgrows its data folder.
type town struct {
	t                 *testing.T
	ctx               context.Context
	binary, dir, addr string
	server            *process
}

func (w *town) start(variables ...string) {
	w.t.Helper()
	var err error
	w.server, err = start(w.ctx, w.binary, w.dir, w.addr, append(variables,
		"TERTULIA_AUTH_MODE=token", "TERTULIA_AUTH_HS256_SECRET="+tokenSecret, "TERTULIA_AUTH_SERVICE_KEYS="+serviceKey)...)
	if err != nil {
		w.t.Fatal(err)
	}
}

// tokenOf is what a user comes with, made a minute ago.
func (w *town) tokenOf(user chat.UserID) string {
	w.t.Helper()
	token, err := auth.Sign([]byte(tokenSecret), auth.Grant{User: chat.User{ID: user, Name: string(user)}, IssuedAt: began, Lifetime: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// began is when the tests' tokens were issued.
var began = time.Now().Add(-time.Minute)

func (w *town) dial(user chat.UserID, opts ...client.Option) *client.Client {
	w.t.Helper()
	c, err := client.Dial(w.ctx, "ws://"+w.addr, append(opts, client.WithBackoff(10*time.Millisecond, 100*time.Millisecond),
		client.WithToken(func(context.Context) (string, error) { return w.tokenOf(user), nil }))...)
	if err != nil {
		w.t.Fatalf("%s: %v", user, err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// ask is a request of the back end, in the name of a user if there is one.
// headers are pairs.
func (w *town) ask(as chat.UserID, method, path, body string, headers ...string) (status int, answer string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, method, "http://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+serviceKey)
	req.Header.Set("Content-Type", "application/json")
	if as != "" {
		req.Header.Set("Tertulia-User", string(as))
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// must is ask, and wants success.
func (w *town) must(as chat.UserID, method, path, body string, headers ...string) string {
	w.t.Helper()
	status, answer := w.ask(as, method, path, body, headers...)
	if status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// statusFor is how a user is answered who comes with a token.
func (w *town) statusFor(token string) int {
	w.t.Helper()
	status, _ := w.ask("", "GET", "/api/v1/me", "", "Authorization", "Bearer "+token)
	return status
}

// lastSeen is all that a server may write of a user who only goes.
var lastSeen = regexp.MustCompile(`"last_seen_at":"[^"]*",?`)

// picture is what the server says of everything.
func (w *town) picture() string {
	w.t.Helper()
	var b strings.Builder
	for _, page := range []struct {
		as   chat.UserID
		path string
	}{
		{"", "/api/v1/rooms"}, {"", "/api/v1/users/olga"}, {"", "/api/v1/users/leo"},
		{"ana", "/api/v1/rooms/plaza"}, {"ana", "/api/v1/rooms/plaza/members"}, {"ana", "/api/v1/rooms/plaza/members?states=invited,banned"},
		{"ana", "/api/v1/rooms/plaza/events?limit=200&after_seq=0"}, {"ana", "/api/v1/rooms/plaza/messages?limit=200"},
		{"ana", "/api/v1/rooms/cueva/events?limit=200&after_seq=0"}, {"leo", "/api/v1/rooms/plaza/read"}, {"leo", "/api/v1/me/rooms"}, {"leo", "/api/v1/me/unread"},
	} {
		fmt.Fprintf(&b, "%s as %q: %s\n", page.path, page.as, lastSeen.ReplaceAllString(w.must(page.as, "GET", page.path, ""), ""))
	}
	return b.String()
}

// follow takes a room's events until one is the last that is wanted, and
// returns the seqs of the durable ones. A gap is an error.
func follow(ctx context.Context, room *client.Room, last func(client.Durable) bool) (seqs []uint64, err error) {
	for e, err := range room.Events(ctx) {
		switch e := e.(type) {
		case client.Gap:
			return seqs, fmt.Errorf("a gap: %+v", e)
		case client.Durable:
			if seqs = append(seqs, e.Place().Seq); last(e) {
				return seqs, nil
			}
		}
		if err != nil {
			return seqs, err
		}
	}
	return seqs, errors.New("the events have ended")
}

func at(seq uint64) func(client.Durable) bool {
	return func(e client.Durable) bool { return e.Place().Seq >= seq }
}

// through are the seqs after one and up to another.
func through(after, to uint64) (seqs []uint64) {
	for seq := after + 1; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

// frameOf is what the stories need of a frame of a stream.
type frameOf struct {
	Type, Room string
	Seq        uint64
}

// stream reads server-sent events in rooms until a frame is the last that is
// wanted, and returns the places of the durable ones and the last id.
func (w *town) stream(user chat.UserID, lastID string, last func(frameOf) bool) (places map[string][]uint64, id string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, "GET", "http://"+w.addr+"/api/v1/stream?rooms=plaza,cueva", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.tokenOf(user))
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("stream: %v, %v", resp, err)
	}
	defer resp.Body.Close()
	places = make(map[string][]uint64)
	var f frameOf
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			f = frameOf{}
			if err := json.Unmarshal([]byte(data), &f, json.MatchCaseInsensitiveNames(true)); err != nil {
				w.t.Fatalf("%s: %v", data, err)
			}
			if f.Type == "gap" || f.Type == "error" {
				w.t.Fatalf("the stream has %s", data)
			}
		}
		if is, ok := strings.CutPrefix(in.Text(), "id: "); ok {
			id = is
		}
		if in.Text() != "" || f.Type == "" {
			continue // a block ends with an empty line
		}
		if f.Seq > 0 {
			places[f.Room] = append(places[f.Room], f.Seq)
		}
		if last(f) {
			return places, id
		}
		f = frameOf{}
	}
	w.t.Fatalf("the stream has ended after %v", places)
	return nil, ""
}

// seed connects a client of the prototype's protocol to the plaza.
func (w *town) seed(user chat.UserID, query string) (*link, event) {
	w.t.Helper()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + w.tokenOf(user)}}}
	l, first, err := dialBy(w.ctx, d, "ws://"+w.addr+"/ws/plaza?"+query, storyTime)
	if err != nil {
		w.t.Fatal(err)
	}
	return l, first
}

// migrate moves the data folder into a database, and is killed on the way so
// many times at any moment.
func (w *town) migrate(database string, kills int) {
	w.t.Helper()
	for range kills {
		cmd := exec.Command(w.binary, "migrate", "--from", filepath.Join(w.dir, "data"))
		cmd.Env = append(withoutSettings(cmd.Environ()), "TERTULIA_DATABASE_URL="+database)
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(rand.N(400 * time.Millisecond)) // about as long as all of it takes
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if exit := cmd.ProcessState.ExitCode(); exit > 0 {
			w.t.Fatalf("migrate ended with %d by itself", exit)
		}
	}
	w.command("migrate", "--from", filepath.Join(w.dir, "data"), "--to", database)
}

func (w *town) command(args ...string) {
	w.t.Helper()
	command(w.t, w.ctx, w.binary, args...)
}

// refuses runs a command that must fail and say why.
func (w *town) refuses(says string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.ctx, w.binary, args...)
	cmd.Env = withoutSettings(cmd.Environ())
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), says) {
		w.t.Errorf("tertulia %s: %v, %s, want that it says %q", strings.Join(args, " "), err, out, says)
	}
}

// A town talks on one machine. Everybody stops somewhere, ana goes on, and the
// server dies. What it has goes to PostgreSQL, and a server there answers at the
// same address: all go on where they were, and nobody can tell the difference.
func TestGrowingUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), storyTime)
	defer cancel()
	w := &town{t: t, ctx: ctx, binary: build(t), dir: t.TempDir(), addr: freeAddr(t)}
	database := servicetest.Database(t)
	w.start()
	defer func() { w.server.kill() }()
	for _, user := range []string{"ana", "leo", "eva", "olga", "iris"} {
		w.must("", "PUT", "/api/v1/users/"+user, `{"username":"`+user+`"}`)
	}
	const members = `"members":[{"user_id":"leo"},{"user_id":"eva"},{"user_id":"olga"},{"user_id":"iris"}]}`
	w.must("ana", "POST", "/api/v1/rooms", `{"id":"plaza","access":"public","title":"Plaza","topic":"de todo",`+members)
	w.must("ana", "POST", "/api/v1/rooms", `{"id":"cueva","access":"private",`+members)

	ana := w.dial("ana")
	plaza, cueva := ana.Room("plaza"), ana.Room("cueva")
	say := func(room *client.Room, text string) client.Sent {
		t.Helper()
		sent, err := room.Send(ctx, text)
		if err != nil {
			t.Fatalf("send %q: %v", text, err)
		}
		return sent
	}
	first, second := say(plaza, "uno"), say(plaza, "dos")
	for range 5 {
		say(plaza, "¿sigues ahí?")
		say(cueva, "aquí no")
	}
	nonced, err := plaza.PostAs("a-nonce-of-ana", "una vez").Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	posted := w.must("leo", "POST", "/api/v1/rooms/plaza/messages", `{"content":"desde fuera"}`, "Idempotency-Key", "a-key")

	// Here everybody stops but iris, who listens all the time.
	iris := w.dial("iris")
	heard := make(chan []uint64, 1)
	if err := iris.Room("plaza").Subscribe(ctx); err != nil {
		t.Fatal(err)
	}
	var irisErr error
	go func() {
		var seqs []uint64
		seqs, irisErr = follow(ctx, iris.Room("plaza"), func(e client.Durable) bool { m, ok := e.(client.Message); return ok && m.Content == "el último" })
		heard <- seqs
	}()
	stopped := say(plaza, "aquí se paran").Seq
	places := client.NewFileStore(filepath.Join(t.TempDir(), "leo"))
	leo := w.dial("leo", client.WithStore(places))
	leo.Room("plaza").Follow(client.Recent(10))
	if seqs, err := follow(ctx, leo.Room("plaza"), at(stopped)); err != nil {
		t.Fatalf("leo, after %v: %v", seqs, err)
	}
	if _, err := leo.Room("plaza").MarkRead(ctx, stopped-3); err != nil {
		t.Fatal(err)
	}
	if err := leo.Close(); err != nil {
		t.Fatal(err)
	}
	caughtUp := 0
	_, eventID := w.stream("leo", "", func(f frameOf) bool {
		if f.Type == "caught_up" {
			caughtUp++
		}
		return caughtUp == 2
	})
	l, connected := w.seed("leo", "history=0")
	l.conn.Close()

	// ana goes on, and much else happens.
	var missed []int64
	for i := range 5 {
		missed = append(missed, say(plaza, fmt.Sprint("mientras tanto ", i)).ID)
	}
	say(cueva, "también aquí")
	if _, err := plaza.Edit(ctx, first.ID, "uno, corregido"); err != nil {
		t.Fatal(err)
	}
	if _, err := plaza.Delete(ctx, second.ID, "no era nada"); err != nil {
		t.Fatal(err)
	}
	w.must("ana", "PATCH", "/api/v1/rooms/plaza", `{"topic":"de casi todo"}`)
	w.must("ana", "POST", "/api/v1/rooms/plaza/members/eva/ban", `{"reason":"basta"}`)
	w.must("", "POST", "/api/v1/users/olga/revoke", "")
	before := w.picture()
	w.refuses("is in use by another process", "migrate", "--from", filepath.Join(w.dir, "data"), "--to", database)
	w.server.kill()

	w.migrate(database, 3)
	w.refuses("was moved to PostgreSQL at", "serve", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(w.dir, "data"))
	w.start("TERTULIA_DATABASE_URL=" + database)

	if after := w.picture(); after != before {
		t.Errorf("the server says\n%s\nand said before\n%s", after, before)
	}
	if again, err := plaza.PostAs("a-nonce-of-ana", "una vez").Wait(ctx); err != nil || again.ID != nonced.ID || again.Seq != nonced.Seq || !again.Duplicate {
		t.Errorf("ana's nonce again = %+v (%v), want %+v as a duplicate", again, err, nonced)
	}
	if again := w.must("leo", "POST", "/api/v1/rooms/plaza/messages", `{"content":"desde fuera"}`, "Idempotency-Key", "a-key"); again != posted {
		t.Errorf("leo's key again = %s, want %s", again, posted)
	}
	status, answer := w.ask("", "POST", "/api/v1/rooms/plaza/messages", `{"content":"yo"}`, "Authorization", "Bearer "+w.tokenOf("eva"))
	if status != http.StatusForbidden {
		t.Errorf("eva, who is banned, posts: %d %s, want 403", status, answer)
	}
	if revoked, good := w.statusFor(w.tokenOf("olga")), w.statusFor(w.tokenOf("ana")); revoked != http.StatusUnauthorized || good != http.StatusOK {
		t.Errorf("olga's revoked token gets %d and ana's %d, want 401 and 200", revoked, good)
	}

	missed = append(missed, say(plaza, "después").ID)
	last := say(plaza, "el último")
	missed = append(missed, last.ID)
	inCave := say(cueva, "y aquí")
	if seqs, err := follow(ctx, w.dial("leo", client.WithStore(places)).Room("plaza"), at(last.Seq)); err != nil || !slices.Equal(seqs, through(stopped, last.Seq)) {
		t.Errorf("leo goes on with %v (%v), want %d to %d", seqs, err, stopped+1, last.Seq)
	}
	if seqs := <-heard; irisErr != nil || !slices.Equal(seqs, through(seqs[0]-1, last.Seq)) || seqs[0] > stopped {
		t.Errorf("iris heard %v (%v), want all up to %d", seqs, irisErr, last.Seq)
	}
	ends := 0
	streamed, _ := w.stream("leo", eventID, func(f frameOf) bool {
		if f.Room == "plaza" && f.Seq == last.Seq || f.Room == "cueva" && f.Seq == inCave.Seq {
			ends++
		}
		return ends == 2
	})
	if !slices.Equal(streamed["plaza"], through(stopped, last.Seq)) || !slices.Equal(streamed["cueva"], through(inCave.Seq-2, inCave.Seq)) {
		t.Errorf("the stream goes on with %v, want %d to %d and two in the cave up to %d", streamed, stopped+1, last.Seq, inCave.Seq)
	}
	l, resumed := w.seed("leo", "after="+connected.Data.Cursor)
	defer l.conn.Close()
	if resumed.Data.Resumed == nil || !*resumed.Data.Resumed {
		t.Errorf("the prototype's client is not resumed: %+v", resumed)
	}
	var got []int64
	for len(got) < len(missed) {
		e, err := l.next()
		if err != nil {
			t.Fatalf("the prototype's client, after %v: %v", got, err)
		}
		if e.Type == "message" {
			got = append(got, e.Data.ID)
		}
	}
	if !slices.Equal(got, missed) {
		t.Errorf("the prototype's client gets %v, want %v", got, missed)
	}
}
