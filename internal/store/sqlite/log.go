package sqlite

import (
	"database/sql/driver"
	"fmt"

	"tertulia/chat"
)

// maxCachedLogs bounds the writer's memory of rooms between transactions: at
// about 250 bytes each, 4 MB. When it is full it begins anew; a room costs one
// read to come back.
const maxCachedLogs = 16 << 10

// log is what the writer knows of one room.
type log struct {
	room  chat.RoomID
	no    int64  // 0: the room has no log yet
	epoch string // empty: the store's
	place place

	access   chat.Access
	archived bool
	version  int64 // seq that gave the room its settings
	// peopled: there may be members of the room. Without any, a post has no
	// standing to look at and no mark to move, which costs a message in an
	// open room nothing.
	peopled bool

	// touched: the transaction under way has changed this log, or made it.
	touched bool
}

// place is the end of a log: the last event's seq, the number of messages up
// to it, and its time in milliseconds.
type place struct {
	seq, msgs, at int64
}

// next returns the place of an event that is appended now.
func (l *log) next(kind chat.Kind, now int64) place {
	p := place{seq: l.place.seq + 1, msgs: l.place.msgs, at: max(now, l.place.at)}
	if kind == chat.KindMessage {
		p.msgs++
	}
	return p
}

func (l *log) epochOr(epoch string) string {
	if l.epoch != "" {
		return l.epoch
	}
	return epoch
}

// log returns what is known of a room. A room without a log is not remembered.
func (w *writer) log(id chat.RoomID) (*log, error) {
	if l := w.logs[id]; l != nil {
		return l, nil
	}
	l, err := w.readLog(id)
	if err != nil {
		return nil, err
	}
	if l.no != 0 {
		w.logs[id] = l
	}
	return l, nil
}

func (w *writer) readLog(id chat.RoomID) (*log, error) {
	var vals [9]driver.Value
	ok, err := w.stmt.readRoom.queryRow(vals[:], string(id))
	if err != nil || !ok {
		return &log{room: id}, err
	}
	r := row{vals: vals[:]}
	l := &log{
		room:     id,
		no:       r.int(0),
		epoch:    r.textOrNull(1),
		place:    place{seq: r.int(2), msgs: r.int(3), at: r.int(4)},
		access:   word(&r, 5, chat.ParseAccess),
		archived: r.int(6) != 0,
		version:  r.int(7),
		peopled:  r.int(8) != 0,
	}
	return l, r.err
}

// makeLog begins a log at a time in milliseconds.
func (w *writer) makeLog(l *log, at int64) error {
	res, err := w.stmt.addRoom.exec(string(l.room), at)
	if err != nil {
		return err
	}
	if l.no, err = res.LastInsertId(); err != nil {
		return err
	}
	w.logs[l.room] = l
	w.touch(l)
	return nil
}

// touch notes that the transaction under way has changed l.
func (w *writer) touch(l *log) {
	if !l.touched {
		l.touched = true
		w.touched = append(w.touched, l)
	}
}

// moveHeads writes what the transaction has appended to rooms, and the next
// id.
func (w *writer) moveHeads() error {
	for _, l := range w.touched {
		if _, err := w.stmt.moveHead.exec(l.place.seq, l.place.msgs, l.place.at, l.no); err != nil {
			return fmt.Errorf("move the head of room %s: %w", l.room, err)
		}
	}
	if len(w.touched) == 0 {
		return nil
	}
	return w.writeMeta("next_id", w.nextID)
}
