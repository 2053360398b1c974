package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// What [row.event], [row.room] and [row.member] read, and how many columns
// that is. Rooms are r, members m in the statements.
const (
	eventColumns = `seq, id, kind, actor, actor_name, at, nonce, msgs, tag, body, target_seq, target_id, subject, changed_seq, changed_at, deleted`
	eventWidth   = 16

	roomColumns = `r.id, r.title, r.epoch, r.head, r.floor, r.msgs, r.no, r.access, r.topic, r.archived, r.keep_age, r.keep_events, r.version, r.created_at, r.members`
	roomWidth   = 15
	roomNo      = 6

	memberColumns = `m.user, m.name, m.state, m.role, m.version, m.joined_at, m.read, m.delivered, m.read_msgs, m.private`
	memberWidth   = 10

	accountColumns = `id, name, created_at, seen_at, disabled, revoked_before`
	accountWidth   = 6
)

// row takes values as the schema says that they are. err is the first that
// was not: the tables are strict, so that is a damaged file.
type row struct {
	vals []driver.Value
	err  error
}

func (r *row) fail(i int) {
	if r.err == nil {
		r.err = fmt.Errorf("%w (column %d holds %T)", errRow, i, r.vals[i])
	}
}

func (r *row) int(i int) int64 {
	v, ok := r.vals[i].(int64)
	if !ok {
		r.fail(i)
	}
	return v
}

// intOrNull is 0 for NULL.
func (r *row) intOrNull(i int) int64 {
	if r.vals[i] == nil {
		return 0
	}
	return r.int(i)
}

func (r *row) text(i int) string {
	v, ok := r.vals[i].(string)
	if !ok {
		r.fail(i)
	}
	return v
}

// textOrNull is empty for NULL.
func (r *row) textOrNull(i int) string {
	if r.vals[i] == nil {
		return ""
	}
	return r.text(i)
}

func (r *row) time(i int) time.Time { return time.UnixMilli(r.int(i)).UTC() }

// timeOrNull is the zero time for NULL.
func (r *row) timeOrNull(i int) time.Time {
	if r.vals[i] == nil {
		return time.Time{}
	}
	return r.time(i)
}

// word reads a column of words with their parser.
func word[T any](r *row, i int, parse func(string) (T, bool)) T {
	name := r.text(i)
	v, ok := parse(name)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w (the word %q in column %d)", errRow, name, i)
	}
	return v
}

func parseRole(s string) (chat.Role, bool) {
	if s == chat.RoleNone.String() {
		return chat.RoleNone, true
	}
	return chat.ParseRole(s)
}

// event reads eventColumns. Room and Epoch stay empty.
func (r *row) event() chat.Event {
	e := chat.Event{
		Seq:   uint64(r.int(0)),
		ID:    r.int(1),
		Kind:  word(r, 2, store.ParseKind),
		Actor: chat.User{ID: chat.UserID(r.text(3)), Name: r.text(4)},
		At:    r.time(5),
		Nonce: chat.Nonce(r.textOrNull(6)),
		Msgs:  uint64(r.int(7)),
		Tag:   uint32(r.int(8)),
		Body:  []byte(r.text(9)),
	}
	if e.Kind != chat.KindMessage {
		e.Target, e.TargetID, e.Subject = uint64(r.intOrNull(10)), r.intOrNull(11), chat.UserID(r.textOrNull(12))
	} else if r.vals[13] != nil {
		e.Changed, e.ChangedAt, e.Deleted = uint64(r.int(13)), r.time(14), r.intOrNull(15) != 0
	}
	return e
}

// room reads roomColumns, save the number; epoch is the store's.
func (r *row) room(epoch string) chat.Room {
	room := chat.Room{
		ID:     chat.RoomID(r.text(0)),
		Exists: true,
		Epoch:  r.textOrNull(2),
		Head:   uint64(r.int(3)),
		Floor:  uint64(r.int(4)),
		Msgs:   uint64(r.int(5)),
		Settings: chat.Settings{
			Title:    r.text(1),
			Access:   word(r, 7, chat.ParseAccess),
			Topic:    r.text(8),
			Archived: r.int(9) != 0,
			Keep:     chat.Retention{Age: time.Duration(r.int(10)) * time.Second, Events: r.int(11)},
		},
		Version:   uint64(r.int(12)),
		CreatedAt: r.time(13),
		Members:   int(r.int(14)),
	}
	if room.Epoch == "" {
		room.Epoch = epoch
	}
	return room
}

// member reads memberColumns. Room stays empty.
func (r *row) member() chat.Member {
	return chat.Member{
		User:     chat.User{ID: chat.UserID(r.text(0)), Name: r.text(1)},
		State:    word(r, 2, chat.ParseState),
		Role:     word(r, 3, parseRole),
		Version:  uint64(r.int(4)),
		JoinedAt: r.timeOrNull(5),
		Mark: chat.Mark{
			Read:      uint64(r.int(6)),
			Delivered: uint64(r.int(7)),
			ReadMsgs:  uint64(r.int(8)),
			Private:   r.int(9) != 0,
		},
	}
}

// account reads accountColumns.
func (r *row) account() chat.Account {
	return chat.Account{
		User:          chat.User{ID: chat.UserID(r.text(0)), Name: r.text(1)},
		CreatedAt:     r.time(2),
		SeenAt:        r.timeOrNull(3),
		Disabled:      r.int(4) != 0,
		RevokedBefore: r.timeOrNull(5),
	}
}

// millis is an instant as it is stored; the zero time is NULL.
func millis(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// flag is a truth as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// number is a seq as it is stored; 0 is NULL.
func number(seq uint64) driver.Value {
	if seq == 0 {
		return nil
	}
	return int64(seq)
}

// nullable is a text as it is stored; empty is NULL.
func nullable(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}
