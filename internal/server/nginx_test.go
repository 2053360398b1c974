package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/internal/services"
)

// bareProxy passes everything on, and sets nothing.
const bareProxy = `server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
}`

// startNginx runs nginx before a server until the test ends, with a snippet in
// which its own port and the server's are put in, and returns its address.
func startNginx(t *testing.T, to *running, snippet string) string {
	t.Helper()
	addr, err := services.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"listen 80;", "http://127.0.0.1:8000"} {
		if !strings.Contains(snippet, part) {
			t.Fatalf("the snippet has no %q:\n%s", part, snippet)
		}
	}
	snippet = strings.NewReplacer("listen 80;", "listen "+addr+";", "http://127.0.0.1:8000", "http://"+to.Addr().String()).Replace(snippet)
	proxy, err := services.StartNginx(t.Context(), t.TempDir(), addr, "/livez", snippet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return addr
}

// documented returns the snippet of docs/operations.md.
func documented(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Behind a reverse proxy\n")
	_, rest, found := strings.Cut(rest, "```nginx\n")
	snippet, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/operations.md has no snippet for nginx behind a reverse proxy")
	}
	return snippet
}

// behindProxy is a server that believes nginx.
func behindProxy(t *testing.T) *running {
	t.Helper()
	cfg := configFor(t.TempDir())
	cfg.TrustedProxies = append(cfg.TrustedProxies, netip.MustParsePrefix("127.0.0.1/32"))
	cfg.Auth.AllowOpenOnAnyAddress = true
	s := start(t, cfg)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return s
}

// say posts, and returns when that is stored.
func (r *running) say(content string) {
	r.t.Helper()
	stored := make(chan error, 1)
	r.rooms.Post(room.Post{Room: "1", By: chat.Principal{User: chat.User{ID: "5", Name: "Leo"}}, Content: content},
		func(_ room.Posted, err error) { stored <- err })
	if err := <-stored; err != nil {
		r.t.Fatal(err)
	}
}

// prompt is how long an event may take through a proxy; one that waited for
// its buffer to fill would wait for ever, and a poll that is not answered lasts
// longer.
const prompt = 15 * time.Second

func TestBehindNginx(t *testing.T) {
	for _, c := range []struct {
		name    string
		snippet string
	}{
		{"with the documented snippet", documented(t)},
		{"with nothing but proxy_pass", bareProxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := behindProxy(t)
			addr := startNginx(t, s, c.snippet)
			t.Run("stream", func(t *testing.T) { streamThrough(t, s, addr) })
			t.Run("poll", func(t *testing.T) { pollThrough(t, s, addr) })
			if c.snippet != bareProxy { // which passes no Upgrade on
				t.Run("WebSocket", func(t *testing.T) { webSocketThrough(t, s, addr) })
			}
		})
	}
}

// streamThrough follows a room, breaks off, and comes back by Last-Event-ID.
func streamThrough(t *testing.T, s *running, addr string) {
	id := ""
	for _, content := range []string{"uno", "dos", "tres"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		resp := getFrom(t, ctx, addr, "/api/v1/stream?"+rosa+"&room=1", "Last-Event-ID", id)
		in := bufio.NewReader(resp.Body)
		if id == "" {
			id = wantLine(t, in, "id: ") // of caught_up
		} else {
			s.say("missed by the one who was away")
			wantLine(t, in, "missed by")
			id = wantLine(t, in, "id: ")
		}
		saidAt := time.Now()
		s.say(content)
		wantLine(t, in, content)
		if took := time.Since(saidAt); took > prompt {
			t.Errorf("%q took %v", content, took)
		}
		id = wantLine(t, in, "id: ")
		cancel()
		resp.Body.Close()
	}
}

// wantLine reads until a line with a text, and returns what stands behind it.
func wantLine(t *testing.T, in *bufio.Reader, text string) string {
	t.Helper()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ends with %v, before %q", err, text)
		}
		if _, rest, ok := strings.Cut(line, text); ok {
			return strings.TrimSpace(rest)
		}
	}
}

func getFrom(t *testing.T, ctx context.Context, addr, target string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("GET %s: %s %s", target, resp.Status, text)
	}
	return resp
}

// pollThrough has a poll wait for an event.
func pollThrough(t *testing.T, s *running, addr string) {
	poll := func(body string) string {
		t.Helper()
		plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		resp, err := plain.Post("http://"+addr+"/api/v1/poll?"+rosa, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("poll: %s %s, %v", resp.Status, text, err)
		}
		return string(text)
	}
	_, rest, _ := strings.Cut(poll(`{"rooms":["1"]}`), `"cursor":"`)
	cursor, _, _ := strings.Cut(rest, `"`)
	time.AfterFunc(100*time.Millisecond, func() { s.say("oigan") })
	began := time.Now()
	if answer := poll(fmt.Sprintf(`{"cursor":%q}`, cursor)); !strings.Contains(answer, "oigan") {
		t.Errorf("the poll got %s", answer)
	}
	if took := time.Since(began); took > prompt {
		t.Errorf("the answer took %v", took)
	}
}

func webSocketThrough(t *testing.T, s *running, addr string) {
	p := dialV1(t, addr, "/ws/1?"+rosa, "Sec-WebSocket-Protocol: tertulia.v1")
	defer p.close()
	p.want(`"hello"`)
	p.want(`"subscribed"`)
	p.want(`"caught_up"`)
	s.say("por WebSocket")
	p.want("por WebSocket")
}
