package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"tertulia/chat"
)

// errRollback means that a transaction could not be undone.
var errRollback = errors.New("cannot undo a failed transaction")

// writer is the connection that writes, and what it remembers of the
// database between transactions. As the only writer of the file it need not
// read back what it has written.
type writer struct {
	conn *conn

	stmt struct {
		begin, commit, rollback *stmt
		readMeta, writeMeta     *stmt

		readRoom, addRoom, moveHead, settle, addMembers     *stmt
		insert, insertWithNonce, insertOther, findNonce     *stmt
		readTarget, edit, deleteMessage, blankEdit          *stmt
		blankMessages, blankEdits                           *stmt
		readMember, saveMember, readOthers, countMsgs       *stmt
		wholeRoom, readAt, deleteBelow, moveFloor           *stmt
		putAccount, seen, revoke, revokeToken, forgetTokens *stmt
	}

	logs      map[chat.RoomID]*log
	standings map[memberKey]*standing
	nextID    int64 // ids of a failed batch are not given again
	scratch   []byte
	touched   []*log      // by the transaction under way
	moved     []*standing // by the transaction under way
}

func openWriter(source string) (*writer, error) {
	c, err := connect(source)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, logs: make(map[chat.RoomID]*log), standings: make(map[memberKey]*standing)}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if w.nextID, err = readMeta[int64](w, "next_id"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return w, nil
}

func (w *writer) prepare() error {
	const (
		insert = `INSERT INTO events (room_no, seq, id, kind, actor, actor_name, at, msgs, tag, body, nonce, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
		// The unique index finds a nonce that is taken; asking for it first
		// costs a third more of a row's CPU.
		unlessRepeated = ` ON CONFLICT (nonce, room_no, actor) WHERE nonce IS NOT NULL DO NOTHING`
	)
	s := &w.stmt
	return w.conn.prepareAll(map[**stmt]string{
		&s.begin:     `BEGIN IMMEDIATE`,
		&s.commit:    `COMMIT`,
		&s.rollback:  `ROLLBACK`,
		&s.readMeta:  `SELECT value FROM meta WHERE key = ?`,
		&s.writeMeta: `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,

		&s.readRoom: `SELECT no, epoch, head, msgs, last_at, access, archived, version, EXISTS (SELECT 1 FROM members WHERE room_no = no)
			FROM rooms WHERE id = ?`,
		&s.addRoom:    `INSERT INTO rooms (id, head, msgs, last_at, created_at) VALUES (?, 0, 0, 0, ?)`,
		&s.moveHead:   `UPDATE rooms SET head = ?, msgs = ?, last_at = ? WHERE no = ?`,
		&s.settle:     `UPDATE rooms SET access = ?, title = ?, topic = ?, archived = ?, keep_age = ?, keep_events = ?, version = ? WHERE no = ?`,
		&s.addMembers: `UPDATE rooms SET members = members + ? WHERE no = ?`,

		&s.insert:          insert,
		&s.insertWithNonce: insert + unlessRepeated,
		&s.insertOther: `INSERT INTO events (room_no, seq, id, kind, actor, actor_name, at, msgs, tag, body, nonce, digest, target_seq, target_id, subject, changed_seq)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)` + unlessRepeated,
		&s.findNonce: `SELECT ` + eventColumns + `, digest FROM events WHERE nonce = ? AND room_no = ? AND actor = ?`,

		&s.readTarget:    `SELECT id, actor, changed_seq FROM events WHERE room_no = ? AND seq = ? AND kind = 'message' AND deleted IS NULL`,
		&s.edit:          `UPDATE events SET body = ?, changed_seq = ?, changed_at = ? WHERE room_no = ? AND seq = ?`,
		&s.deleteMessage: `UPDATE events SET body = '{}', deleted = 1, changed_seq = ?, changed_at = ? WHERE room_no = ? AND seq = ?`,
		&s.blankEdit:     `UPDATE events SET body = '{}' WHERE room_no = ? AND seq = ? RETURNING changed_seq`,
		&s.blankEdits: `UPDATE events SET body = '{}' WHERE room_no = ?1 AND kind = 'message_edited'
			AND (target_seq IN (SELECT seq FROM events WHERE room_no = ?1 AND actor = ?2 AND kind = 'message' AND deleted IS NULL)
			OR actor = ?2 AND target_seq < (SELECT floor FROM rooms WHERE no = ?1))`,
		&s.blankMessages: `UPDATE events SET body = '{}', deleted = 1, changed_seq = ?, changed_at = ?
			WHERE room_no = ? AND actor = ? AND kind = 'message' AND deleted IS NULL`,

		&s.readMember: selectMember,
		&s.readOthers: selectOthers,
		&s.saveMember: `INSERT INTO members (room_no, user, name, state, role, version, joined_at, read, delivered, read_msgs, private)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room_no, user) DO UPDATE SET name = excluded.name, state = excluded.state,
			role = excluded.role, version = excluded.version, joined_at = excluded.joined_at, read = excluded.read,
			delivered = excluded.delivered, read_msgs = excluded.read_msgs, private = excluded.private`,
		&s.countMsgs: `SELECT seq, kind, msgs FROM events WHERE room_no = ? AND seq >= ? ORDER BY seq LIMIT 1`,

		&s.wholeRoom:   `SELECT ` + roomColumns + ` FROM rooms r WHERE r.id = ?`,
		&s.readAt:      `SELECT at FROM events WHERE room_no = ? AND seq = ?`,
		&s.deleteBelow: `DELETE FROM events WHERE room_no = ? AND seq < ?`,
		&s.moveFloor:   `UPDATE rooms SET floor = ? WHERE no = ?`,

		&s.putAccount: `INSERT INTO accounts (id, name, created_at, disabled) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, disabled = excluded.disabled RETURNING ` + accountColumns,
		&s.seen: `INSERT INTO accounts (id, name, created_at, disabled, seen_at) VALUES (?, ?, ?, 0, ?)
			ON CONFLICT (id) DO UPDATE SET seen_at = max(coalesce(seen_at, excluded.seen_at), excluded.seen_at),
			name = CASE name WHEN '' THEN excluded.name ELSE name END`,
		&s.revoke: `INSERT INTO accounts (id, name, created_at, disabled, revoked_before) VALUES (?, '', ?, 0, ?)
			ON CONFLICT (id) DO UPDATE SET revoked_before = max(coalesce(revoked_before, excluded.revoked_before), excluded.revoked_before)`,
		&s.revokeToken:  `INSERT INTO revoked_tokens (id, until) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET until = max(until, excluded.until)`,
		&s.forgetTokens: `DELETE FROM revoked_tokens WHERE until < ?`,
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
	if len(w.standings) > maxCachedStandings {
		clear(w.standings)
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
	for _, st := range w.moved {
		st.touched = false
	}
	w.touched, w.moved = w.touched[:0], w.moved[:0]
	return nil
}

// rollback undoes the transaction that failed with err, and forgets all
// rooms and members: the failure may be that one is not as remembered. The
// error is err,
// and errRollback if it could not.
func (w *writer) rollback(err error) error {
	clear(w.logs)
	clear(w.standings)
	w.touched, w.moved = w.touched[:0], w.moved[:0]
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

// movedTo names the store that this one was moved to; it is empty if this is
// the one that grows.
func (w *writer) movedTo() (name string, err error) {
	var vals [1]driver.Value
	ok, err := w.stmt.readMeta.queryRow(vals[:], movedNameKey)
	if err != nil || !ok {
		return "", err
	}
	r := row{vals: vals[:]}
	return r.text(0), r.err
}

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
