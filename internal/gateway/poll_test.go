package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/api"
	"tertulia/internal/observe"
	"tertulia/internal/schematest"
)

// polled is what the tests look at in the answer to a poll.
type polled struct {
	Code     chat.Code `json:"code"`
	Events   []frame   `json:"events"`
	Cursor   string    `json:"cursor"`
	CaughtUp bool      `json:"caught_up"`
	Gaps     []struct {
		Room   string `json:"room"`
		Reason string `json:"reason"`
	} `json:"gaps"`
	Ended []struct {
		Room string    `json:"room"`
		Code chat.Code `json:"code"`
	} `json:"ended"`
	RetryAfterMS int `json:"retry_after_ms"`
}

// poll asks as Ana.
func (n *node) poll(body string) (p polled) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost/api/v1/poll"+ana, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.client().Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	n.checkPoll(req, body, resp, text)
	if err := json.Unmarshal(text, &p); err != nil {
		n.t.Fatalf("answer %s: %v", text, err)
	}
	return p
}

// document is the OpenAPI document.
var document = sync.OnceValues(func() (*schematest.Document, error) { return schematest.Read(api.Document(observe.Build{})) })

// checkPoll holds a poll and its answer to the document. Refusals are package
// api's to write.
func (n *node) checkPoll(req *http.Request, body string, resp *http.Response, text []byte) {
	n.t.Helper()
	if resp.StatusCode != http.StatusOK {
		return
	}
	doc, err := document()
	if err == nil {
		err = errors.Join(doc.Request("/poll", req, []byte(body)), doc.Answer("POST", "/poll", resp.StatusCode, resp.Header, text))
	}
	if err != nil {
		n.t.Errorf("the poll %s is answered with %s: %v", body, text, err)
	}
}

func (p *polled) contents() (all []string) {
	for _, e := range p.Events {
		all = append(all, e.Data.Content)
	}
	return all
}

func (p *polled) want(t *testing.T, contents ...string) {
	t.Helper()
	if got := p.contents(); !slices.Equal(got, contents) || p.Code != "" {
		t.Errorf("the poll got %q, code %q, want %q", got, p.Code, contents)
	}
}

// post says something in a room, and returns when it is stored.
func (n *node) post(room, content string) {
	n.t.Helper()
	c := n.enter("/ws/" + room + "?user_id=2&username=Bob")
	c.send(fmt.Sprintf(`{"type":"message","content":%q}`, content))
	c.want("message_sent")
	c.want("message")
	c.leave()
	n.nodes.settle()
}

// The first poll says where to begin, the next ones bring what comes, at once
// if it is there.
func TestPoll(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		n.post("1", "before")
		first := n.poll(`{"rooms":["1","2"]}`)
		first.want(t)
		if !first.CaughtUp {
			t.Error("the first poll has not caught up")
		}
		n.post("2", "dos")
		n.post("1", "uno")
		second := n.poll(fmt.Sprintf(`{"cursor":%q}`, first.Cursor))
		if got := second.contents(); len(got) != 2 || !slices.Contains(got, "uno") || !slices.Contains(got, "dos") {
			t.Errorf("the second poll got %q, want both messages", got)
		}
		began := time.Now()
		third := n.poll(fmt.Sprintf(`{"cursor":%q,"wait_ms":50}`, second.Cursor))
		third.want(t)
		if took := time.Since(began); took < 50*time.Millisecond {
			t.Errorf("the third poll waited %v, want 50 ms", took)
		}
		if third.Cursor != second.Cursor || !third.CaughtUp {
			t.Errorf("nothing came, and the cursor is %s, was %s", third.Cursor, second.Cursor)
		}
	})
}

func TestPollsAreCounted(t *testing.T) {
	n := newTCPNode(t)
	for range 3 {
		n.poll(`{"rooms":["1"]}`)
	}
	n.Gateway.Close() // waits for what counts last
	if c := n.Gateway.Counts(); c.Began.Of("poll").Value() != 3 || c.Ended.Of("poll").Value() != 3 || c.Began.Of("sse").Value() != 0 {
		t.Errorf("%d polls began and %d ended, want 3", c.Began.Of("poll").Value(), c.Ended.Of("poll").Value())
	}
}

// A poll that waits gets the first thing that is said, and takes along what
// was said with it.
func TestPollWaits(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		first := n.poll(`{"rooms":["1"]}`)
		answered := make(chan polled)
		began := time.Now()
		go func() { answered <- n.poll(fmt.Sprintf(`{"cursor":%q}`, first.Cursor)) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		n.post("1", "uno")
		got := <-answered
		got.want(t, "uno")
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("the answer came after %v", took)
		}
		began = time.Now()
		nothing := n.poll(fmt.Sprintf(`{"cursor":%q}`, got.Cursor))
		nothing.want(t)
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("nothing happened, and the answer came after %v", took)
		}
	})
}

// Who polls is here from one poll to the next, and gone when no poll comes.
func TestPollIsPresence(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		bob := n.enter("/ws/1?user_id=2&username=Bob")
		defer bob.Close()
		p := n.poll(`{"rooms":["1"]}`)
		bob.want("user_joined")
		for range 3 {
			time.Sleep(4 * time.Second)
			p = n.poll(fmt.Sprintf(`{"cursor":%q,"wait_ms":1000}`, p.Cursor))
		}
		bob.send(`{"type":"ping"}`)
		bob.want("pong")
		began := time.Now()
		bob.want("user_left")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the user left %v after the last poll, want the grace of 10 s", took)
		}
	})
}

// An answer has as many events as were asked for, and the next one goes on
// there.
func TestPollLimit(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		p := n.poll(`{"rooms":["1"]}`)
		for i := range 7 {
			n.post("1", fmt.Sprint(i))
		}
		for _, want := range [][]string{{"0", "1", "2"}, {"3", "4", "5"}, {"6"}} {
			p = n.poll(fmt.Sprintf(`{"cursor":%q,"limit":3,"wait_ms":1000}`, p.Cursor))
			p.want(t, want...)
		}
		if !p.CaughtUp {
			t.Error("the last poll has not caught up")
		}
		recent := n.poll(`{"rooms":["1"],"history":2}`)
		recent.want(t, "5", "6")
		if recent.Cursor != p.Cursor {
			t.Errorf("after the history the cursor is %s, want %s", recent.Cursor, p.Cursor)
		}
	})
}

// A cursor that the log does not continue is answered at once with a gap.
func TestPollGap(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		n.post("1", "uno")
		p := n.poll(`{"rooms":["1"],"cursor":"other:1","history":5}`)
		p.want(t, "uno")
		if len(p.Gaps) != 1 || p.Gaps[0].Room != "1" || p.Gaps[0].Reason != "epoch" {
			t.Errorf("gaps %+v, want one of the epoch", p.Gaps)
		}
	})
}

// Draining answers a poll that waits, with a time to come back.
func TestPollDrains(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		p := n.poll(`{"rooms":["1"]}`)
		answered := make(chan polled)
		go func() { answered <- n.poll(fmt.Sprintf(`{"cursor":%q}`, p.Cursor)) }()
		synctest.Wait()
		go func() {
			if err := n.Drain(context.Background()); err != nil {
				t.Errorf("Drain = %v", err)
			}
		}()
		got := <-answered
		got.want(t)
		if got.Cursor != p.Cursor || got.RetryAfterMS == 0 {
			t.Errorf("the answer has the cursor %s and %d ms to wait, want %s and some", got.Cursor, got.RetryAfterMS, p.Cursor)
		}
		if refused := n.poll(`{"rooms":["1"]}`); refused.Code != chat.ShuttingDown {
			t.Errorf("a poll while draining gets code %q, want %s", refused.Code, chat.ShuttingDown)
		}
	})
}

func TestPollRefuses(t *testing.T) {
	n := newTCPNode(t)
	for _, c := range []struct {
		name, body string
		code       chat.Code
	}{
		{"no room", ``, chat.MissingParameter},
		{"empty object", `{}`, chat.MissingParameter},
		{"no JSON", `{"rooms":`, chat.InvalidJSON},
		{"a member twice", `{"rooms":["1"],"rooms":["2"]}`, chat.InvalidJSON},
		{"wrong type", `{"rooms":"1"}`, chat.InvalidEvent},
		{"no object", `[]`, chat.InvalidEvent},
		{"unknown member", `{"rooms":["1"],"waits":1}`, chat.InvalidEvent},
		{"waits too long", `{"rooms":["1"],"wait_ms":30001}`, chat.InvalidEvent},
		{"no limit", `{"rooms":["1"],"limit":0}`, chat.InvalidEvent},
		{"too much history", `{"rooms":["1"],"history":201}`, chat.InvalidEvent},
		{"bad cursor", `{"rooms":["1"],"cursor":"x"}`, chat.CursorInvalid},
		{"too large", `{"cursor":"` + strings.Repeat("A", 16<<10) + `"}`, chat.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := n.poll(c.body); got.Code != c.code {
				t.Errorf("code %q, want %s", got.Code, c.code)
			}
		})
	}
}

// Who is removed while the poll waits gets the event that says so.
func TestPollOfOneWhoIsRemoved(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		n.privateRoom("club")
		p := n.poll(`{"rooms":["club","1"]}`)
		answered := make(chan polled)
		go func() { answered <- n.poll(fmt.Sprintf(`{"cursor":%q}`, p.Cursor)) }()
		synctest.Wait()
		n.expel("club", "1")
		got := <-answered
		if len(got.Events) != 1 || got.Events[0].Type != "member_removed" || len(got.Ended) != 1 || got.Ended[0].Room != "club" {
			t.Errorf("the answer is %+v", got)
		}
		cursors, err := chat.ParseCursors(got.Cursor)
		if err != nil || len(cursors) != 1 || cursors[0].Room != "1" {
			t.Errorf("the cursor is %v, %v, want the other room's", cursors, err)
		}
		old := n.poll(fmt.Sprintf(`{"cursor":%q}`, p.Cursor))
		if len(old.Events) != 0 || len(old.Ended) != 1 || old.Ended[0].Code != chat.RoomNotFound {
			t.Errorf("with the old cursor the answer is %+v", old)
		}
		if none := n.poll(`{"rooms":["club"]}`); none.Code != chat.RoomNotFound {
			t.Errorf("a poll of that room alone gets code %q, want %s", none.Code, chat.RoomNotFound)
		}
	})
}
