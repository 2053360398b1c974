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
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Room returns a room's state; see [store.Reader].
func (s *Store) Room(ctx context.Context, id chat.RoomID) (room chat.Room, err error) {
	s.counts.Reads.Of(count.ReadRoom).Inc()
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		room, _, err = r.room(id)
		return errors.Join(err, r.end())
	})
	return room, err
}

// Heads returns the rooms among ids that have a log, with the tags of their
// newest events.
func (s *Store) Heads(ctx context.Context, ids []chat.RoomID) (heads []store.Head, err error) {
	s.counts.Reads.Of(count.ReadRoom).Inc()
	err = s.read(ctx, "read heads", func(r *reader) (err error) {
		heads, err = r.heads(ctx, ids)
		return err
	})
	return heads, err
}

// After returns the first events with seq > after.
func (s *Store) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (page store.Page, err error) {
	s.counts.Reads.Of(count.ReadHistory).Inc()
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		page, err = r.page(ctx, id, r.events(r.stmt.after, r.stmt.afterOnly, clampSeq(after), limit), limit)
		return err
	})
	return page, err
}

// Before returns the last events with seq < before; 0 means the end.
func (s *Store) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (page store.Page, err error) {
	s.counts.Reads.Of(count.ReadHistory).Inc()
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, "read room "+string(id), func(r *reader) (err error) {
		page, err = r.page(ctx, id, r.events(r.stmt.before, r.stmt.beforeOnly, clampSeq(before), limit), limit)
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
		room, heads                          *stmt
		after, before, afterOnly, beforeOnly *stmt
		member, members, standings           *stmt
		rooms, idAt, eventAt, wrote          *stmt
		account, accounts, tokenRevoked      *stmt
	}
	open driver.Rows // of stmt.room, nil if closed
	vals [max(eventWidth, roomWidth+memberWidth)]driver.Value
}

func openReader(source, epoch string) (*reader, error) {
	c, err := connect(source)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: c, epoch: epoch}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return r, nil
}

func (r *reader) prepare() error {
	const (
		rooms  = `SELECT ` + roomColumns + ` FROM rooms r WHERE `
		events = `SELECT ` + eventColumns + ` FROM events WHERE room_no = ? AND `
		listed = rooms + `r.access = ? AND r.id > ?`
	)
	s := &r.stmt
	return r.conn.prepareAll(map[**stmt]string{
		&s.room: rooms + `r.id = ?`,
		&s.heads: `SELECT ` + roomColumns + `, (SELECT tag FROM events WHERE room_no = r.no AND seq = r.head) FROM rooms r
			WHERE r.id IN (SELECT value FROM json_each(?))`,
		&s.after:      events + `seq > ? ORDER BY seq LIMIT ?`,
		&s.before:     events + `seq < ? ORDER BY seq DESC LIMIT ?`,
		&s.afterOnly:  events + `seq > ? AND kind = ? ORDER BY seq LIMIT ?`,
		&s.beforeOnly: events + `seq < ? AND kind = ? ORDER BY seq DESC LIMIT ?`,
		&s.idAt:       `SELECT id FROM events WHERE room_no = ? AND seq = ?`,
		&s.eventAt:    events + `seq = ?`,
		&s.member:     selectMember,
		&s.members: `SELECT ` + memberColumns + ` FROM members m WHERE m.room_no = ? AND m.user > ?
			AND m.state IN (SELECT value FROM json_each(?)) ORDER BY m.user LIMIT ?`,
		&s.standings: `SELECT ` + roomColumns + `, ` + memberColumns + ` FROM members m JOIN rooms r ON r.no = m.room_no
			WHERE m.user = ? AND r.id > ? AND (m.state IN ('invited', 'joined') OR m.delivered > 0 OR m.private)
			ORDER BY r.id LIMIT ?`,
		// One arm for each access, each of them in the order of an index.
		&s.rooms: listed + ` UNION ALL ` + listed + ` UNION ALL ` + listed + ` UNION ALL ` + listed + ` ORDER BY 1 LIMIT ?`,
		&s.wrote: `SELECT r.id, EXISTS (SELECT 1 FROM events e WHERE e.room_no = r.no AND e.actor = ? AND e.kind = 'message' AND e.deleted IS NULL)
			FROM rooms r WHERE r.id > ? ORDER BY r.id`,
		&s.account:      `SELECT ` + accountColumns + ` FROM accounts WHERE id = ?`,
		&s.accounts:     `SELECT ` + accountColumns + ` FROM accounts WHERE id > ? ORDER BY id LIMIT ?`,
		&s.tokenRevoked: `SELECT 1 FROM revoked_tokens WHERE id = ?`,
	})
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
	return v.room(r.epoch), v.int(roomNo), v.err
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

// heads looks all rooms up in one statement, and so in one snapshot.
func (r *reader) heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	rows, err := r.stmt.heads.query(jsonArray(ids))
	if err != nil {
		return nil, err
	}
	var heads []store.Head
	err = r.each(ctx, rows, roomWidth+1, func(v *row) bool {
		heads = append(heads, store.Head{Room: v.room(r.epoch), Tag: uint32(v.int(roomWidth))})
		return true
	})
	return heads, err
}

func jsonArray[T ~string](words []T) string {
	b := []byte{'['}
	for i, w := range words {
		if i > 0 {
			b = append(b, ',')
		}
		b = chat.AppendQuote(b, string(w))
	}
	return string(append(b, ']'))
}

// events returns what begins to read a page's events in the room numbered no:
// with every, or with only if the limit names a kind.
func (r *reader) events(every, only *stmt, seq int64, limit store.Limit) func(no int64) (driver.Rows, error) {
	n := int64(max(limit.Events, 1))
	return func(no int64) (driver.Rows, error) {
		if limit.Only == 0 {
			return every.query(no, seq, n)
		}
		return only.query(no, seq, store.KindName(limit.Only), n)
	}
}

// page reads a room and its events.
func (r *reader) page(ctx context.Context, id chat.RoomID, events func(no int64) (driver.Rows, error), limit store.Limit) (page store.Page, err error) {
	defer func() { err = errors.Join(err, r.end()) }()
	room, no, err := r.room(id)
	if err != nil || !room.Exists {
		return store.Page{Room: room}, err
	}
	rows, err := events(no)
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
