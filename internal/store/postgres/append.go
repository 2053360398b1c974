package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Append stores a batch in one transaction; see [store.Appender]. It gives a
// nonce to the rows that have none, so that running them again is safe.
func (s *Store) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	fillNonces(batch)
	b := encode(batch)
	results := make([]store.Result, len(batch))
	var f fateRow
	err := s.write(ctx, s.appends, "append", statement{
		sql:  s.sql.append,
		args: b.args(),
		dest: f.dest(),
		take: func() (err error) {
			i := int(f.ord) - 1
			results[i], err = f.result(&batch[i], uint32(b.tags[i]), s.meta.epoch)
			return err
		},
	}, nothing)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	for i := range results {
		settle(results, batch, i)
	}
	return results, nil
}

// fillNonces gives the rows without a nonce one that begins with a space, as no
// client's does, and then with the time, so that they are neighbours in their
// index.
func fillNonces(batch []store.Append) {
	var ms string
	for i := range batch {
		if batch[i].Nonce != "" {
			continue
		}
		if ms == "" {
			ms = " " + strconv.FormatInt(time.Now().UnixMilli(), 36)
		}
		batch[i].Nonce = chat.Nonce(ms + "-" + strconv.FormatUint(rand.Uint64(), 36))
	}
}

// fateRow is what the function append returns of a row: its place, its fate,
// and where it was stored, or the event that was stored under its nonce before.
// have is by its fate: the tag of the event before it, the role that it needs,
// or the version that is not the one asked for.
type fateRow struct {
	ord, have, seq, id, at, msgs number
	fate, epoch                  text
	event                        eventRow
}

func (f *fateRow) dest() []any {
	return append([]any{&f.ord, &f.fate, &f.epoch, &f.have, &f.seq, &f.id, &f.at, &f.msgs}, f.event.dest()...)
}

// result is the fate of row; epoch is the store's.
func (f *fateRow) result(row *store.Append, tag uint32, epoch string) (r store.Result, err error) {
	if f.epoch != "" {
		epoch = string(f.epoch)
	}
	switch f.fate {
	case "stored":
		r.Event = chat.Event{
			Room:    row.Room,
			Kind:    row.Kind,
			Actor:   row.Actor,
			At:      f.at.time(),
			Seq:     uint64(f.seq),
			ID:      int64(f.id),
			Epoch:   epoch,
			Tag:     tag,
			Follows: uint32(f.have),
			Nonce:   row.Nonce,
			Target:  row.Changes(),
			Subject: row.About(),
			Msgs:    uint64(f.msgs),
			Body:    row.Body,
		}
		r.Event.TargetID = int64(f.event.targetID)
		return r, nil
	case "duplicate":
		r.Event, err = f.event.event(row.Room, epoch)
		r.Event.Follows, r.Duplicate = uint32(f.have), true
		return r, err
	}
	refusal, err := f.refusal(row)
	if err != nil {
		return r, err
	}
	r.Err = refusal
	return r, nil
}

// refusal is why row was not stored. Of "with" the error is that of the row
// before; see [settle].
func (f *fateRow) refusal(row *store.Append) (*chat.Error, error) {
	switch f.fate {
	case "incomplete":
		return store.Incomplete(row), nil
	case "with":
		return errWith, nil
	case "room_not_found":
		return store.NoRoom(row.Room), nil
	case "room_exists":
		return store.RoomThere(row.Room), nil
	case "idempotency_conflict":
		return store.NonceUsed(row.Nonce), nil
	case "banned":
		return store.BannedFrom(row.Room), nil
	case "forbidden":
		return store.RoleNeeded(row.Room, row.Role), nil
	case "room_read_only":
		return store.ReadOnly(row.Room), nil
	case "message_not_found":
		return store.NoMessage(row.Room), nil
	case "not_own":
		return store.NotOwn(), nil
	case "version_conflict":
		return store.Changed(uint64(f.have)), nil
	case "not_owned":
		return store.Ownerless(row.Room), nil
	}
	return nil, fmt.Errorf("%w (the fate %q)", errRow, f.fate)
}

// errWith stands for the error of the row before.
var errWith = chat.Errorf(chat.Internal, "The row before was refused.")

// settle gives a row that went With the one before it the same error.
func settle(results []store.Result, batch []store.Append, i int) {
	if results[i].Err == error(errWith) {
		results[i].Err = chat.AsError(results[i-1].Err)
	}
}
