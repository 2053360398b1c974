package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// eraseAtOnce is how many rooms are asked for at a time.
const eraseAtOnce = 100

// Erase blanks everything that a user has said, in every room, and the name
// of the account; it reports the number of rooms. By a service only. It may be
// repeated, and is to be after an error: what is blank stays so. What the
// user says meanwhile may stay, so the account is disabled first.
func (s *Service) Erase(ctx context.Context, by chat.Principal, id chat.UserID) (count int, err error) {
	if !by.Service {
		return 0, errOnlyService
	}
	for after := chat.RoomID(""); ; {
		wrote, err := s.store.Wrote(ctx, id, after, eraseAtOnce)
		if err != nil {
			return count, s.unreadable("what a user wrote", err)
		}
		for _, room := range wrote {
			if _, err := s.write(ctx, eraseRow(by, room, id)); err != nil {
				return count, err
			}
			count++
		}
		if len(wrote) < eraseAtOnce {
			return count, s.blankName(ctx, id)
		}
		after = wrote[len(wrote)-1]
	}
}

func eraseRow(by chat.Principal, room chat.RoomID, id chat.UserID) store.Append {
	return store.Append{
		Room:   room,
		Kind:   chat.KindMessagesErased,
		Actor:  by.User,
		Body:   []byte("{}"),
		Member: &chat.Member{User: chat.User{ID: id}},
	}
}

// blankName takes the name from an account, if there is one.
func (s *Service) blankName(ctx context.Context, id chat.UserID) error {
	a, ok, err := s.store.Account(ctx, id)
	if err != nil {
		return s.unreadable("an account", err)
	}
	if !ok {
		return nil
	}
	a.Name = ""
	_, err = s.putAccount(ctx, a)
	return err
}
