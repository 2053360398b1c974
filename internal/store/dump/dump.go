// Package dump names what a store keeps as tables of plain rows, the same for
// every store, so that an installation can be copied from one into another and
// held against it.
//
// The tables and columns are those of the stores' schemas; what differs there
// is said in one way here: truths are bools, an event without a nonce has
// none and no digest, and a tag is a number from 0 to 2^32−1.
package dump

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"
)

// Kind is what a column holds when it is not nil.
type Kind byte

const (
	Int  Kind = iota + 1 // int64
	Text                 // string
	Bool                 // bool, never nil
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Table is one table of a store.
type Table struct {
	Name    string
	Columns []Column // those of the key first
	// Key is how many columns the key has. Rows come by rising keys; texts
	// compare byte by byte.
	Key int
	// ByRoom: the first column is the number of a room, and each room is summed
	// up for itself.
	ByRoom bool
}

// Row is one row: an int64, string, bool or nil for each column.
type Row []any

// KeyOf is the first columns of a row, by which it is found.
func (t *Table) KeyOf(r Row) []any { return r[:t.Key] }

// The tables in the order in which they are copied.
var (
	Accounts = &Table{Name: "accounts", Key: 1, Columns: []Column{
		{"id", Text}, {"name", Text}, {"created_at", Int}, {"seen_at", Int}, {"disabled", Bool}, {"revoked_before", Int},
	}}
	RevokedTokens = &Table{Name: "revoked_tokens", Key: 1, Columns: []Column{
		{"id", Text}, {"until", Int},
	}}
	Rooms = &Table{Name: "rooms", Key: 1, Columns: []Column{
		{"no", Int}, {"id", Text}, {"title", Text}, {"topic", Text}, {"access", Text}, {"archived", Bool}, {"epoch", Text},
		{"head", Int}, {"floor", Int}, {"msgs", Int}, {"last_at", Int}, {"keep_age", Int}, {"keep_events", Int},
		{"version", Int}, {"created_at", Int}, {"members", Int},
	}}
	Members = &Table{Name: "members", Key: 2, ByRoom: true, Columns: []Column{
		{"room_no", Int}, {"user", Text}, {"name", Text}, {"state", Text}, {"role", Text}, {"version", Int}, {"joined_at", Int},
		{"read", Int}, {"delivered", Int}, {"read_msgs", Int}, {"private", Bool},
	}}
	Events = &Table{Name: "events", Key: 2, ByRoom: true, Columns: []Column{
		{"room_no", Int}, {"seq", Int}, {"id", Int}, {"kind", Text}, {"actor", Text}, {"actor_name", Text}, {"at", Int}, {"nonce", Text},
		{"digest", Int}, {"msgs", Int}, {"tag", Int}, {"body", Text}, {"target_seq", Int}, {"target_id", Int}, {"subject", Text},
		{"changed_seq", Int}, {"changed_at", Int}, {"deleted", Bool},
	}}
)

// Tables are all of them.
var Tables = []*Table{Accounts, RevokedTokens, Rooms, Members, Events}

// Origin is what a store remembers of itself.
type Origin struct {
	// StoreID is random, and another after each restore.
	StoreID string
	// Epoch is that of rooms without one of their own.
	Epoch string
	// NextID is above the ids of all events.
	NextID int64
}

// Sum is the count and hash of some rows in their order.
type Sum struct {
	Room int64 // its number; 0 for a table that is summed up as a whole
	Rows int64
	Hash [sha256.Size]byte
}

// Sums sums up the rows of a table: of each room, or all of them. It stops
// after the first error.
func (t *Table) Sums(rows iter.Seq2[Row, error]) iter.Seq2[Sum, error] {
	return func(yield func(Sum, error) bool) {
		s := summer{hash: sha256.New()}
		for row, err := range rows {
			if err != nil {
				yield(Sum{}, err)
				return
			}
			if room := t.roomOf(row); s.rows > 0 && room != s.room {
				if !yield(s.take(), nil) {
					return
				}
			}
			s.room = t.roomOf(row)
			if err := s.add(row); err != nil {
				yield(Sum{}, fmt.Errorf("%s: %w", t.Name, err))
				return
			}
		}
		if s.rows > 0 {
			yield(s.take(), nil)
		}
	}
}

func (t *Table) roomOf(r Row) int64 {
	if !t.ByRoom {
		return 0
	}
	room, _ := r[0].(int64)
	return room
}

// summer is a [Sum] in the making.
type summer struct {
	room, rows int64
	hash       hash.Hash
	buf        bytes.Buffer
}

// add writes each value as a letter for what it is and its bytes, texts after
// their length, so that no two rows are written the same.
func (s *summer) add(r Row) error {
	s.buf.Reset()
	for i, value := range r {
		switch v := value.(type) {
		case nil:
			s.buf.WriteByte('n')
		case int64:
			s.number('i', uint64(v))
		case string:
			s.number('t', uint64(len(v)))
			s.buf.WriteString(v)
		case bool:
			s.buf.WriteString(map[bool]string{false: "f", true: "b"}[v])
		default:
			return fmt.Errorf("column %d holds a %T", i, v)
		}
	}
	s.rows++
	s.hash.Write(s.buf.Bytes()) // a hash never fails
	return nil
}

func (s *summer) number(letter byte, n uint64) {
	var b [9]byte
	b[0] = letter
	binary.BigEndian.PutUint64(b[1:], n)
	s.buf.Write(b[:])
}

// take ends a sum and begins the next one.
func (s *summer) take() Sum {
	sum := Sum{Room: s.room, Rows: s.rows}
	s.hash.Sum(sum.Hash[:0])
	s.hash.Reset()
	s.rows = 0
	return sum
}
