package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Edit is a wish to change what a message says.
type Edit struct {
	Room    chat.RoomID
	By      chat.Principal
	Nonce   chat.Nonce // may be empty
	Message int64      // its id
	Content string
	// IfChanged, if not nil, is the chat.Event.Changed that the message must
	// still have, else chat.VersionConflict.
	IfChanged *uint64
}

// Edit changes one's own message. done is as for Post; the event is the
// KindMessageEdited. It reads the store before the edit is queued, so a nonce
// is what makes a repeat safe. Errors beside those of Post: MessageNotFound,
// VersionConflict.
func (s *Service) Edit(ctx context.Context, e Edit, done func(Posted, error)) {
	if err := checkContent(e.Content); err != nil {
		done(Posted{}, err)
		return
	}
	row := store.Append{
		Room:      e.Room,
		Kind:      chat.KindMessageEdited,
		Actor:     e.By.User,
		Nonce:     e.Nonce,
		Body:      chat.MessageBody(e.Content),
		Condition: condition(e.By, ActPost),
	}
	row.Own = !e.By.Service
	s.rewrite(ctx, e.By, row, e.Message, e.IfChanged, done)
}

// rewrite queues a row that changes a message.
func (s *Service) rewrite(ctx context.Context, by chat.Principal, row store.Append, message int64, ifChanged *uint64, done func(Posted, error)) {
	m, err := s.find(ctx, by, ActPost, row.Room, message)
	if err != nil {
		done(Posted{}, err)
		return
	}
	row.Target = m.Seq
	if ifChanged != nil {
		row.Versioned, row.Version = true, *ifChanged
	}
	l, key := s.lane(row.Room)
	if err := l.enqueue([]store.Append{row}, []waiter{{key: key, done: done}}); err != nil {
		done(Posted{}, err)
	}
}

// find returns a message by its id. The right is looked at after the read,
// and comes first: who may not act in the room does not learn what is in it.
func (s *Service) find(ctx context.Context, by chat.Principal, act Action, id chat.RoomID, message int64) (chat.Event, error) {
	e, missing := s.store.Find(ctx, id, message)
	if _, err := s.allow(ctx, by, act, id); err != nil {
		return chat.Event{}, err
	}
	switch {
	case hasCode(missing, chat.RoomNotFound), hasCode(missing, chat.MessageNotFound):
		return chat.Event{}, noMessage(message)
	case missing != nil:
		return chat.Event{}, s.unreadable("a message", missing)
	case e.Kind != chat.KindMessage:
		return chat.Event{}, noMessage(message)
	}
	return e, nil
}
