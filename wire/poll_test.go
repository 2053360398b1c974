package wire

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

func TestDecodePoll(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       Poll
	}{
		{"nothing", ``, Poll{Limit: DefaultPollEvents, Wait: MaxPollWait}},
		{"an empty object", `{}`, Poll{Limit: DefaultPollEvents, Wait: MaxPollWait}},
		{"all", `{"cursor":"AQ","wait_ms":0,"limit":200,"history":7}`, Poll{Cursor: "AQ", Limit: 200, History: 7}},
		{"the longest wait", `{"wait_ms":30000}`, Poll{Limit: DefaultPollEvents, Wait: MaxPollWait}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodePoll([]byte(c.body))
			if err != nil || got.Cursor != c.want.Cursor || got.Limit != c.want.Limit || got.History != c.want.History || got.Wait != c.want.Wait {
				t.Errorf("DecodePoll(%s) = %+v, %v, want %+v", c.body, got, err, c.want)
			}
		})
	}
}

func TestAppendPolled(t *testing.T) {
	p := Polled{
		Events:     [][]byte{[]byte(`{"type":"message"}`), []byte(`{"type":"message_edited"}`)},
		Cursors:    chat.Cursors{{Room: "1", Cursor: chat.Cursor{Epoch: "e", Seq: 5}}},
		CaughtUp:   true,
		Gaps:       []PollGap{{"1", Resume{GapRetention, 2, 4}}},
		Ended:      []PollEnd{{"2", chat.Errorf(chat.Banned, `Say "please".`)}, {"3", chat.Errorf(chat.Forbidden, "No.")}},
		RetryAfter: 1500 * time.Millisecond,
	}
	const want = `{"events":[{"type":"message"},{"type":"message_edited"}],"cursor":"AQExAAFlBQ","caught_up":true,` +
		`"gaps":[{"room":"1","reason":"retention","from":2,"to":4}],` +
		`"ended":[{"room":"2","code":"banned","message":"Say \"please\"."},{"room":"3","code":"forbidden","message":"No."}],"retry_after_ms":1500}`
	if got := string(AppendPolled(nil, &p)); got != want || !jsontext.Value(got).IsValid() {
		t.Errorf("AppendPolled = %s, want %s", got, want)
	}
	if got, want := string(AppendPolled(nil, &Polled{})), `{"events":[],"cursor":"AQ","caught_up":false}`; got != want {
		t.Errorf("AppendPolled of nothing = %s, want %s", got, want)
	}
}

func TestAppendStreamEnd(t *testing.T) {
	got := string(AppendStreamEnd(nil, 1480*time.Millisecond, CloseDrain, "restart"))
	if want := `{"type":"reconnect","data":{"after_ms":1480,"reason":"restart","code":4000}}`; got != want {
		t.Errorf("AppendStreamEnd = %s, want %s", got, want)
	}
}

func FuzzDecodePoll(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"rooms":["1"],"cursor":"AQ","wait_ms":0,"limit":1,"history":0}`, `[]`, `{"limit":1e2}`, `{"rooms":[1]}`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := DecodePoll(body)
		if err != nil {
			if code := chat.AsError(err).Code; code != chat.InvalidJSON && code != chat.InvalidEvent {
				t.Fatalf("DecodePoll(%q): %v, want code %s or %s", body, err, chat.InvalidJSON, chat.InvalidEvent)
			}
			return
		}
		if p.Limit < 1 || p.Limit > MaxPollEvents || p.History < 0 || p.History > MaxHistory || p.Wait < 0 || p.Wait > MaxPollWait {
			t.Fatalf("DecodePoll(%q) = %+v, which is beyond the limits", body, p)
		}
		if len(body) > 0 && !jsontext.Value(body).IsValid() {
			t.Fatalf("DecodePoll(%q) takes what is no JSON", body)
		}
		var object map[string]any
		if len(body) > 0 && json.Unmarshal(body, &object) != nil {
			t.Fatalf("DecodePoll(%q) takes what is no object", body)
		}
	})
}
