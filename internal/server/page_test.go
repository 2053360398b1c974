package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/browsertest"
	"tertulia/internal/config"
)

// The function of docs/protocol.md §41.5, in a browser, on a page of another
// origin: two tokens live for some seconds, and it gets each message once. When
// the third is revoked it ends, and says why.
func TestPageFollowsAStream(t *testing.T) {
	secret := strings.Repeat("s", auth.MinSecretBytes)
	sign := func(user chat.UserID, issuedAt time.Duration, lifetime time.Duration) string {
		token, err := auth.Sign([]byte(secret), auth.Grant{User: chat.User{ID: user, Name: "Ana"}, IssuedAt: time.Now().Add(issuedAt), Lifetime: lifetime})
		if err != nil {
			t.Error(err)
		}
		return token
	}
	p := servePage(t, snippetOf(t, "async function follow"), func(asked int32) string {
		if asked > 2 {
			return sign("1", -time.Minute, time.Hour)
		}
		return sign("1", 4*time.Second-auth.Leeway, time.Second)
	})
	cfg := configFor(t.TempDir())
	cfg.Auth.Mode, cfg.Auth.HS256Secret, cfg.Origins = config.AuthToken, config.Secret(secret), []string{p.URL}
	s := start(t, cfg)
	speaker := "Bearer " + sign("2", -time.Minute, time.Hour)
	post := func() {
		if status, answer := s.ask("POST", "/api/v1/rooms/1/messages", `{"content":"hola"}`, "Authorization", speaker); status != http.StatusCreated {
			t.Fatalf("post: %d %v", status, answer)
		}
	}
	post()
	browsertest.Open(t, p.URL+"/?server=http://"+s.Addr().String())
	last, next := uint64(1), uint64(0)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	revoked, late := false, time.After(2*patience)
	for ended := false; !ended; {
		select {
		case text := <-p.said:
			ended = p.take(t, text, &next)
		case <-tick.C:
			if p.asked.Load() < 3 {
				post()
				last++
			}
		case <-late:
			t.Fatalf("the page has got the messages up to %d of %d with %d tokens", next-1, last, p.asked.Load())
		}
		if p.asked.Load() == 3 && next == last+1 && !revoked {
			revoked = true
			if err := s.rooms.Revoke(t.Context(), chat.Principal{Service: true}, "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// take looks at what the page says: a frame, or the end. next is the seq that
// it must say next; zero before the first.
func (p *page) take(t *testing.T, text string, next *uint64) (ended bool) {
	t.Helper()
	var f struct {
		Type, Code string
		Seq        uint64
		Data       struct{ Seq uint64 }
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("the page says %s", text)
	}
	switch {
	case f.Type == "":
		if f.Code != string(chat.Unauthenticated) {
			t.Errorf("the page ends with %s, want unauthenticated", text)
		}
		return true
	case f.Type == "caught_up" && *next == 0:
		*next = f.Data.Seq + 1
	case f.Type == "message" && f.Seq != *next:
		t.Fatalf("the page has got the message %d, want %d", f.Seq, *next)
	case f.Type == "message":
		*next++
	}
	return false
}

// page is a page in a browser, served from an origin of its own.
type page struct {
	*httptest.Server
	asked atomic.Int32 // for tokens
	said  chan string
}

func servePage(t *testing.T, script string, token func(asked int32) string) *page {
	p := &page{said: make(chan string, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<!doctype html><meta charset="utf-8"><title>page</title><script>%s
let said = Promise.resolve();
const say = what => { said = said.then(() => fetch('/said', {method: 'POST', body: JSON.stringify(what)})); };
const token = () => fetch('/token').then(answer => answer.text());
follow(new URLSearchParams(location.search).get('server'), ['1'], token, say, new AbortController().signal)
	.then(say, failure => say({code: String(failure)}));
</script>`, script)
	})
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, token(p.asked.Add(1))) })
	mux.HandleFunc("POST /said", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.said <- string(body)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// snippetOf returns the JavaScript of docs/protocol.md that has a text in it.
func snippetOf(t *testing.T, holds string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```javascript\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], holds) {
			return block[1]
		}
	}
	t.Fatalf("docs/protocol.md has no JavaScript with %q", holds)
	return ""
}
