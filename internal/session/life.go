package session

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
)

// Identity is who a client is, and how long that holds.
type Identity struct {
	chat.Principal
	// ExpiresAt is when the credential ends, zero for never.
	ExpiresAt time.Time
	// IssuedAt is when it was made, zero for what cannot be revoked.
	IssuedAt time.Time
	// TokenID and Issuer are its jti and iss, empty if it has none.
	TokenID string
	Issuer  string
}

// life ends a session with its credential.
type life struct {
	dismiss func(*chat.Error)
	watch   *Watch // nil: credentials are not revoked
	slot    int    // of watch; guarded by its mu
	deaf    func() // ends the listening for revocations

	mu     sync.Mutex
	id     Identity
	expire *time.Timer // nil for a credential that does not end
	over   bool
}

var (
	errExpired = chat.Errorf(chat.TokenExpired, "The token has expired; get a new one and connect again.")
	errRevoked = chat.Errorf(chat.Unauthenticated, "The token is no longer good; get a new one.")
	errBarred  = chat.Errorf(chat.Forbidden, "This account is disabled; ask who runs the server.")
)

// begin has the session end with its credential.
func (l *life) begin(id Identity, watch *Watch, dismiss func(*chat.Error)) {
	l.dismiss, l.watch = dismiss, watch
	l.renew(id)
	watch.add(l)
	l.deaf = watch.listenFor(l)
}

// hear is told that some of a user's credentials are void.
func (l *life) hear(r Revocation) {
	id := l.identity()
	switch {
	case id.IssuedAt.IsZero(): // cannot be revoked
	case r.Disabled:
		l.dismiss(errBarred)
	case r.TokenID != "" && r.TokenID == id.TokenID, r.TokenID == "" && id.IssuedAt.Before(r.Before):
		l.dismiss(errRevoked)
	}
}

// renew puts another credential in the place of the one so far.
func (l *life) renew(id Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expire != nil {
		l.expire.Stop()
		l.expire = nil
	}
	if l.id = id; !id.ExpiresAt.IsZero() && !l.over {
		l.expire = time.AfterFunc(time.Until(id.ExpiresAt), func() { l.lapse(id.ExpiresAt) })
	}
}

// lapse runs when a credential has ended. It may come late, when another has
// just been put in its place.
func (l *life) lapse(at time.Time) {
	l.mu.Lock()
	current := l.id.ExpiresAt.Equal(at) && !l.over
	l.mu.Unlock()
	if current {
		l.dismiss(errExpired)
	}
}

// end is called with the session's End, also if life never began.
func (l *life) end() {
	l.watch.remove(l)
	if l.deaf != nil {
		l.deaf()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.expire != nil {
		l.expire.Stop()
	}
}

func (l *life) identity() Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// recheckEvery is how often the credentials of open sessions are looked at
// again: a revocation that was not heard of takes effect within it
// (docs/protocol.md §20).
const recheckEvery = 10 * time.Second

const (
	// doubtWait is how long doubts about credentials are collected, and the
	// pause between two rounds of looking at them.
	doubtWait = 100 * time.Millisecond
	// doubtRound bounds the credentials of a round: of a bus that doubts all
	// topics the store takes ten questions a second, and recheckEvery does the
	// rest.
	doubtRound = 100
	// slots is how many parts recheckEvery has. Each is for its own share of the
	// sessions, so that the store is asked steadily.
	slots = 20
	// maxAsked bounds the credentials of one question to the store.
	maxAsked = 500
)

// Watch looks after the credentials of all sessions, with one goroutine. A nil
// Watch watches nothing. Its methods may be called from any goroutine.
type Watch struct {
	recheck Recheck
	listen  Listen
	cancel  context.CancelFunc
	ended   chan struct{}
	wake    chan struct{} // one slot: there are doubts

	mu      sync.Mutex
	lives   [slots]map[*life]struct{}
	doubted map[*life]struct{} // to be looked at soon
}

// Recheck returns, for each of some identities, a *chat.Error with code
// chat.Unauthenticated, chat.TokenExpired or chat.Forbidden if it does not hold
// any more. Any other error leaves its session open.
type Recheck func(context.Context, []Identity) []error

// Revocation says which of a user's credentials are void.
type Revocation struct {
	// Disabled says that all are, for as long as the account is disabled.
	Disabled bool
	// TokenID is the one that is; if it is empty, all are that were issued
	// before Before.
	TokenID string
	Before  time.Time
}

// Listen has heard called for each revocation of a user that becomes known, on
// any node, and doubt if some may have been lost. Neither waits. stop ends that;
// it is not called from them.
type Listen func(user chat.UserID, heard func(Revocation), doubt func()) (stop func())

// NewWatch starts a watch; Close ends it.
func NewWatch(recheck Recheck, listen Listen) *Watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{
		recheck: recheck,
		listen:  listen,
		cancel:  cancel,
		ended:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		doubted: make(map[*life]struct{}),
	}
	for i := range w.lives {
		w.lives[i] = make(map[*life]struct{})
	}
	go w.run(ctx)
	return w
}

// Close ends the watch and waits for its goroutine.
func (w *Watch) Close() {
	if w != nil {
		w.cancel()
		<-w.ended
	}
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.ended)
	tick := time.NewTicker(recheckEvery / slots)
	defer tick.Stop()
	for began, next := time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
			w.settleDoubts(ctx)
		case <-tick.C:
			// A store that is slow, or was away, makes ticks go missing.
			due := int(time.Since(began) / (recheckEvery / slots))
			for next = max(next, due-slots); next < due; next++ {
				w.look(ctx, w.in(next%slots))
			}
		}
	}
}

// doubt has a session's credential be looked at soon.
func (w *Watch) doubt(l *life) {
	w.mu.Lock()
	if _, open := w.lives[l.slot][l]; open {
		w.doubted[l] = struct{}{}
	}
	w.mu.Unlock()
	w.poke()
}

func (w *Watch) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// settleDoubts waits a moment for more doubts and looks at one round of them.
func (w *Watch) settleDoubts(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(doubtWait):
	}
	w.look(ctx, w.takeDoubted())
}

// takeDoubted returns a round of doubted lives. What is left has its turn.
func (w *Watch) takeDoubted() []*life {
	w.mu.Lock()
	defer w.mu.Unlock()
	round := make([]*life, 0, min(doubtRound, len(w.doubted)))
	for l := range w.doubted {
		if len(round) == doubtRound {
			w.poke()
			break
		}
		delete(w.doubted, l)
		round = append(round, l)
	}
	return round
}

// look asks about the credentials of sessions, and ends those whose credential
// does not hold.
func (w *Watch) look(ctx context.Context, lives []*life) {
	for part := range slices.Chunk(lives, maxAsked) {
		var asked []*life
		var ids []Identity
		for _, l := range part {
			if id := l.identity(); !id.IssuedAt.IsZero() {
				asked, ids = append(asked, l), append(ids, id)
			}
		}
		if len(ids) == 0 || ctx.Err() != nil {
			continue
		}
		for i, err := range w.recheck(ctx, ids) {
			if err != nil {
				asked[i].judge(err)
			}
		}
	}
}

// judge ends the session if err says that its credential does not hold.
func (l *life) judge(err error) {
	if told := asError(err); told.Code == chat.Unauthenticated || told.Code == chat.TokenExpired || told.Code == chat.Forbidden {
		l.dismiss(told)
	}
}

// listenFor lets l hear of revocations until the returned function is called.
func (w *Watch) listenFor(l *life) (stop func()) {
	if w == nil || l.identity().IssuedAt.IsZero() {
		return func() {}
	}
	return w.listen(l.identity().User.ID, l.hear, func() { w.doubt(l) })
}

// in returns the sessions of a slot.
func (w *Watch) in(slot int) []*life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.lives[slot]))
}

// add puts l into the emptiest slot, where it stays.
func (w *Watch) add(l *life) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.lives {
		if len(w.lives[i]) < len(w.lives[l.slot]) {
			l.slot = i
		}
	}
	w.lives[l.slot][l] = struct{}{}
}

func (w *Watch) remove(l *life) {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.lives[l.slot], l)
		delete(w.doubted, l)
	}
}
