package sqlite

import (
	"context"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Append stores a batch in one transaction; see [store.Appender].
func (s *Store) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	var results []store.Result
	err := s.write(ctx, "append", func() error {
		results = make([]store.Result, len(batch))
		return s.appendAll(batch, results)
	})
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	return results, nil
}

func (s *Store) appendAll(batch []store.Append, results []store.Result) error {
	now := s.now().UnixMilli()
	for i := range batch {
		var before error
		if i > 0 {
			before = results[i-1].Err
		}
		if err := s.appendOne(now, &batch[i], before, &results[i]); err != nil {
			return fmt.Errorf("row %d of %d, room %s: %w", i+1, len(batch), batch[i].Room, err)
		}
	}
	if err := s.writer.saveStandings(); err != nil {
		return err
	}
	return s.writer.moveHeads()
}

// appendOne stores one row, or writes into result why not. now is in
// milliseconds, before is the refusal of the row before it.
func (s *Store) appendOne(now int64, row *store.Append, before error, result *store.Result) error {
	if !row.Complete() {
		result.Err = store.Incomplete(row)
		return nil
	}
	w := s.writer
	log, err := w.log(row.Room)
	if err != nil {
		return err
	}
	if log.no == 0 && !row.MayCreate {
		result.Err = store.NoRoom(row.Room)
		return nil
	}
	var t target
	refusal, err := w.check(log, row, before, &t)
	if err != nil {
		return err
	}
	if refusal != nil {
		// A repeat comes before any condition. It is only looked for here: a
		// row that nothing stands against meets it when it is inserted.
		if repeated, err := s.repeat(log, row, result); repeated || err != nil {
			return err
		}
		result.Err = refusal
		return nil
	}
	if log.no == 0 {
		if err := w.makeLog(log, now); err != nil {
			return err
		}
	}
	place := log.next(row.Kind, now)
	id, tag, stored, err := w.insert(log, place, row, &t)
	if err != nil {
		return err
	}
	if !stored {
		if repeated, err := s.repeat(log, row, result); repeated || err != nil {
			return err
		}
		return fmt.Errorf("look for nonce %s: %w", row.Nonce, errRow)
	}
	log.place = place
	w.touch(log)
	result.Event = s.eventOf(log, row)
	result.Event.ID, result.Event.Tag, result.Event.TargetID = id, tag, t.id
	return w.change(log, place, row, &t)
}

// eventOf is what row has become, at the end of its log, save for what only the
// database gives.
func (s *Store) eventOf(log *log, row *store.Append) chat.Event {
	return chat.Event{
		Room:    row.Room,
		Kind:    row.Kind,
		Actor:   row.Actor,
		At:      time.UnixMilli(log.place.at).UTC(),
		Seq:     uint64(log.place.seq),
		Epoch:   log.epochOr(s.epoch),
		Nonce:   row.Nonce,
		Target:  row.Changes(),
		Subject: row.About(),
		Msgs:    uint64(log.place.msgs),
		Body:    row.Body,
	}
}

// repeat answers a row whose nonce is taken: with the event that has it, or
// with a conflict if that was said differently. repeated is false if it is
// not taken.
func (s *Store) repeat(log *log, row *store.Append, result *store.Result) (repeated bool, err error) {
	if row.Nonce == "" || log.no == 0 {
		return false, nil
	}
	event, digest, ok, err := s.writer.byNonce(log, row)
	if err != nil || !ok {
		return false, err
	}
	if digest != s.writer.digest(row) {
		result.Err = store.NonceUsed(row.Nonce)
		return true, nil
	}
	event.Room, event.Epoch = row.Room, log.epochOr(s.epoch)
	result.Event, result.Duplicate = event, true
	return true, nil
}
