package room

import (
	"context"
	"log/slog"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Post is a message that a user wants to say in a room. Room, By and Nonce
// are well-formed, as chat.ParseRoomID, chat.ParseUser and chat.ParseNonce
// return them; Nonce may be empty. Content is checked by [Service.Post].
type Post struct {
	Room    chat.RoomID
	By      chat.Principal
	Nonce   chat.Nonce
	Content string
	Source  Source // for the counts
	// Conn tells apart the connections that posts come over, 0 is none. If the
	// store is unavailable for a post, those that are queued behind it from the
	// same connection to the same room are refused like it: they would
	// otherwise be stored before it when it is sent again.
	Conn uint32
}

// Posted is a post that is stored.
type Posted struct {
	Event chat.Event
	// Duplicate is true if it had been stored before, under the same nonce;
	// Event is then the first one.
	Duplicate bool
}

// Post stores a message and has it published. It waits for nothing but, for a
// user of whom nothing is known yet, the account; done is called exactly
// once, from within Post for a refusal at once and from a goroutine of the
// journal otherwise, one at a time for each room. It must not block, nor read
// a [Log]. Whether the user may post is looked at in the transaction that
// stores the message. The error is a *chat.Error:
//
//   - EmptyContent, TooLarge, InvalidEvent: the content is not acceptable.
//   - Forbidden, Banned, RoomReadOnly, RoomNotFound: see [Can].
//   - IdempotencyConflict: the nonce was used for something else.
//   - StoreUnavailable: not stored, or nobody knows. The same post with the
//     same nonce is always safe.
//   - ShuttingDown: not stored; another node will take it.
func (s *Service) Post(p Post, done func(Posted, error)) {
	if err := checkContent(p.Content); err != nil {
		s.counts.refused(err)
		done(Posted{}, err)
		return
	}
	if err := s.admit(context.Background(), p.By); err != nil {
		done(Posted{}, chat.AsError(err))
		return
	}
	l, key := s.lane(p.Room)
	row := store.Append{
		Room:      p.Room,
		Kind:      chat.KindMessage,
		Actor:     p.By.User,
		Nonce:     p.Nonce,
		Body:      chat.MessageBody(p.Content),
		MayCreate: s.mayCreate(p.Room),
		Condition: condition(p.By, ActPost),
	}
	w := waiter{key: key, conn: p.Conn, done: done, source: p.Source}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		w.postedAt = time.Now()
	}
	if err := l.enqueue([]store.Append{row}, []waiter{w}); err != nil {
		s.counts.refused(err)
		done(Posted{}, err)
	}
}
