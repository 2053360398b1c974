package room

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"tertulia/chat"
	"tertulia/internal/store"
)

func TestEnter(t *testing.T) {
	tests := []struct {
		name       string
		autoCreate bool
		room       chat.RoomID
		wantCode   chat.Code
	}{
		{name: "a room with a log", room: "made"},
		{name: "an initial room", room: "lobby"},
		{name: "any room if they make themselves", autoCreate: true, room: "new"},
		{name: "no such room", room: "new", wantCode: chat.RoomNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(1)
				h.store(&store.Append{Room: "made", Kind: chat.KindMessage, MayCreate: true})
				s := newStageWith(t, h, Config{AutoCreate: test.autoCreate, Initial: []chat.RoomID{"lobby"}})
				_, err := s.Enter(t.Context(), byAlice, test.room)
				if e, _ := errors.AsType[*chat.Error](err); test.wantCode != "" && (e == nil || e.Code != test.wantCode) {
					t.Errorf("Enter(%q) = %v, want %s", test.room, err, test.wantCode)
				} else if test.wantCode == "" && err != nil {
					t.Errorf("Enter(%q) = %v, want no error", test.room, err)
				}
			})
		})
	}
}

// dark is a store that cannot be read.
type dark struct {
	*hostile
	err error
}

func (d dark) Room(context.Context, chat.RoomID) (chat.Room, error) {
	return chat.Room{}, fmt.Errorf("read: %w", d.err)
}

func (d dark) Member(context.Context, chat.RoomID, chat.UserID) (chat.Room, chat.Member, error) {
	return chat.Room{}, chat.Member{}, fmt.Errorf("read: %w", d.err)
}

func TestEnterWithoutAnAnswerFromTheStore(t *testing.T) {
	tests := []struct {
		err  error
		want chat.Code
	}{
		{store.ErrUnavailable, chat.StoreUnavailable},
		{store.ErrBroken, chat.StoreUnavailable},
		{context.Canceled, chat.Internal},
	}
	for _, test := range tests {
		s := New(Config{Store: dark{newHostile(1), test.err}, Bus: new(recorder), Initial: []chat.RoomID{"lobby"}})
		defer s.Close()
		_, err := s.Enter(t.Context(), byAlice, "lobby")
		if err == nil || chat.AsError(err).Code != test.want {
			t.Errorf("Enter over a store that says %v = %v, want %s", test.err, err, test.want)
		}
		if test.want == chat.Internal && !errors.Is(err, test.err) {
			t.Errorf("Enter = %v, want it to wrap %v", err, test.err)
		}
	}
}
