package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"tertulia/chat"
	"tertulia/internal/presence"
)

// maxBatch is how many statements are written and announced together; with
// the longest ids and names that is less than 100 KB.
const maxBatch = 256

// teller writes what this node has to say.
type teller struct {
	// Fixed after construction.
	cfg    Config
	keys   keys
	health *health
	seals  *seals
	outbox *outbox

	// Owned by run, and by leave afterwards.
	version uint64 // of the last write
	lost    bool   // the page is not known to be right
}

func newTeller(cfg Config, h *health, s *seals) *teller {
	return &teller{cfg: cfg, keys: keysOf(cfg.Prefix, cfg.Node), health: h, seals: s, outbox: newOutbox(), lost: true}
}

// lease and field are a lease, and a field of the page, as they are written.
func (t *teller) lease(value string) string { return t.seals.seal(t.cfg.Node, placeLease, value) }

func (t *teller) field(name, value string) (string, string) {
	return name, t.seals.seal(t.cfg.Node, name, value)
}

// begin says that the node is here, if Redis answers.
func (t *teller) begin(ctx context.Context) {
	if t.renew(ctx) == nil {
		_ = t.restate(ctx) // else run tries again
	}
}

// run renews the lease and writes what is told, until ctx ends.
func (t *teller) run(ctx context.Context) {
	next := time.NewTimer(t.pause(nil))
	defer next.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-t.outbox.woken:
			if !sleep(ctx, flushEvery) {
				return
			}
			if err = t.flush(ctx); err == nil {
				continue
			}
		case <-next.C:
			err = t.keep(ctx)
		}
		next.Reset(t.pause(err))
	}
}

// pause is how long after an outcome the lease is renewed: four times in its
// life, sooner while something fails, and never at the same time as all others.
func (t *teller) pause(err error) time.Duration {
	most := t.cfg.Lease / 4
	if err != nil {
		most = t.cfg.Lease / 20
	}
	return most - rand.N(most/5)
}

// keep renews the lease, and writes everything if something was lost.
func (t *teller) keep(ctx context.Context) error {
	if err := t.renew(ctx); err != nil {
		return err
	}
	if !t.lost {
		return nil
	}
	if !sleep(ctx, rand.N(t.cfg.Lease/20)) { // all nodes have lost it
		return ctx.Err()
	}
	return t.restate(ctx)
}

// renew gives the lease its whole life again, and finds out whether it, or the
// page, has been lost, or is not what this node has written last.
func (t *teller) renew(ctx context.Context) error {
	b, here := t.cfg.Client.B(), t.lease(leaseHere)
	answers, err := t.do(ctx,
		b.Set().Key(t.keys.lease).Value(here).Get().Px(t.cfg.Lease).Build(),
		b.Pexpire().Key(t.keys.page).Milliseconds(2*t.cfg.Lease.Milliseconds()).Build(),
		b.Sadd().Key(nodesKey(t.cfg.Prefix)).Member(t.cfg.Node).Build(),
		b.Hmget().Key(t.keys.page).Field(fieldWhole, fieldVersion).Build(),
	)
	if isWrongType(err) {
		t.clear(ctx)
	}
	if err != nil {
		return err
	}
	held, _ := answers[0].ToString() // empty if there was none
	marks, _ := answers[3].AsStrSlice()
	if held != here || !slices.Equal(marks, t.marks()) {
		t.lost = true
	}
	return nil
}

// isWrongType reports whether somebody has put something else where a lease, a
// page or the set of nodes should be.
func isWrongType(err error) bool {
	answer, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(answer.Error(), "WRONGTYPE")
}

// clear takes away what this node finds in the way, to write it anew. That is
// the set of nodes too, to which all nodes add themselves again.
func (t *teller) clear(ctx context.Context) {
	t.lost = true
	b := t.cfg.Client.B()
	_, _ = t.do(ctx, b.Del().Key(t.keys.lease).Build(), b.Del().Key(t.keys.page).Build(), b.Del().Key(nodesKey(t.cfg.Prefix)).Build()) // else at the next renewal
}

// marks are the fields of the page that are not users, as they were written
// last: whole and version.
func (t *teller) marks() []string {
	_, whole := t.field(fieldWhole, "1")
	_, version := t.field(fieldVersion, strconv.FormatUint(t.version, 10))
	return []string{whole, version}
}

// restate writes everything that this node has to say, as a new page that
// takes the place of the old one at once.
func (t *teller) restate(ctx context.Context) error {
	t.outbox.drop() // it is in Own
	own := t.cfg.Tracker.Own()
	t.version++
	b := t.cfg.Client.B()
	commands := []rueidis.Completed{
		b.Del().Key(t.keys.next).Build(),
		b.Hset().Key(t.keys.next).FieldValue().FieldValue(t.field(fieldWhole, "1")).FieldValue(t.field(fieldVersion, strconv.FormatUint(t.version, 10))).Build(),
	}
	for len(own) > 0 {
		n := min(len(own), maxBatch)
		entries := b.Hset().Key(t.keys.next).FieldValue()
		for i := range own[:n] {
			entries = entries.FieldValue(t.field(fieldOf(&own[i]), valueOf(&own[i])))
		}
		commands = append(commands, entries.Build())
		own = own[n:]
	}
	commands = append(commands,
		b.Pexpire().Key(t.keys.next).Milliseconds(2*t.cfg.Lease.Milliseconds()).Build(),
		b.Rename().Key(t.keys.next).Newkey(t.keys.page).Build())
	if _, err := t.do(ctx, commands...); err != nil {
		return err
	}
	t.lost = false
	t.seals.counts.Restated.Inc()
	t.announce(whatAll, nil)
	return nil
}

// errLost says that the page was lost before it was written to.
var errLost = errors.New("presence: the page in Redis is lost")

// flush writes and announces what waits. After an error everything has to be
// written again.
func (t *teller) flush(ctx context.Context) error {
	for !t.lost {
		batch := t.outbox.take(maxBatch)
		if len(batch) == 0 {
			return nil
		}
		if err := t.write(ctx, batch); err != nil {
			t.lost = true
			return err
		}
		t.announce(whatSaid, announce(batch))
	}
	t.outbox.drop() // restate will say it
	return nil
}

// write changes the page. Who reads it between the two changes finds the old
// version, and is told of the new one.
func (t *teller) write(ctx context.Context, batch []presence.Statement) error {
	t.version++
	b := t.cfg.Client.B()
	var gone []string
	entries := b.Hset().Key(t.keys.page).FieldValue().FieldValue(t.field(fieldVersion, strconv.FormatUint(t.version, 10)))
	for i := range batch {
		if s := &batch[i]; s.Here {
			entries = entries.FieldValue(t.field(fieldOf(s), valueOf(s)))
		} else {
			gone = append(gone, fieldOf(s))
		}
	}
	commands := []rueidis.Completed{b.Hexists().Key(t.keys.page).Field(fieldWhole).Build()}
	if len(gone) > 0 {
		commands = append(commands, b.Hdel().Key(t.keys.page).Field(gone...).Build())
	}
	answers, err := t.do(ctx, append(commands, entries.Build())...)
	if err != nil {
		return err
	}
	if whole, _ := answers[0].AsInt64(); whole == 0 {
		return errLost
	}
	return nil
}

func (t *teller) announce(what string, said []statement) {
	a := announcement{Node: t.cfg.Node, Version: t.version, What: what, Said: said}
	t.cfg.Bus.Publish(Topic, []chat.Event{a.event()})
}

// leave says the last of this node, and lets its lease end with the grace of
// its users; at once if there are none.
func (t *teller) leave(ctx context.Context) {
	if t.lost {
		_ = t.restate(ctx) // else the lease runs out
	}
	_ = t.flush(ctx)
	b := t.cfg.Client.B()
	var err error
	if t.cfg.Grace <= 0 || len(t.cfg.Tracker.Own()) == 0 {
		_, err = t.do(ctx,
			b.Del().Key(t.keys.lease).Build(),
			b.Del().Key(t.keys.page).Build(),
			b.Srem().Key(nodesKey(t.cfg.Prefix)).Member(t.cfg.Node).Build())
	} else {
		_, err = t.do(ctx,
			b.Set().Key(t.keys.lease).Value(t.lease(leaseLeaving)).Px(t.cfg.Grace).Build(),
			b.Pexpire().Key(t.keys.page).Milliseconds((t.cfg.Grace + t.cfg.Lease).Milliseconds()).Build())
	}
	if err == nil {
		t.announce(whatLeaving, nil)
	}
}

// do sends commands together and returns the answers, or the first error that
// is one.
func (t *teller) do(ctx context.Context, commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	answers, err := do(ctx, t.cfg.Client, commands...)
	t.health.note(ctx, telling, err)
	return answers, err
}

func do(ctx context.Context, client rueidis.Client, commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	answers := client.DoMulti(limited, commands...)
	for _, a := range answers {
		if err := a.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return nil, err
		}
	}
	return answers, nil
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
