package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// everyAccess are the kinds of room that a directory may list.
var everyAccess = []chat.Access{chat.AccessOpen, chat.AccessPublic, chat.AccessPrivate, chat.AccessDirect}

// everyState are the states that members are listed by.
var everyState = []chat.State{chat.StateNone, chat.StateInvited, chat.StateJoined, chat.StateBanned}

// Same wants the same answer of two stores to every question that the contract
// knows, about all rooms and accounts, the users and the ids of tokens. It
// changes neither, and stops at the first difference. A nonce that a store has
// made up itself counts as none.
func Same(t *testing.T, got, want store.Store, users []chat.UserID, tokens []string) {
	t.Helper()
	c := comparison{t: t, got: got, want: want}
	if got.Epoch() != want.Epoch() {
		t.Errorf("Epoch = %s, want %s", got.Epoch(), want.Epoch())
	}
	ids := c.rooms()
	c.same("Heads", func(s store.Store) (any, error) {
		heads, err := s.Heads(t.Context(), ids)
		byID := make(map[chat.RoomID]store.Head)
		for _, head := range heads {
			byID[head.Room.ID] = head
		}
		return byID, err
	})
	for _, id := range append(ids, "a room that nobody made") {
		c.room(id, users)
	}
	for _, user := range users {
		c.user(user)
	}
	c.same("Accounts", func(s store.Store) (any, error) { return s.Accounts(t.Context(), "", 1<<20) })
	for _, token := range tokens {
		c.same("Validity of "+token, func(s store.Store) (any, error) {
			return s.Validity(t.Context(), []chat.Credential{{TokenID: token}})
		})
	}
}

type comparison struct {
	t         *testing.T
	got, want store.Store
}

// same asks both stores one question. The answer or the error must be equal.
func (c *comparison) same(what string, ask func(store.Store) (any, error)) any {
	c.t.Helper()
	got, gotErr := ask(c.got)
	want, wantErr := ask(c.want)
	if g, w := fmt.Sprintf("%+v", given(got)), fmt.Sprintf("%+v", given(want)); g != w {
		c.t.Fatalf("%s = %.2000s, want %.2000s", what, g, w)
	}
	if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
		c.t.Fatalf("%s: %v, want %v", what, gotErr, wantErr)
	}
	return want
}

// rooms compares the directory and returns the ids of all rooms.
func (c *comparison) rooms() (ids []chat.RoomID) {
	ctx := context.Background()
	for _, access := range everyAccess {
		c.same("Rooms "+access.String(), func(s store.Store) (any, error) { return s.Rooms(ctx, []chat.Access{access}, "", 1<<20) })
	}
	all, _ := c.same("Rooms", func(s store.Store) (any, error) { return s.Rooms(ctx, everyAccess, "", 1<<20) }).([]chat.Room)
	for _, room := range all {
		ids = append(ids, room.ID)
	}
	return ids
}

func (c *comparison) room(id chat.RoomID, users []chat.UserID) {
	ctx := context.Background()
	name := string(id)
	c.same("Room "+name, func(s store.Store) (any, error) { return s.Room(ctx, id) })
	var page store.Page
	for _, kind := range []chat.Kind{0, chat.KindMessage} {
		limit := everything
		limit.Only = kind
		page, _ = c.same("After in "+name, func(s store.Store) (any, error) { return s.After(ctx, id, 0, limit) }).(store.Page)
		c.same("Before in "+name, func(s store.Store) (any, error) {
			return s.Before(ctx, id, page.Room.Head/2, store.Limit{Events: 10, Bytes: 300, Only: kind})
		})
	}
	for _, e := range append(page.Events, chat.Event{ID: 1}) {
		c.same("Find in "+name, func(s store.Store) (any, error) { return s.Find(ctx, id, e.ID) })
	}
	for _, state := range everyState {
		c.same("Members of "+name, func(s store.Store) (any, error) { return s.Members(ctx, id, []chat.State{state}, "", 1<<20) })
	}
	for _, user := range users {
		c.same("Member "+string(user)+" of "+name, func(s store.Store) (any, error) {
			room, member, err := s.Member(ctx, id, user)
			return []any{room, member}, err
		})
	}
}

func (c *comparison) user(id chat.UserID) {
	ctx := context.Background()
	name := string(id)
	c.same("Standings of "+name, func(s store.Store) (any, error) { return s.Standings(ctx, id, "", 1<<20) })
	c.same("Wrote "+name, func(s store.Store) (any, error) { return s.Wrote(ctx, id, "", 1<<20) })
	c.same("Account "+name, func(s store.Store) (any, error) {
		account, ok, err := s.Account(ctx, id)
		return []any{account, ok}, err
	})
}

// given is an answer without the nonces that nobody gave.
func given(answer any) any {
	switch a := answer.(type) {
	case chat.Event:
		if strings.HasPrefix(string(a.Nonce), " ") {
			a.Nonce = ""
		}
		return a
	case store.Page:
		events := make([]any, len(a.Events))
		for i, e := range a.Events {
			events[i] = given(e)
		}
		return []any{a.Room, events}
	}
	return answer
}
