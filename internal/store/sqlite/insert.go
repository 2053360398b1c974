package sqlite

import (
	"database/sql/driver"
	"math/rand/v2"

	"tertulia/chat"
	"tertulia/internal/store"
)

// insert stores row at p under a new id and tag; stored is false, and nothing
// is changed, if its nonce is taken.
func (w *writer) insert(l *log, p place, row *store.Append, t *target) (id int64, tag uint32, stored bool, err error) {
	var nonce, digest driver.Value
	if row.Nonce != "" {
		nonce, digest = string(row.Nonce), w.digest(row)
	}
	id, tag = w.nextID, rand.Uint32()
	args := [16]driver.Value{l.no, p.seq, id, store.KindName(row.Kind), string(row.Actor.ID), row.Actor.Name, p.at, p.msgs, int64(tag), string(row.Body), nonce, digest}
	insert, n := w.stmt.insert, 12
	switch {
	case row.Kind != chat.KindMessage:
		insert, n = w.stmt.insertOther, 16
		args[12], args[13], args[14] = number(row.Changes()), number(uint64(t.id)), nullable(string(row.About()))
		if row.Kind == chat.KindMessageEdited {
			args[15] = number(uint64(t.changed)) // the edit before
		}
	case nonce != nil:
		insert = w.stmt.insertWithNonce
	}
	res, err := insert.exec(args[:n]...)
	if err != nil {
		return 0, 0, false, err
	}
	changed, err := res.RowsAffected()
	if err != nil || changed == 0 {
		return 0, 0, false, err
	}
	w.nextID++
	return id, tag, true, nil
}

func (w *writer) digest(row *store.Append) (digest int64) {
	digest, w.scratch = store.Digest(row, w.scratch)
	return digest
}

// byNonce returns the event that has row's nonce, without the fields that
// are the room's, and the digest of what was first said in it; ok is false if
// there is none.
func (w *writer) byNonce(l *log, a *store.Append) (event chat.Event, digest int64, ok bool, err error) {
	var vals [eventWidth + 1]driver.Value
	ok, err = w.stmt.findNonce.queryRow(vals[:], string(a.Nonce), l.no, string(a.Actor.ID))
	if err != nil || !ok {
		return chat.Event{}, 0, false, err
	}
	r := row{vals: vals[:]}
	event, digest = r.event(), r.int(eventWidth)
	return event, digest, true, r.err
}
