package room

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Post is a message that a user wants to say in a room. Room, Actor and Nonce
// are well-formed, as chat.ParseRoomID, chat.ParseUser and chat.ParseNonce
// return them; Nonce may be empty. Content is checked by [Service.Post].
type Post struct {
	Room    chat.RoomID
	Actor   chat.User
	Nonce   chat.Nonce
	Content string
	Source  Source // for the counts
}

// Posted is a post that is stored.
type Posted struct {
	Event chat.Event
	// Duplicate is true if it had been stored before, under the same nonce;
	// Event is then the first one.
	Duplicate bool
}

// Post stores a message and has it published. It does not wait: done is
// called exactly once, from within Post for a refusal at once and from a
// goroutine of the journal otherwise, one at a time for each room. It must not
// block, nor read a [Log]. The error is a *chat.Error:
//
//   - EmptyContent, TooLarge, InvalidEvent: the content is not acceptable.
//   - RoomNotFound, IdempotencyConflict: the store refused this row.
//   - StoreUnavailable: not stored, or nobody knows. The same post with the
//     same nonce is always safe.
//   - ShuttingDown: not stored; another node will take it.
func (s *Service) Post(p Post, done func(Posted, error)) {
	if err := checkContent(p.Content); err != nil {
		s.counts.refused(err)
		done(Posted{}, err)
		return
	}
	l, key := s.lane(p.Room)
	row := store.Append{
		Room:      p.Room,
		Kind:      chat.KindMessage,
		Actor:     p.Actor,
		Nonce:     p.Nonce,
		Body:      chat.MessageBody(p.Content),
		MayCreate: s.mayCreate(p.Room),
	}
	w := waiter{key: key, done: done, source: p.Source}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		w.postedAt = time.Now()
	}
	if err := l.enqueue(&row, w); err != nil {
		s.counts.refused(err)
		done(Posted{}, err)
	}
}

// checkContent returns why a message cannot hold this content, or nil. The
// length comes first, so that nothing long is looked at.
func checkContent(content string) *chat.Error {
	switch {
	case len(content) > chat.MaxContentBytes:
		return chat.Errorf(chat.TooLarge, "The content has %d bytes; at most %d are allowed.", len(content), chat.MaxContentBytes)
	case !utf8.ValidString(content):
		return errNotUTF8
	case strings.TrimSpace(content) == "":
		return errEmptyContent
	case strings.IndexByte(content, 0) >= 0:
		return errNUL
	}
	return nil
}
