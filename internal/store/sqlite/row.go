package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// eventColumns are what [row.event] reads, eventWidth of them.
const (
	eventColumns = `seq, id, kind, actor, actor_name, at, nonce, msgs, tag, body`
	eventWidth   = 10
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

func (r *row) kind(i int) chat.Kind {
	name := r.text(i)
	kind, ok := store.ParseKind(name)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w (kind %q)", errRow, name)
	}
	return kind
}

// event reads eventColumns. Room and Epoch stay empty.
func (r *row) event() chat.Event {
	return chat.Event{
		Seq:   uint64(r.int(0)),
		ID:    r.int(1),
		Kind:  r.kind(2),
		Actor: chat.User{ID: chat.UserID(r.text(3)), Name: r.text(4)},
		At:    time.UnixMilli(r.int(5)).UTC(),
		Nonce: chat.Nonce(r.textOrNull(6)),
		Msgs:  uint64(r.int(7)),
		Tag:   uint32(r.int(8)),
		Body:  []byte(r.text(9)),
	}
}
