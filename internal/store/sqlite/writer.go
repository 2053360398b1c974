package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"tertulia/chat"
	"tertulia/internal/store"
)

// errRollback means that a transaction could not be undone.
var errRollback = errors.New("cannot undo a failed transaction")

// maxCachedLogs bounds the writer's memory of rooms between transactions: at
// about 250 bytes each, 4 MB. When it is full it begins anew; a room costs one
// read to come back.
const maxCachedLogs = 16 << 10

// writer is the connection that writes, and what it remembers of the
// database between transactions. As the only writer of the file it need not
// read back what it has written.
type writer struct {
	conn *conn

	stmt struct {
		begin, commit, rollback            *stmt
		readMeta, writeMeta                *stmt
		readRoom, addRoom, moveHead        *stmt
		insert, insertWithNonce, findNonce *stmt
	}

	logs    map[chat.RoomID]*log
	nextID  int64 // ids of a failed batch are not given again
	scratch []byte
	touched []*log // by the transaction under way
}

// log is what the writer knows of one room.
type log struct {
	room  chat.RoomID
	no    int64
	epoch string // empty: the store's
	place place
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

func openWriter(source string) (*writer, error) {
	c, err := connect(source)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, logs: make(map[chat.RoomID]*log)}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if w.nextID, err = readMeta[int64](w, "next_id"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return w, nil
}

func (w *writer) prepare() error {
	const insert = `INSERT INTO events (room_no, seq, id, kind, actor, actor_name, at, msgs, tag, body, nonce, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	s := &w.stmt
	return w.conn.prepareAll(map[**stmt]string{
		&s.begin:     `BEGIN IMMEDIATE`,
		&s.commit:    `COMMIT`,
		&s.rollback:  `ROLLBACK`,
		&s.readMeta:  `SELECT value FROM meta WHERE key = ?`,
		&s.writeMeta: `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		&s.readRoom:  `SELECT no, epoch, head, msgs, last_at FROM rooms WHERE id = ?`,
		&s.addRoom:   `INSERT INTO rooms (id, head, msgs, last_at) VALUES (?, 0, 0, 0)`,
		&s.moveHead:  `UPDATE rooms SET head = ?, msgs = ?, last_at = ? WHERE no = ?`,
		&s.insert:    insert,
		// The unique index finds a nonce that is taken; asking for it first
		// costs a third more of a row's CPU.
		&s.insertWithNonce: insert + ` ON CONFLICT (nonce, room_no, actor) WHERE nonce IS NOT NULL DO NOTHING`,
		&s.findNonce:       `SELECT ` + eventColumns + `, digest FROM events WHERE nonce = ? AND room_no = ? AND actor = ?`,
	})
}

func (w *writer) close() error { return w.conn.close() }

func (w *writer) begin() error {
	if _, err := w.stmt.begin.exec(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if len(w.logs) > maxCachedLogs {
		clear(w.logs)
	}
	return nil
}

func (w *writer) commit() error {
	if _, err := w.stmt.commit.exec(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, l := range w.touched {
		l.touched = false
	}
	w.touched = w.touched[:0]
	return nil
}

// rollback undoes the transaction that failed with err, and forgets all
// rooms: the failure may be that one is not as remembered. The error is err,
// and errRollback if it could not.
func (w *writer) rollback(err error) error {
	clear(w.logs)
	w.touched = w.touched[:0]
	_, undone := w.stmt.rollback.exec()
	if undone != nil && !alreadyRolledBack(undone) {
		return errors.Join(err, fmt.Errorf("%w: %w", errRollback, undone))
	}
	return err
}

// alreadyRolledBack reports whether ROLLBACK failed because SQLite had undone
// the transaction by itself, as it does on a full disk.
func alreadyRolledBack(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == lib.SQLITE_ERROR && strings.Contains(e.Error(), "no transaction is active")
}

// epoch reads the life of logs that do not exist yet.
func (w *writer) epoch() (string, error) { return readMeta[string](w, "epoch") }

func readMeta[T int64 | string](w *writer, key string) (v T, err error) {
	var vals [1]driver.Value
	if _, err := w.stmt.readMeta.queryRow(vals[:], key); err != nil {
		return v, fmt.Errorf("read %s: %w", key, err)
	}
	v, ok := vals[0].(T)
	if !ok {
		return v, fmt.Errorf("read %s: %w", key, errRow)
	}
	return v, nil
}

// log returns the log that row belongs to. It makes it if the row may, and
// returns nil if not.
func (w *writer) log(row *store.Append) (*log, error) {
	if l := w.logs[row.Room]; l != nil {
		return l, nil
	}
	l, err := w.readLog(row.Room)
	if err != nil {
		return nil, err
	}
	if l == nil {
		if !row.MayCreate {
			return nil, nil
		}
		if l, err = w.makeLog(row.Room); err != nil {
			return nil, err
		}
		w.touch(l)
	}
	w.logs[l.room] = l
	return l, nil
}

// readLog returns nil for a room without a log.
func (w *writer) readLog(id chat.RoomID) (*log, error) {
	var vals [5]driver.Value
	ok, err := w.stmt.readRoom.queryRow(vals[:], string(id))
	if err != nil || !ok {
		return nil, err
	}
	r := row{vals: vals[:]}
	l := &log{
		room:  id,
		no:    r.int(0),
		epoch: r.textOrNull(1),
		place: place{seq: r.int(2), msgs: r.int(3), at: r.int(4)},
	}
	return l, r.err
}

func (w *writer) makeLog(id chat.RoomID) (*log, error) {
	res, err := w.stmt.addRoom.exec(string(id))
	if err != nil {
		return nil, err
	}
	no, err := res.LastInsertId()
	return &log{room: id, no: no}, err
}

// touch notes that the transaction under way has changed l.
func (w *writer) touch(l *log) {
	if !l.touched {
		l.touched = true
		w.touched = append(w.touched, l)
	}
}

// insert stores row at p under a new id and tag; stored is false, and nothing
// is changed, if its nonce is taken.
func (w *writer) insert(l *log, p place, kind string, row *store.Append) (id int64, tag uint32, stored bool, err error) {
	insert := w.stmt.insert
	var nonce, digest driver.Value
	if row.Nonce != "" {
		insert, nonce, digest = w.stmt.insertWithNonce, string(row.Nonce), w.digest(row)
	}
	id, tag = w.nextID, rand.Uint32()
	res, err := insert.exec(l.no, p.seq, id, kind, string(row.Actor.ID), row.Actor.Name, p.at, p.msgs, int64(tag), string(row.Body), nonce, digest)
	if err != nil {
		return 0, 0, false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return 0, 0, false, err
	}
	w.nextID++
	return id, tag, true, nil
}

func (w *writer) digest(row *store.Append) (digest int64) {
	digest, w.scratch = store.Digest(row.Kind, row.Body, w.scratch)
	return digest
}

// byNonce returns the event that has row's nonce, without the fields that
// are the room's, and the digest of what was first said in it.
func (w *writer) byNonce(l *log, a *store.Append) (chat.Event, int64, error) {
	var vals [eventWidth + 1]driver.Value
	ok, err := w.stmt.findNonce.queryRow(vals[:], string(a.Nonce), l.no, string(a.Actor.ID))
	if err != nil {
		return chat.Event{}, 0, err
	}
	if !ok {
		return chat.Event{}, 0, fmt.Errorf("look for nonce %s: %w", a.Nonce, errRow)
	}
	r := row{vals: vals[:]}
	event, digest := r.event(), r.int(eventWidth)
	return event, digest, r.err
}

// moveHeads writes what the transaction has changed in rooms, and the next
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

func (w *writer) writeMeta(key string, value driver.Value) error {
	if _, err := w.stmt.writeMeta.exec(key, value); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// pagesWritten is how many pages went into the write-ahead log since it was
// last called.
func (w *writer) pagesWritten() int {
	status, ok := w.conn.c.(sqlite.DBStatus)
	if !ok {
		return 0
	}
	n, _, err := status.Status(sqlite.DBStatusCacheWrite, true)
	if err != nil {
		return 0
	}
	return n
}
