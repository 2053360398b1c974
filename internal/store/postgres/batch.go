package postgres

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"tertulia/chat"
	"tertulia/internal/store"
)

// The bits of a row's flags; the least role follows them.
const (
	flagMayCreate = 1 << iota
	flagLive
	roleShift = 2
)

// batch is a batch as the function append takes it; see the migration.
type batch struct {
	rooms   pgtype.FlatArray[string]
	creates pgtype.FlatArray[bool]
	ends    pgtype.FlatArray[int32]

	room, tags, flags            pgtype.FlatArray[int32]
	actors, names, nonces, other pgtype.FlatArray[string]
	bodies                       pgtype.FlatArray[[]byte]
	digests                      pgtype.FlatArray[int64]
}

func (b *batch) args() []any {
	return []any{b.rooms, b.creates, b.ends, b.room, b.actors, b.names, b.nonces, b.bodies, b.digests, b.tags, b.flags, b.other}
}

func encode(rows []store.Append) *batch {
	n := len(rows)
	b := &batch{
		rooms: []string{}, ends: []int32{},
		room: make([]int32, n), tags: make([]int32, n), flags: make([]int32, n),
		actors: make([]string, n), names: make([]string, n), nonces: make([]string, n), other: make([]string, n),
		bodies: make([][]byte, n), digests: make([]int64, n),
	}
	mixed := b.number(rows)
	seen := make(map[nonceKey]struct{}, n)
	var scratch []byte
	for i := range rows {
		row := &rows[i]
		key := nonceKey{b.room[i], row.Actor.ID, row.Nonce}
		_, repeats := seen[key]
		seen[key] = struct{}{}
		b.actors[i], b.names[i], b.nonces[i], b.bodies[i] = string(row.Actor.ID), row.Actor.Name, string(row.Nonce), row.Body
		b.tags[i], b.flags[i] = int32(rand.Uint32()), flagsOf(row)
		complete := row.Complete() && storable(row)
		if complete {
			b.digests[i], scratch = store.Digest(row, scratch)
		} else {
			b.actors[i], b.names[i], b.nonces[i], b.bodies[i] = "", "", "", []byte("{}")
		}
		followed := i+1 < n && rows[i+1].With
		if !complete || repeats || followed || mixed[b.room[i]-1] || !isPlain(row) {
			b.other[i] = otherOf(row, complete)
		}
		if i > 0 && (b.other[i] != "" || b.other[i-1] != "") {
			b.ends = append(b.ends, int32(i))
		}
	}
	if n > 0 {
		b.ends = append(b.ends, int32(n))
	}
	return b
}

// nonceKey is what is stored once, with the room by its number in the batch.
type nonceKey struct {
	room  int32
	actor chat.UserID
	nonce chat.Nonce
}

// number lists the rooms of a batch and points each row to its own. mixed tells
// of the rooms that some rows may begin and others may not.
func (b *batch) number(rows []store.Append) (mixed []bool) {
	of := make(map[chat.RoomID]int32, 16)
	for i := range rows {
		if _, ok := of[rows[i].Room]; !ok {
			of[rows[i].Room] = 0
			b.rooms = append(b.rooms, string(rows[i].Room))
		}
	}
	slices.Sort(b.rooms)
	for i, room := range b.rooms {
		of[chat.RoomID(room)] = int32(i) + 1
	}
	b.creates = make([]bool, len(b.rooms))
	refuses := make([]bool, len(b.rooms))
	for i := range rows {
		b.room[i] = of[rows[i].Room]
		if rows[i].MayCreate {
			b.creates[b.room[i]-1] = true
		} else {
			refuses[b.room[i]-1] = true
		}
	}
	mixed = refuses
	for i := range mixed {
		mixed[i] = mixed[i] && b.creates[i]
	}
	return mixed
}

func flagsOf(row *store.Append) (flags int32) {
	if row.MayCreate {
		flags |= flagMayCreate
	}
	if row.Live {
		flags |= flagLive
	}
	return flags | int32(row.Role)<<roleShift
}

// isPlain reports whether a row asks for nothing that the sets of the function
// append cannot do.
func isPlain(row *store.Append) bool {
	return row.Kind == chat.KindMessage && !row.With && !row.New
}

// other is what a row has beside a message, for append_other.
type other struct {
	Does string `json:"does"`
	Kind string `json:"kind,omitempty"`

	With      bool      `json:"with,omitempty"`
	New       bool      `json:"new,omitempty"`
	Own       bool      `json:"own,omitempty"`
	Over      chat.Role `json:"over"`
	Versioned bool      `json:"versioned,omitempty"`
	Version   uint64    `json:"version"`
	Owned     bool      `json:"owned,omitempty"`

	Target int64 `json:"target,omitempty"`

	Subject string `json:"subject,omitempty"`
	Name    string `json:"name"`
	State   string `json:"state,omitempty"`
	Role    string `json:"role,omitempty"`

	Access     string `json:"access,omitempty"`
	Title      string `json:"title"`
	Topic      string `json:"topic"`
	Archived   bool   `json:"archived"`
	KeepAge    int64  `json:"keep_age"`
	KeepEvents int64  `json:"keep_events"`
}

func otherOf(row *store.Append, complete bool) string {
	o := other{Does: "nothing"}
	if complete {
		o = other{Kind: store.KindName(row.Kind), With: row.With, New: row.New, Own: row.Own, Over: row.Over,
			Versioned: row.Versioned, Version: row.Version, Owned: row.Owned, Subject: string(row.About())}
		o.fill(row)
	}
	text, _ := json.Marshal(&o) // of strings, numbers and truths
	return string(text)
}

func (o *other) fill(row *store.Append) {
	switch row.Kind {
	case chat.KindMessage:
		o.Does = "post"
	case chat.KindMessageEdited:
		o.Does, o.Target = "edit", clampSeq(row.Target)
	case chat.KindMessageDeleted:
		o.Does, o.Target = "delete", clampSeq(row.Target)
	case chat.KindMessagesErased:
		o.Does = "erase"
	case chat.KindRoomCreated, chat.KindRoomUpdated:
		s := row.Settings
		o.Does, o.Access, o.Title, o.Topic, o.Archived = "settle", s.Access.String(), s.Title, s.Topic, s.Archived
		o.KeepAge, o.KeepEvents = int64(s.Keep.Age/time.Second), s.Keep.Events
	default:
		m := row.Member
		o.Does, o.Name, o.State, o.Role = "stand", m.User.Name, m.State.String(), m.Role.String()
		if m.State == chat.StateNone || m.State == chat.StateBanned {
			o.Role = chat.RoleNone.String()
		}
	}
}

// clampSeq brings a seq into the range of bigint; no log is as long.
func clampSeq(seq uint64) int64 { return int64(min(seq, math.MaxInt64)) }

// storable reports whether PostgreSQL can hold a row's texts: they are UTF-8
// without a zero byte. What comes in over the wire is JSON and so is UTF-8; a
// zero byte can only be written as an escape in a body.
func storable(row *store.Append) bool {
	ok := utf8.Valid(row.Body) && bytes.IndexByte(row.Body, 0) < 0
	texts := []string{row.Actor.Name, string(row.Actor.ID), string(row.Nonce)}
	if m := row.Member; m != nil {
		texts = append(texts, m.User.Name, string(m.User.ID))
	}
	if s := row.Settings; s != nil {
		texts = append(texts, s.Title, s.Topic)
	}
	for _, s := range texts {
		ok = ok && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
	}
	return ok
}
