package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/store"
)

var lastNonce atomic.Int64

// newNonce returns a nonce that the suite has not used.
func newNonce() chat.Nonce {
	return chat.Nonce(fmt.Sprintf("nonce-%d-%d", lastNonce.Add(1), rand.Uint32()))
}

// model is the contract as a few slices.
type model struct {
	rooms  []chat.RoomID
	epoch  string
	logs   map[chat.RoomID][]chat.Event
	nonces map[key]chat.Event
}

type key struct {
	room  chat.RoomID
	actor chat.UserID
	nonce chat.Nonce
}

// checkModel runs random batches and reads, with few rooms, users, nonces
// and bodies so that they meet, and compares every answer with the
// model's.
func checkModel(w *world) {
	run := 0
	rapid.Check(w.t, func(t *rapid.T) {
		run++
		m := &model{epoch: w.s.Epoch(), logs: map[chat.RoomID][]chat.Event{}, nonces: map[key]chat.Event{}}
		for i := range 3 {
			m.rooms = append(m.rooms, chat.RoomID(fmt.Sprintf("run%d-%d", run, i)))
		}
		w := &world{tb: t, t: w.t, factory: w.factory, s: w.s}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { m.append(t, w) },
			"after":  func(t *rapid.T) { m.after(t, w) },
			"before": func(t *rapid.T) { m.before(t, w) },
			"":       func(*rapid.T) { m.check(w) },
		})
	})
}

func (m *model) append(t *rapid.T, w *world) {
	rows := make([]store.Append, rapid.IntRange(1, 8).Draw(t, "rows"))
	for i := range rows {
		rows[i] = m.draw(t)
	}
	for i, r := range w.append(rows...) {
		m.take(w, rows[i], r)
	}
}

func (m *model) draw(t *rapid.T) store.Append {
	row := post(
		rapid.SampledFrom(m.rooms).Draw(t, "room"),
		rapid.SampledFrom([]chat.UserID{"ana", "bob"}).Draw(t, "actor"),
		rapid.SampledFrom([]chat.Nonce{"", "n1", "n2", "n3", "n4"}).Draw(t, "nonce"),
		rapid.SampledFrom([]string{"hello", "hello", "other"}).Draw(t, "content"),
	)
	row.MayCreate = rapid.Bool().Draw(t, "may create")
	return row
}

// take checks one result, and has the model store what the store did.
func (m *model) take(w *world, row store.Append, r store.Result) {
	w.Helper()
	log := m.logs[row.Room]
	if len(log) == 0 && !row.MayCreate {
		w.wantCode(r.Err, chat.RoomNotFound)
		return
	}
	k := key{row.Room, row.Actor.ID, row.Nonce}
	if first, taken := m.nonces[k]; taken {
		if string(first.Body) != string(row.Body) {
			w.wantCode(r.Err, chat.IdempotencyConflict)
			return
		}
		if r.Err != nil || !r.Duplicate {
			w.Fatalf("a repeat = duplicate %v, %v, want true, nil", r.Duplicate, r.Err)
		}
		w.wantEvent(r.Event, first)
		return
	}
	if r.Err != nil || r.Duplicate {
		w.Fatalf("a new row = duplicate %v, %v, want false, nil", r.Duplicate, r.Err)
	}
	e := r.Event
	n := uint64(len(log)) + 1
	w.wantEvent(e, chat.Event{
		Room: row.Room, Kind: row.Kind, Actor: row.Actor, At: e.At, Seq: n, ID: e.ID, Epoch: m.epoch,
		Tag: e.Tag, Nonce: e.Nonce, Msgs: n, Body: row.Body,
	})
	if row.Nonce != e.Nonce && !strings.HasPrefix(string(e.Nonce), " ") {
		w.Errorf("Nonce = %q, want %q", e.Nonce, row.Nonce)
	}
	if n > 1 && e.At.Before(log[n-2].At) {
		w.Errorf("At went from %v back to %v", log[n-2].At, e.At)
	}
	m.logs[row.Room] = append(log, e)
	if row.Nonce != "" {
		m.nonces[k] = e
	}
}

// limits are drawn small, so that pages end for either reason.
func (m *model) limits(t *rapid.T) store.Limit {
	return store.Limit{
		Events: rapid.IntRange(-1, 12).Draw(t, "events"),
		Bytes:  rapid.IntRange(-1, 200).Draw(t, "bytes"),
	}
}

// fit returns how many of the events a page holds.
func fit(events []chat.Event, limit store.Limit) int {
	n, bytes := 0, 0
	for _, e := range events {
		bytes += len(e.Body)
		if n > 0 && (n >= limit.Events || bytes > limit.Bytes) {
			break
		}
		n++
	}
	return n
}

func (m *model) after(t *rapid.T, w *world) {
	id := rapid.SampledFrom(m.rooms).Draw(t, "room")
	log := m.logs[id]
	after := rapid.IntRange(0, len(log)+2).Draw(t, "after")
	limit := m.limits(t)
	want := log[min(after, len(log)):]
	w.wantEvents(w.after(id, uint64(after), limit).Events, want[:fit(want, limit)])
}

func (m *model) before(t *rapid.T, w *world) {
	id := rapid.SampledFrom(m.rooms).Draw(t, "room")
	log := m.logs[id]
	before := rapid.IntRange(0, len(log)+2).Draw(t, "before")
	limit := m.limits(t)
	want := log
	if before > 0 {
		want = log[:min(before-1, len(log))]
	}
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	want = want[len(want)-fit(backwards, limit):]
	w.wantEvents(w.before(id, uint64(before), limit).Events, want)
}

// check compares the rooms' states, read in two ways.
func (m *model) check(w *world) {
	var exist []chat.Room
	for _, id := range m.rooms {
		n := uint64(len(m.logs[id]))
		want := chat.Room{ID: id, Exists: n > 0, Epoch: m.epoch, Head: n, Floor: 1, Msgs: n}
		if n > 0 {
			want.CreatedAt = m.logs[id][0].At
		}
		if got := w.room(id); got != want {
			w.Errorf("Room = %+v, want %+v", got, want)
		}
		if want.Exists {
			exist = append(exist, want)
		}
	}
	heads, err := w.s.Heads(context.Background(), m.rooms)
	slices.SortFunc(heads, func(a, b chat.Room) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if err != nil || !slices.Equal(heads, exist) {
		w.Errorf("Heads = %+v, %v, want %+v", heads, err, exist)
	}
}
