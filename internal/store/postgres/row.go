package postgres

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"tertulia/chat"
	"tertulia/internal/store"
)

// errRow is a row that is not as the schema says.
var errRow = errors.New("a row is not as the schema says; the database was changed by another program")

// What the rows below are scanned from.
const (
	eventColumns   = `seq, id, kind, actor, actor_name, at, nonce, msgs, tag, body, target_seq, target_id, subject, changed_seq, changed_at, deleted`
	roomColumns    = `id, title, epoch, head, floor, msgs, access, topic, archived, keep_age, keep_events, version, created_at, members`
	memberColumns  = `"user", name, state, role, version, joined_at, read, delivered, read_msgs, private`
	accountColumns = `id, name, created_at, seen_at, disabled, revoked_before`
)

// of puts the name of a row before each of its columns.
func of(row, columns string) string {
	return row + "." + strings.ReplaceAll(columns, ", ", ", "+row+".")
}

// The kinds of column. NULL is the zero value.
type (
	number int64
	text   string
	truth  bool
)

// ScanInt64 implements pgtype.Int64Scanner.
func (n *number) ScanInt64(v pgtype.Int8) error { *n = number(v.Int64); return nil }

// ScanText implements pgtype.TextScanner.
func (t *text) ScanText(v pgtype.Text) error { *t = text(v.String); return nil }

// ScanBool implements pgtype.BoolScanner.
func (b *truth) ScanBool(v pgtype.Bool) error { *b = truth(v.Bool); return nil }

// time is the zero time for NULL: nothing of ours is as old as 1970.
func (n number) time() time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}

// word reads a column of words with their parser.
func word[T any](t text, parse func(string) (T, bool), err *error) T {
	v, ok := parse(string(t))
	if !ok && *err == nil {
		*err = fmt.Errorf("%w (the word %q)", errRow, string(t))
	}
	return v
}

func parseRole(s string) (chat.Role, bool) {
	if s == chat.RoleNone.String() {
		return chat.RoleNone, true
	}
	return chat.ParseRole(s)
}

// eventRow is eventColumns.
type eventRow struct {
	seq, id, at, msgs, tag, targetSeq, targetID, changedSeq, changedAt number
	kind, actor, actorName, nonce, subject                             text
	body                                                               []byte
	deleted                                                            truth
}

func (r *eventRow) dest() []any {
	return []any{&r.seq, &r.id, &r.kind, &r.actor, &r.actorName, &r.at, &r.nonce, &r.msgs, &r.tag, &r.body,
		&r.targetSeq, &r.targetID, &r.subject, &r.changedSeq, &r.changedAt, &r.deleted}
}

// event is the event in a room.
func (r *eventRow) event(room chat.RoomID, epoch string) (e chat.Event, err error) {
	e = chat.Event{
		Room:  room,
		Epoch: epoch,
		Seq:   uint64(r.seq),
		ID:    int64(r.id),
		Kind:  word(r.kind, store.ParseKind, &err),
		Actor: chat.User{ID: chat.UserID(r.actor), Name: string(r.actorName)},
		At:    r.at.time(),
		Nonce: chat.Nonce(r.nonce),
		Msgs:  uint64(r.msgs),
		Tag:   uint32(r.tag),
		Body:  r.body,
	}
	if e.Kind != chat.KindMessage {
		e.Target, e.TargetID, e.Subject = uint64(r.targetSeq), int64(r.targetID), chat.UserID(r.subject)
	} else {
		e.Changed, e.ChangedAt, e.Deleted = uint64(r.changedSeq), r.changedAt.time(), bool(r.deleted)
	}
	return e, err
}

// roomRow is roomColumns.
type roomRow struct {
	head, floor, msgs, keepAge, keepEvents, version, createdAt, members number
	id, title, epoch, access, topic                                     text
	archived                                                            truth
}

func (r *roomRow) dest() []any {
	return []any{&r.id, &r.title, &r.epoch, &r.head, &r.floor, &r.msgs, &r.access, &r.topic, &r.archived, &r.keepAge, &r.keepEvents,
		&r.version, &r.createdAt, &r.members}
}

// room is the room; epoch is the store's.
func (r *roomRow) room(epoch string) (room chat.Room, err error) {
	if r.epoch != "" {
		epoch = string(r.epoch)
	}
	room = chat.Room{
		ID:     chat.RoomID(r.id),
		Exists: true,
		Epoch:  epoch,
		Head:   uint64(r.head),
		Floor:  uint64(r.floor),
		Msgs:   uint64(r.msgs),
		Settings: chat.Settings{
			Title:    string(r.title),
			Access:   word(r.access, chat.ParseAccess, &err),
			Topic:    string(r.topic),
			Archived: bool(r.archived),
			Keep:     chat.Retention{Age: time.Duration(r.keepAge) * time.Second, Events: int64(r.keepEvents)},
		},
		Version:   uint64(r.version),
		CreatedAt: r.createdAt.time(),
		Members:   int(r.members),
	}
	return room, err
}

// memberRow is memberColumns.
type memberRow struct {
	version, joinedAt, read, delivered, readMsgs number
	user, name, state, role                      text
	private                                      truth
}

func (r *memberRow) dest() []any {
	return []any{&r.user, &r.name, &r.state, &r.role, &r.version, &r.joinedAt, &r.read, &r.delivered, &r.readMsgs, &r.private}
}

// member is the member of a room.
func (r *memberRow) member(room chat.RoomID) (m chat.Member, err error) {
	m = chat.Member{
		Room:     room,
		User:     chat.User{ID: chat.UserID(r.user), Name: string(r.name)},
		State:    word(r.state, chat.ParseState, &err),
		Role:     word(r.role, parseRole, &err),
		Version:  uint64(r.version),
		JoinedAt: r.joinedAt.time(),
		Mark:     chat.Mark{Read: uint64(r.read), Delivered: uint64(r.delivered), ReadMsgs: uint64(r.readMsgs), Private: bool(r.private)},
	}
	return m, err
}

// accountRow is accountColumns.
type accountRow struct {
	createdAt, seenAt, revokedBefore number
	id, name                         text
	disabled                         truth
}

func (r *accountRow) dest() []any {
	return []any{&r.id, &r.name, &r.createdAt, &r.seenAt, &r.disabled, &r.revokedBefore}
}

func (r *accountRow) account() chat.Account {
	return chat.Account{
		User:          chat.User{ID: chat.UserID(r.id), Name: string(r.name)},
		CreatedAt:     r.createdAt.time(),
		SeenAt:        r.seenAt.time(),
		Disabled:      bool(r.disabled),
		RevokedBefore: r.revokedBefore.time(),
	}
}
