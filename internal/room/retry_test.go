package room

import (
	"context"
	"sync/atomic"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// meddler is a store into which somebody else writes just before it stores.
type meddler struct {
	store.Store
	meddle atomic.Pointer[func() store.Append] // for as long as it is set
	times  atomic.Int32
}

func (m *meddler) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	if f := m.meddle.Load(); f != nil {
		m.times.Add(1)
		if _, err := m.Store.Append(ctx, []store.Append{(*f)()}); err != nil {
			return nil, err
		}
	}
	return m.Store.Append(ctx, batch)
}

func newMeddler(t *testing.T) (*Service, *meddler) {
	m := &meddler{Store: openSQLite(t, t.TempDir())}
	b := local.New()
	s := New(Config{Store: m, Bus: b, Fatal: func(err error) { t.Error(err) }})
	t.Cleanup(func() {
		s.Close()
		b.Close()
		m.Close()
	})
	return s, m
}

// A decision is taken again, on what is then.
func TestADecisionThatComesTooLateIsTakenAgain(t *testing.T) {
	s, m := newMeddler(t)
	newRoom(t, s, "r")
	ban := func() store.Append {
		m.meddle.Store(nil) // once
		return memberRow(service, "r", chat.KindMemberBanned, chat.Member{User: bob, State: chat.StateBanned}, "")
	}
	m.meddle.Store(&ban)
	if _, err := s.Invite(t.Context(), byAlice, "r", bob); err != errInvitesBanned {
		t.Errorf("Invite of who is banned at that moment = %v, want %v", err, errInvitesBanned)
	}
}

func TestADecisionThatAlwaysComesTooLateIsGivenUp(t *testing.T) {
	s, m := newMeddler(t)
	newRoom(t, s, "r")
	rename := func() store.Append {
		settings := chat.Settings{Access: chat.AccessPrivate, Title: "theirs"}
		return store.Append{Room: "r", Kind: chat.KindRoomUpdated, Body: chat.SettingsBody(settings), Settings: &settings}
	}
	m.meddle.Store(&rename)
	title := "mine"
	_, err := s.Update(t.Context(), byAlice, "r", Changes{Title: &title})
	if !hasCode(err, chat.VersionConflict) || m.times.Load() != maxTries {
		t.Errorf("Update = %v after %d tries, want %s after %d", err, m.times.Load(), chat.VersionConflict, maxTries)
	}
}
