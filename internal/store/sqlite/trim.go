package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sort"
	"time"

	"tertulia/chat"
)

// maxTrimmed is how many events one call removes at most: posts wait for as
// long as that takes.
const maxTrimmed = 10_000

// Trim removes what exceeds keep from a room's log; see [store.Directory].
func (s *Store) Trim(ctx context.Context, id chat.RoomID, keep chat.Retention) (room chat.Room, more bool, err error) {
	err = s.write(ctx, "trim room "+string(id), func() (err error) {
		room, more, err = s.trim(id, keep)
		return err
	})
	if err != nil {
		return chat.Room{}, false, err
	}
	return room, more, nil
}

func (s *Store) trim(id chat.RoomID, keep chat.Retention) (room chat.Room, more bool, err error) {
	room, no, err := s.writer.wholeRoom(id, s.epoch)
	if err != nil || !room.Exists {
		return room, false, err
	}
	floor, err := s.writer.floor(&room, no, keep, s.now())
	if err != nil {
		return room, false, err
	}
	if more = floor-room.Floor > maxTrimmed; more {
		floor = room.Floor + maxTrimmed
	}
	if floor == room.Floor {
		return room, false, nil
	}
	room.Floor = floor
	return room, more, s.writer.trim(no, int64(floor))
}

// floor is the seq that a room's log shall begin with.
func (w *writer) floor(room *chat.Room, no int64, keep chat.Retention, now time.Time) (uint64, error) {
	floor := room.Floor
	if keep.Events > 0 && room.Head > uint64(keep.Events) {
		floor = max(floor, room.Head-uint64(keep.Events)+1)
	}
	if keep.Age <= 0 {
		return floor, nil
	}
	// Times never go back within a room, so halving the log finds the first
	// that is young enough.
	oldest := now.Add(-keep.Age).UnixMilli()
	var vals [1]driver.Value
	var failed error
	young := sort.Search(int(room.Head-floor), func(i int) bool {
		if failed != nil {
			return true
		}
		ok, err := w.stmt.readAt.queryRow(vals[:], no, int64(floor)+int64(i))
		r := row{vals: vals[:]}
		at := int64(0)
		if err == nil && ok {
			at, err = r.int(0), r.err
		} else if err == nil {
			err = fmt.Errorf("seq %d is missing: %w", floor+uint64(i), errRow)
		}
		failed = err
		return at >= oldest
	})
	return floor + uint64(young), failed
}

func (w *writer) trim(no, floor int64) error {
	if _, err := w.stmt.deleteBelow.exec(no, floor); err != nil {
		return err
	}
	_, err := w.stmt.moveFloor.exec(floor, no)
	return err
}

// wholeRoom returns a room and its number.
func (w *writer) wholeRoom(id chat.RoomID, epoch string) (chat.Room, int64, error) {
	var vals [roomWidth]driver.Value
	ok, err := w.stmt.wholeRoom.queryRow(vals[:], string(id))
	if err != nil {
		return chat.Room{}, 0, err
	}
	if !ok {
		return chat.Room{ID: id, Epoch: epoch, Floor: 1}, 0, nil
	}
	r := row{vals: vals[:]}
	return r.room(epoch), r.int(roomNo), r.err
}
