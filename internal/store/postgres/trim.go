package postgres

import (
	"context"

	"tertulia/chat"
)

// maxTrimmed is how many events one call removes at most: posts to the room
// wait for as long as that takes.
const maxTrimmed = 10_000

// Trim removes what exceeds keep from a room's log; see [store.Directory].
func (s *Store) Trim(ctx context.Context, id chat.RoomID, keep chat.Retention) (room chat.Room, more bool, err error) {
	room = s.noRoom(id)
	var r roomRow
	args := []any{string(id), max(keep.Age.Milliseconds(), 0), max(keep.Events, 0), maxTrimmed}
	trim := statement{s.sql.trim, args, append(r.dest(), &more), func() (err error) {
		room, err = r.room(s.meta.epoch)
		return err
	}}
	if err := s.write(ctx, s.others, "trim room "+string(id), trim, nothing); err != nil {
		return chat.Room{}, false, err
	}
	return room, more, nil
}
