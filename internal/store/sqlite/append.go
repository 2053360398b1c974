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
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if len(batch) == 0 {
		return nil, nil
	}
	if err := s.takeLane(ctx); err != nil {
		return nil, fmt.Errorf("append: %w: %w", store.ErrUnavailable, err)
	}
	defer s.giveLane()
	if err := s.brokenError(); err != nil {
		return nil, err // since this call began
	}
	results := make([]store.Result, len(batch))
	if err := s.transact(func() error { return s.appendAll(batch, results) }); err != nil {
		return nil, s.refuse("append", err)
	}
	return results, nil
}

// transact runs f in one write transaction. If the error is not nil nothing
// is stored, save where the error [breaks] the store. The caller has lane.
func (s *Store) transact(f func() error) error {
	began := time.Now()
	defer func() { s.counts.Append.ObserveSince(began) }()
	if err := s.writer.begin(); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = s.writer.commit()
	}
	if err != nil {
		return s.writer.rollback(err)
	}
	s.storedAt = s.now()
	s.ckpt.wrote(s.writer.pagesWritten())
	return nil
}

func (s *Store) appendAll(batch []store.Append, results []store.Result) error {
	now := s.now().UnixMilli()
	for i := range batch {
		if err := s.appendOne(now, &batch[i], &results[i]); err != nil {
			return fmt.Errorf("row %d of %d, room %s: %w", i+1, len(batch), batch[i].Room, err)
		}
	}
	return s.writer.moveHeads()
}

// appendOne stores one row, or writes into result why not. now is in
// milliseconds.
func (s *Store) appendOne(now int64, row *store.Append, result *store.Result) error {
	kind := store.KindName(row.Kind)
	if kind == "" {
		result.Err = chat.Errorf(chat.Internal, "Events of kind %d are not stored.", row.Kind)
		return nil
	}
	w := s.writer
	log, err := w.log(row)
	if err != nil {
		return err
	}
	if log == nil {
		result.Err = chat.Errorf(chat.RoomNotFound, "There is no room %s.", row.Room)
		return nil
	}
	place := log.next(row.Kind, now)
	id, tag, stored, err := w.insert(log, place, kind, row)
	if err != nil {
		return err
	}
	if !stored {
		return s.repeat(log, row, result)
	}
	log.place = place
	w.touch(log)
	result.Event = chat.Event{
		Room:  row.Room,
		Kind:  row.Kind,
		Actor: row.Actor,
		At:    time.UnixMilli(place.at).UTC(),
		Seq:   uint64(place.seq),
		ID:    id,
		Epoch: log.epochOr(s.epoch),
		Tag:   tag,
		Nonce: row.Nonce,
		Msgs:  uint64(place.msgs),
		Body:  row.Body,
	}
	return nil
}

// repeat answers a row whose nonce is taken: with the event that has it, or
// with a conflict if that was said differently.
func (s *Store) repeat(log *log, row *store.Append, result *store.Result) error {
	event, digest, err := s.writer.byNonce(log, row)
	if err != nil {
		return err
	}
	if digest != s.writer.digest(row) {
		result.Err = chat.Errorf(chat.IdempotencyConflict, "The nonce %s was used for another message.", row.Nonce)
		return nil
	}
	event.Room, event.Epoch = row.Room, log.epochOr(s.epoch)
	result.Event, result.Duplicate = event, true
	return nil
}
