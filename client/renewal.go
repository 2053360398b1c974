package client

import (
	"context"
	"time"
)

const (
	// renewMargin is how long before the end of a credential the token source
	// is asked for another one, at the earliest; half of it at the latest, so
	// that clients that began together do not ask together. The server adds 60 s
	// to the token's exp, so that a source that keeps a token until then has
	// another one soon after it is asked.
	renewMargin = 2 * time.Minute
	// renewPause is the least time between two renewals, whatever source and
	// server say.
	renewPause = time.Second
	// renewBackoffCap bounds the wait after renewals that failed. The wait
	// begins high enough to stay below the errors that the server allows
	// (docs/protocol.md §9).
	renewBackoffCap = 20 * time.Second
)

// renewal replaces the credential of a connection while it is still good
// (docs/protocol.md §15.2). At at the source is asked; what it returns goes out
// as auth; the answer says when the next renewal is due. Whatever fails is tried
// again, and if nothing helps the server ends the connection, and the next one
// begins with asking the source.
type renewal struct {
	at       time.Time // when the source is to be asked; zero: not now
	asking   bool      // it is being asked
	token    string    // what it returned, to be sent
	failures int       // since the last success
}

// planRenewal plans the renewal of the credential that the session has now.
// One that seems to have ended already is measured with a clock that is wrong:
// then the server's is waited for.
func (p *protocol) planRenewal(now time.Time) {
	p.renewal = renewal{}
	left := p.session.ExpiresAt.Sub(now)
	if p.opt.token == nil || p.session.ExpiresAt.IsZero() || left <= 0 {
		return
	}
	half := min(renewMargin, left/2) / 2
	p.renewal.at = now.Add(max(renewPause, left-half-p.opt.random(half)))
}

// renewalDue reports, once, that the source is to be asked.
func (p *protocol) renewalDue(now time.Time) bool {
	r := &p.renewal
	if r.at.IsZero() || now.Before(r.at) || p.status.State != Online || p.cause != nil {
		return false
	}
	r.at, r.asking = time.Time{}, true
	return true
}

// tokenCame reports what the source has returned.
func (p *protocol) tokenCame(now time.Time, token string, err error) {
	r := &p.renewal
	if !r.asking { // the connection is lost
		return
	}
	r.asking, r.token = false, token
	if err != nil {
		p.renewalFailed(now, 0, err)
	}
}

// appendRenewal appends the auth with the token that came.
func (p *protocol) appendRenewal(out []outFrame) []outFrame {
	r := &p.renewal
	if r.token == "" {
		return out
	}
	id := p.nextID("a")
	p.waiting[id] = r
	f := textFrame(append(appendText(appendCommand(nil, "auth", id, ""), "token", r.token), '}'))
	f.secret, r.token = true, ""
	return append(out, f)
}

// answered takes the server's answer to auth.
func (r *renewal) answered(p *protocol, now time.Time, re string, in inbound) {
	delete(p.waiting, re)
	switch in := in.(type) {
	case okFrame:
		was := p.session.ExpiresAt
		p.session.ExpiresAt = in.expiresAt
		p.planRenewal(now)
		if !in.expiresAt.Equal(was) { // else the source has given the same token again
			p.emit("", Renewal{ExpiresAt: in.expiresAt})
		}
	case errorFrame:
		p.renewalFailed(now, in.err.RetryAfter, in.err)
	}
}

func (p *protocol) renewalFailed(now time.Time, asked time.Duration, err error) {
	r := &p.renewal
	wait := backoff{base: renewPause, cap: renewBackoffCap, random: p.opt.random}.wait(r.failures)
	r.failures++
	r.at = now.Add(max(renewPause, min(asked, maxRetryAfter)) + wait)
	p.emit("", Renewal{ExpiresAt: p.session.ExpiresAt, Err: err})
}

// renew asks the token source. Its goroutine belongs to the link, whose end is
// that of ctx.
func (c *Client) renew(ctx context.Context) {
	token, err := askSource(ctx, "token", c.opt.token)
	c.do(func(now time.Time) { c.p.tokenCame(now, token, err) })
}
