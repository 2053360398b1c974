// Package inbox tells users what is unread in their rooms, and which rooms
// those are, without a subscription to any of them.
//
// A [Service] serves the users of one node who have an inbox open. It listens
// to each of their rooms once, however many of them are in it, and to each
// user's own topic. What it knows of a room is how many messages it has, and of
// a user how many of them are read; unread is the difference.
//
// # Promises
//
//   - What a reader was told last is what a look at the store says, at the
//     latest a minute after the bus has lost something, 10 s in a room in which
//     anything else was heard. When the bus has said so, messages are counted
//     and the list of rooms is right within 2 s; where more than 1,000 users are
//     in doubt at once the list takes a second more for each 500. When nothing is lost it is so within 50 ms, or
//     within a second of what was told of the same room before.
//   - Of one room a user is told once a second at most, the latest.
//   - Nothing is missed between a snapshot and what follows it.
//
// Events are taken from the bus and handed to this node's readers directly:
// in a cluster each node tells its own, and none twice.
package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/room"
	"tertulia/internal/store"
)

// MaxRooms bounds the rooms of one inbox. Beyond it those with the lowest ids
// are in it.
const MaxRooms = 10_000

// Config is what a service stands on.
type Config struct {
	Rooms *room.Service // lists a user's rooms
	Store store.Store   // is read only
	Bus   bus.Bus
	// Notify hands passing events to a user's readers on this node. It does not
	// wait, and is called from one goroutine.
	Notify func(user chat.UserID, events []chat.Event)
	Logger *slog.Logger // nil logs nothing
}

// Service keeps the inboxes that are open on one node. All methods may be
// called from any goroutine.
type Service struct {
	cfg    Config
	ctx    context.Context // ends with the service
	cancel context.CancelFunc
	wg     sync.WaitGroup // the teller and the reader
	tell   chan struct{}  // wakes the teller; one slot
	look   chan struct{}  // wakes the reader; one slot
	doubt  chan struct{}  // wakes it too: something may have been lost; one slot

	// mu guards everything below, users, rooms and entries included, but for
	// what is said to be fixed. It is held for as long as one list is walked, and
	// nothing is waited for meanwhile.
	mu      sync.Mutex
	users   map[chat.UserID]*user
	rooms   map[chat.RoomID]*watched
	version uint64 // of the newest notice to anybody
	news    rhythm[*watched]
	notices rhythm[*entry]
	behind  []*watched // whose log is to be read on
	stale   []*user    // who have rooms to be read again
	moved   []*entry   // whose mark has moved since the last check
	doubted []*user    // whose rooms are to be read, longest in doubt first
	closed  bool
}

// New starts a service; Close ends it.
func New(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		cfg:   cfg,
		tell:  make(chan struct{}, 1),
		look:  make(chan struct{}, 1),
		doubt: make(chan struct{}, 1),
		users: make(map[chat.UserID]*user),
		rooms: make(map[chat.RoomID]*watched),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.runTeller)
	s.wg.Go(s.runReader)
	return s
}

// Close ends the service and joins its goroutines. Inboxes that are still open
// are told nothing more; closing them does nothing. It may be called again.
func (s *Service) Close() {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	s.closed = true
	users := s.users
	s.users = nil
	var subs []bus.Subscription
	for _, u := range users {
		subs = append(subs, s.forget(u)...)
	}
	s.mu.Unlock()
	closeAll(subs)
}

// Inbox is one reader's share in the inbox of a user.
type Inbox struct {
	service *Service
	user    *user
	closing sync.Once
}

var errClosed = chat.Errorf(chat.ShuttingDown, "The server is stopping; connect again in a moment.")

// Open begins to tell a user's readers of the user's rooms, if that has not
// begun already, and returns when all rooms are known. by is the user. Errors
// are those of [room.Service.Standings], the store's or the context's. The
// caller closes the Inbox.
func (s *Service) Open(ctx context.Context, by chat.Principal) (*Inbox, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	u := s.users[by.User.ID]
	if u == nil {
		u = newUser(by)
		s.users[by.User.ID] = u
	}
	u.readers++
	s.mu.Unlock()
	in := &Inbox{service: s, user: u}
	if err := s.load(ctx, u); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// Close ends the reader's share. It may be called again.
func (in *Inbox) Close() {
	in.closing.Do(func() {
		s, u := in.service, in.user
		s.mu.Lock()
		var subs []bus.Subscription
		if u.readers--; u.readers == 0 && s.users[u.by.User.ID] == u {
			delete(s.users, u.by.User.ID)
			subs = s.forget(u)
		}
		s.mu.Unlock()
		closeAll(subs)
	})
}

// Snapshot returns the user's rooms by their ids, and a version: notices up to
// that version are older.
func (in *Inbox) Snapshot() (rooms []store.Standing, version uint64) {
	in.service.mu.Lock()
	defer in.service.mu.Unlock()
	return in.user.list(), in.service.version
}

// closeAll ends subscriptions. No lock is held: a handler may have to end first.
func closeAll(subs []bus.Subscription) {
	for _, sub := range subs {
		sub.Close()
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// logFailure notes that the store could not be read; it is read again.
func (s *Service) logFailure(what string, err error) {
	if s.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		s.cfg.Logger.Warn("read for an inbox", "what", what, "error", err)
	}
}

// readLimit bounds one read of the store by the reader.
const readLimit = 10 * time.Second
