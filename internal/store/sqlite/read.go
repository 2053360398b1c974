package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Room returns a room's state; see [store.Reader].
func (s *Store) Room(ctx context.Context, id chat.RoomID) (room chat.Room, err error) {
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		room, _, err = r.room(id)
		return errors.Join(err, r.end())
	})
	return room, err
}

// Heads returns the rooms among ids that have a log.
func (s *Store) Heads(ctx context.Context, ids []chat.RoomID) (rooms []chat.Room, err error) {
	err = s.read(ctx, "read heads", func(r *reader) (err error) {
		rooms, err = r.heads(ctx, ids)
		return err
	})
	return rooms, err
}

// After returns the first events with seq > after.
func (s *Store) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (page store.Page, err error) {
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		page, err = r.page(ctx, id, r.stmt.after, clampSeq(after), limit)
		return err
	})
	return page, err
}

// Before returns the last events with seq < before; 0 means the end.
func (s *Store) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (page store.Page, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		page, err = r.page(ctx, id, r.stmt.before, clampSeq(before), limit)
		slices.Reverse(page.Events)
		return err
	})
	return page, err
}

// clampSeq brings a reader's number into SQLite's range; no log is as long.
func clampSeq(seq uint64) int64 { return int64(min(seq, math.MaxInt64)) }

// read runs f with a reader at rest, and waits for one if all are busy.
func (s *Store) read(ctx context.Context, step string, f func(*reader) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	var r *reader
	select {
	case r = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	err := f(r)
	s.counts.Read.ObserveSince(began)
	s.readers <- r
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return s.refuse(step, err)
}

// reader is one connection that reads.
//
// A connection sees one snapshot for as long as any of its statements is
// between its first row and its end. Reading a room therefore leaves the
// statement open, and events read before [reader.end] belong to the same
// instant; that is half the work of BEGIN and COMMIT around them.
type reader struct {
	conn  *conn
	epoch string // the store's

	stmt struct {
		room, heads, after, before *stmt
	}
	open driver.Rows // of stmt.room, nil if closed
	vals [eventWidth]driver.Value
}

const roomColumns = `id, title, epoch, head, floor, msgs, no`

const roomWidth = 7

func openReader(source, epoch string) (*reader, error) {
	c, err := connect(source)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: c, epoch: epoch}
	err = c.prepareAll(map[**stmt]string{
		&r.stmt.room:   `SELECT ` + roomColumns + ` FROM rooms WHERE id = ?`,
		&r.stmt.heads:  `SELECT ` + roomColumns + ` FROM rooms WHERE id IN (SELECT value FROM json_each(?))`,
		&r.stmt.after:  `SELECT ` + eventColumns + ` FROM events WHERE room_no = ? AND seq > ? ORDER BY seq LIMIT ?`,
		&r.stmt.before: `SELECT ` + eventColumns + ` FROM events WHERE room_no = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
	})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return r, nil
}

func (r *reader) close() error { return r.conn.close() }

// room returns a room and its number, and begins a snapshot if it exists. The
// caller calls end, whatever the error is.
func (r *reader) room(id chat.RoomID) (chat.Room, int64, error) {
	rows, err := r.stmt.room.query(string(id))
	if err != nil {
		return chat.Room{}, 0, err
	}
	r.open = rows
	err = rows.Next(r.vals[:roomWidth])
	if errors.Is(err, io.EOF) {
		return chat.Room{ID: id, Epoch: r.epoch, Floor: 1}, 0, nil
	}
	if err != nil {
		return chat.Room{}, 0, err
	}
	v := row{vals: r.vals[:roomWidth]}
	return v.room(r.epoch), v.int(6), v.err
}

// end ends the snapshot that room began.
func (r *reader) end() error {
	if r.open == nil {
		return nil
	}
	rows := r.open
	r.open = nil
	return rows.Close()
}

// room reads roomColumns, save the number.
func (r *row) room(epoch string) chat.Room {
	room := chat.Room{
		ID:       chat.RoomID(r.text(0)),
		Exists:   true,
		Settings: chat.Settings{Title: r.text(1)},
		Epoch:    r.textOrNull(2),
		Head:     uint64(r.int(3)),
		Floor:    uint64(r.int(4)),
		Msgs:     uint64(r.int(5)),
	}
	if room.Epoch == "" {
		room.Epoch = epoch
	}
	return room
}

// heads looks all rooms up in one statement, and so in one snapshot.
func (r *reader) heads(ctx context.Context, ids []chat.RoomID) ([]chat.Room, error) {
	rows, err := r.stmt.heads.query(jsonArray(ids))
	if err != nil {
		return nil, err
	}
	var rooms []chat.Room
	err = r.each(ctx, rows, roomWidth, func(v *row) bool {
		rooms = append(rooms, v.room(r.epoch))
		return true
	})
	return rooms, err
}

func jsonArray(ids []chat.RoomID) string {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = chat.AppendQuote(b, string(id))
	}
	return string(append(b, ']'))
}

// page reads a room and what stmt finds of its events from seq on.
func (r *reader) page(ctx context.Context, id chat.RoomID, stmt *stmt, seq int64, limit store.Limit) (page store.Page, err error) {
	defer func() { err = errors.Join(err, r.end()) }()
	room, no, err := r.room(id)
	if err != nil || !room.Exists {
		return store.Page{Room: room}, err
	}
	limit.Events = max(limit.Events, 1)
	rows, err := stmt.query(no, seq, int64(limit.Events))
	if err != nil {
		return store.Page{}, err
	}
	page.Room = room
	left := limit.Bytes
	err = r.each(ctx, rows, eventWidth, func(v *row) bool {
		event := v.event()
		left -= len(event.Body)
		if left < 0 && len(page.Events) > 0 {
			return false
		}
		event.Room, event.Epoch = room.ID, room.Epoch
		page.Events = append(page.Events, event)
		return left > 0
	})
	return page, err
}

// each calls f with every row of rows until it returns false, and closes
// them. The row is good until f returns.
func (r *reader) each(ctx context.Context, rows driver.Rows, width int, f func(*row) bool) error {
	v := row{vals: r.vals[:width]}
	for {
		err := rows.Next(v.vals)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		more := f(&v)
		if v.err != nil || !more {
			return errors.Join(v.err, rows.Close())
		}
	}
}
