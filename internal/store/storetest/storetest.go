// Package storetest holds the conformance suite of [store.Store].
//
// [Run] has a named case for each sentence of the contract. A case gets a
// store of its own and uses nothing but the contract, so that every
// implementation passes the same suite. What a crash of the process or the
// system leaves behind is for each implementation's own tests; here a store
// is closed and opened again.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Factory makes the stores of a run.
type Factory struct {
	// Open returns a store without rooms. Run closes it.
	Open func(t testing.TB) store.Store
	// Reopen opens what a store, which has been closed, has left behind.
	Reopen func(t testing.TB, closed store.Store) store.Store
}

// testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(w *world)
}

// Run checks a store against the contract.
func Run(t *testing.T, f Factory) {
	t.Helper()
	for _, c := range slices.Concat(appendCases, changeCases, conditionCases, roomCases, memberCases, markCases, readCases, directoryCases, trimCases, accountCases, lifeCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each on a store of its own
			w := &world{tb: t, t: t, factory: f, s: f.Open(t)}
			defer func() { w.close() }()
			c.run(w)
		})
	}
}

// tb is what helpers use of a test; a property test has its own kind.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is a store under test.
type world struct {
	tb
	t       *testing.T
	factory Factory
	s       store.Store
}

func (w *world) close() {
	if err := w.s.Close(); err != nil {
		w.Errorf("Close: %v", err)
	}
}

// reopen closes the store and opens what it kept.
func (w *world) reopen() {
	w.Helper()
	w.close()
	w.s = w.factory.Reopen(w.t, w.s)
}

// everything is a limit that no page of the suite reaches.
var everything = store.Limit{Events: 1 << 20, Bytes: 1 << 30}

// post is a message to be appended, which may begin its room's log.
func post(room chat.RoomID, actor chat.UserID, nonce chat.Nonce, content string) store.Append {
	return store.Append{
		Room:      room,
		Kind:      chat.KindMessage,
		Actor:     chat.User{ID: actor, Name: "Name of " + string(actor)},
		Nonce:     nonce,
		Body:      chat.MessageBody(content),
		MayCreate: true,
	}
}

// append stores rows, again as long as the outcome is unknown, and fails the
// test on any other error.
func (w *world) append(rows ...store.Append) []store.Result {
	w.Helper()
	results, err := appendUntilKnown(context.Background(), w.s, rows)
	if err != nil {
		w.Fatalf("Append of %d rows = %v, want nil", len(rows), err)
	}
	if len(results) != len(rows) {
		w.Fatalf("Append of %d rows returned %d results", len(rows), len(results))
	}
	return results
}

// appendUntilKnown follows the rule for [store.ErrUnknown]; a store that
// never knows fails at its hundredth answer.
func appendUntilKnown(ctx context.Context, s store.Store, rows []store.Append) (results []store.Result, err error) {
	for range 100 {
		results, err = s.Append(ctx, rows)
		if !errors.Is(err, store.ErrUnknown) {
			return results, err
		}
	}
	return nil, err
}

// stored appends one row and returns its event.
func (w *world) stored(row store.Append) chat.Event {
	w.Helper()
	r := w.append(row)[0]
	if r.Err != nil || r.Duplicate {
		w.Fatalf("Append to %s = duplicate %v, %v, want a new event", row.Room, r.Duplicate, r.Err)
	}
	return r.Event
}

func (w *world) room(id chat.RoomID) chat.Room {
	w.Helper()
	room, err := w.s.Room(context.Background(), id)
	if err != nil {
		w.Fatalf("Room(%s) = %v, want nil", id, err)
	}
	return room
}

func (w *world) after(id chat.RoomID, after uint64, limit store.Limit) store.Page {
	w.Helper()
	page, err := w.s.After(context.Background(), id, after, limit)
	if err != nil {
		w.Fatalf("After(%s, %d) = %v, want nil", id, after, err)
	}
	return page
}

func (w *world) before(id chat.RoomID, before uint64, limit store.Limit) store.Page {
	w.Helper()
	page, err := w.s.Before(context.Background(), id, before, limit)
	if err != nil {
		w.Fatalf("Before(%s, %d) = %v, want nil", id, before, err)
	}
	return page
}

// log is everything in a room.
func (w *world) log(id chat.RoomID) []chat.Event {
	w.Helper()
	return w.after(id, 0, everything).Events
}

// wantCode checks that err is a refusal with the code.
func (w *world) wantCode(err error, want chat.Code) {
	w.Helper()
	if got, ok := errors.AsType[*chat.Error](err); !ok || got.Code != want {
		w.Errorf("Err = %v, want %s", err, want)
	}
}

// wantEvent checks that got is want, field by field.
func (w *world) wantEvent(got, want chat.Event) {
	w.Helper()
	if d := difference(got, want); d != "" {
		w.Errorf("event %d of %s: %s", want.Seq, want.Room, d)
	}
}

// wantEvents checks that got is want, in order.
func (w *world) wantEvents(got, want []chat.Event) {
	w.Helper()
	if len(got) != len(want) {
		w.Errorf("got %d events %v, want %d %v", len(got), seqs(got), len(want), seqs(want))
		return
	}
	for i := range got {
		w.wantEvent(got[i], want[i])
	}
}

// wantSeqs checks the places of events in their log.
func (w *world) wantSeqs(got []chat.Event, want ...uint64) {
	w.Helper()
	if !slices.Equal(seqs(got), want) {
		w.Errorf("got seqs %v, want %v", seqs(got), want)
	}
}

func seqs(events []chat.Event) []uint64 {
	s := make([]uint64, len(events))
	for i := range events {
		s[i] = events[i].Seq
	}
	return s
}

// upTo is 1, 2, … n.
func upTo(n uint64) []uint64 {
	s := make([]uint64, n)
	for i := range s {
		s[i] = uint64(i) + 1
	}
	return s
}
