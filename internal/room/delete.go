package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Delete is a wish to take a message away.
type Delete struct {
	Room      chat.RoomID
	By        chat.Principal
	Nonce     chat.Nonce // may be empty
	Message   int64      // its id
	Reason    string     // at most chat.MaxReasonBytes, shown to all
	IfChanged *uint64    // as for Edit
}

// Delete takes one's own message away, or as a moderator anybody's. done and
// the errors are as for Edit; a message that is deleted is MessageNotFound.
func (s *Service) Delete(ctx context.Context, d Delete, done func(Posted, error)) {
	if err := checkText("reason", d.Reason, chat.MaxReasonBytes); err != nil {
		done(Posted{}, err)
		return
	}
	row := store.Append{
		Room:      d.Room,
		Kind:      chat.KindMessageDeleted,
		Actor:     d.By.User,
		Nonce:     d.Nonce,
		Body:      chat.ReasonBody(d.Reason),
		Condition: condition(d.By, ActPost),
	}
	row.Own, row.Over = !d.By.Service, demands[ActModerate].role
	s.rewrite(ctx, d.By, row, d.Message, d.IfChanged, done)
}
