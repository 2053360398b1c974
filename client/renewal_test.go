package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
)

// tokens is an option that makes the client one that has a token source. The
// dialogue calls no source: it says what one has returned.
var tokens = WithToken(func(context.Context) (string, error) { return "never called", nil })

// greetUntil is the server's greeting of a client whose credential ends after
// life.
func (d *dialogue) greetUntil(life time.Duration) {
	d.receive(strings.Replace(helloJSON, `"heartbeat_ms"`, fmt.Sprintf(`"expires_at":%q,"heartbeat_ms"`, instantJSON(d.now.Add(life))), 1))
}

func instantJSON(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// wantAsk lets time pass, with signs of life of the server, until the source
// is asked, and wants that after so long.
func (d *dialogue) wantAsk(after time.Duration) {
	d.t.Helper()
	began := d.now
	for !d.p.renewal.asking {
		if d.now.Sub(began) > after {
			d.t.Fatalf("the source is not asked after %v", after)
		}
		d.now = d.now.Add(100 * time.Millisecond)
		d.p.heard(d.now)
		d.work()
	}
	if got := d.now.Sub(began); got != after {
		d.t.Fatalf("the source is asked after %v, want %v", got, after)
	}
}

// renewals returns what was told of renewals since the last call.
func (d *dialogue) renewals() (told []string) {
	for _, l := range d.p.events {
		switch r, ok := l.event.(Renewal); {
		case ok && r.Err != nil:
			told = append(told, fmt.Sprintf("%s: %v", instantJSON(r.ExpiresAt), r.Err))
		case ok:
			told = append(told, instantJSON(r.ExpiresAt))
		}
	}
	d.p.events = nil
	return told
}

func (d *dialogue) wantRenewals(wanted ...string) {
	d.t.Helper()
	if got := d.renewals(); fmt.Sprint(got) != fmt.Sprint(wanted) {
		d.t.Errorf("got renewals %q, want %q", got, wanted)
	}
}

// The credential is replaced on the connection, as often as need be.
func TestRenewal(t *testing.T) {
	d := newDialogue(t, tokens)
	d.greetUntil(time.Hour)
	d.wantAsk(58 * time.Minute)
	d.p.tokenCame(d.now, "t2", nil)
	d.want(`{"type":"auth","id":"a1","token":"t2"}`)
	until := d.now.Add(20 * time.Second)
	d.receive(fmt.Sprintf(`{"type":"ok","re":"a1","data":{"expires_at":%q}}`, instantJSON(until)))
	d.wantRenewals(instantJSON(until))
	if got := d.p.session.ExpiresAt; !got.Equal(until) {
		t.Errorf("the session ends at %v, want %v", got, until)
	}
	d.wantAsk(10 * time.Second)
	d.p.tokenCame(d.now, "t3", nil)
	d.want(`{"type":"auth","id":"a2","token":"t3"}`)
	d.receive(`{"type":"ok","re":"a2","data":{}}`)
	d.wantRenewals(instantJSON(time.Time{}))
	if d.pass(time.Hour); d.p.renewal.asking {
		t.Error("the source is asked though the credential does not end")
	}
}

// When the source is asked, with the widest jitter and with none.
func TestRenewalTimes(t *testing.T) {
	for _, test := range []struct {
		name            string
		life            time.Duration
		earliest, least time.Duration // after hello; least is without jitter
	}{
		{"a day", 24 * time.Hour, 24*time.Hour - 2*time.Minute, 24*time.Hour - time.Minute},
		{"five minutes", 5 * time.Minute, 3 * time.Minute, 4 * time.Minute},
		{"two minutes", 2 * time.Minute, time.Minute, 90 * time.Second},
		{"ten seconds", 10 * time.Second, 5 * time.Second, 7500 * time.Millisecond},
		{"one second", time.Second, time.Second, time.Second},
	} {
		d := newDialogue(t, tokens)
		d.greetUntil(test.life)
		if got := d.p.renewal.at.Sub(d.now); got != test.earliest {
			t.Errorf("%s: asked after %v, want %v", test.name, got, test.earliest)
		}
		d.p.opt.random = func(time.Duration) time.Duration { return 0 }
		d.p.planRenewal(d.now)
		if got := d.p.renewal.at.Sub(d.now); got != test.least {
			t.Errorf("%s without jitter: asked after %v, want %v", test.name, got, test.least)
		}
	}
}

// Who has no source, or no end, or a clock by which the credential ended before
// it began, asks for nothing.
func TestNoRenewal(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  []Option
		greet func(d *dialogue)
	}{
		{"no source", nil, func(d *dialogue) { d.greetUntil(time.Minute) }},
		{"no end", []Option{tokens}, (*dialogue).hello},
		{"a clock that is ahead", []Option{tokens}, func(d *dialogue) { d.greetUntil(-time.Second) }},
	} {
		d := newDialogue(t, test.opts...)
		test.greet(d)
		if !d.p.renewal.at.IsZero() {
			t.Errorf("%s: the source is asked at %v", test.name, d.p.renewal.at)
		}
	}
}

// What fails is told and tried again, ever less often, while the connection
// goes on with what it has.
func TestRenewalFails(t *testing.T) {
	d := newDialogue(t, tokens)
	d.greetUntil(time.Hour)
	until := instantJSON(d.now.Add(time.Hour))
	d.wantAsk(58 * time.Minute)
	d.p.tokenCame(d.now, "", errors.New("no luck"))
	d.wantRenewals(until + ": no luck")
	d.wantAsk(2 * time.Second)
	d.p.tokenCame(d.now, "stranger", nil)
	d.want(`{"type":"auth","id":"a1","token":"stranger"}`)
	d.receive(refusalJSON("a1", "", chat.Forbidden, false))
	d.wantRenewals(until + ": forbidden: m")
	d.wantAsk(3 * time.Second)
	d.p.tokenCame(d.now, "old", nil)
	d.want(`{"type":"auth","id":"a2","token":"old"}`)
	d.receive(refusalJSON("a2", "", chat.TokenExpired, true))
	d.wantRenewals(until + ": token_expired: m")
	d.wantAsk(5 * time.Second)
	d.p.tokenCame(d.now, "limited", nil)
	d.want(`{"type":"auth","id":"a3","token":"limited"}`)
	d.receive(`{"type":"error","re":"a3","message":"m","code":"rate_limited","data":{"message":"m","code":"rate_limited","num":1301,"retryable":true,"retry_after_ms":7000}}`)
	d.renewals()
	d.wantAsk(15 * time.Second)
	if d.p.status.State != Online || d.p.cause != nil {
		t.Errorf("the client is %v, %v, want online", d.p.status.State, d.p.cause)
	}
	d.lose()
	if d.p.tokenCame(d.now, "late", nil); d.p.renewal != (renewal{}) {
		t.Errorf("after a cut the renewal is %+v, want none", d.p.renewal)
	}
}

// A source that gives the token that it gave before is asked again, not without
// end, and nothing is told.
func TestRenewalWithTheSameToken(t *testing.T) {
	d := newDialogue(t, tokens)
	d.greetUntil(time.Hour)
	until := d.now.Add(time.Hour)
	asked := 0
	for d.now.Before(until) {
		d.now = d.now.Add(100 * time.Millisecond)
		d.p.heard(d.now)
		if d.work(); !d.p.renewal.asking {
			continue
		}
		asked++
		d.p.tokenCame(d.now, "t1", nil)
		d.want(fmt.Sprintf(`{"type":"auth","id":"a%d","token":"t1"}`, asked))
		d.receive(fmt.Sprintf(`{"type":"ok","re":"a%d","data":{"expires_at":%q}}`, asked, instantJSON(until)))
	}
	if asked < 5 || asked > 12 {
		t.Errorf("the source was asked %d times in the last two minutes", asked)
	}
	d.wantRenewals()
}

// What a source returns, or does not.
func TestSources(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		source func(context.Context) (string, error)
		want   error
	}{
		{"good", func(context.Context) (string, error) { return "abc.def-_~", nil }, nil},
		{"empty", func(context.Context) (string, error) { return "", nil }, errNoToken},
		{"line break", func(context.Context) (string, error) { return "abc\n", nil }, errNoToken},
		{"not UTF-8", func(context.Context) (string, error) { return "\xff", nil }, errNoToken},
		{"error", func(context.Context) (string, error) { return "abc", broken }, broken},
		{"hangs", func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }, errSlowSource},
	} {
		synctest.Test(t, func(t *testing.T) {
			if token, err := askSource(t.Context(), "token", test.source); !errors.Is(err, test.want) || (err == nil) != (token != "") {
				t.Errorf("%s: %q, %v, want %v", test.name, token, err, test.want)
			}
		})
	}
}
