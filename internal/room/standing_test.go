package room

import (
	"slices"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// What each verb makes of a standing, and how the log says it.
func TestWhatBecomesOfAStanding(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r")
	ctx := t.Context()
	steps := []struct {
		verb  string
		do    func() error
		kind  chat.Kind
		state chat.State
		role  chat.Role
	}{
		{"invite", func() error { _, err := s.Invite(ctx, byAlice, "r", bob); return err }, chat.KindMemberInvited, chat.StateInvited, chat.RoleMember},
		{"decline", func() error { return s.Leave(ctx, byBob, "r") }, chat.KindMemberRemoved, chat.StateNone, chat.RoleNone},
		{"invite again", func() error { _, err := s.Invite(ctx, byAlice, "r", bob); return err }, chat.KindMemberInvited, chat.StateInvited, chat.RoleMember},
		{"accept", func() error { _, err := s.Join(ctx, byBob, "r"); return err }, chat.KindMemberAdded, chat.StateJoined, chat.RoleMember},
		{"promote", func() error { _, err := s.SetRole(ctx, byAlice, "r", bob.ID, chat.RoleModerator); return err }, chat.KindMemberRole, chat.StateJoined, chat.RoleModerator},
		{"remove", func() error { return s.Remove(ctx, byAlice, "r", bob.ID, "why") }, chat.KindMemberRemoved, chat.StateNone, chat.RoleNone},
		{"ban", func() error { return s.Ban(ctx, byAlice, "r", bob, "why") }, chat.KindMemberBanned, chat.StateBanned, chat.RoleNone},
		{"unban", func() error { return s.Unban(ctx, byAlice, "r", bob.ID) }, chat.KindMemberUnbanned, chat.StateNone, chat.RoleNone},
		{"add", func() error { _, err := s.Add(ctx, service, "r", bob, chat.RoleOwner); return err }, chat.KindMemberAdded, chat.StateJoined, chat.RoleOwner},
		{"add with another role", func() error { _, err := s.Add(ctx, service, "r", bob, chat.RoleMember); return err }, chat.KindMemberRole, chat.StateJoined, chat.RoleMember},
		{"leave", func() error { return s.Leave(ctx, byBob, "r") }, chat.KindMemberRemoved, chat.StateNone, chat.RoleNone},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s = %v, want nil", step.verb, err)
		}
		_, m, err := s.store.Member(ctx, "r", bob.ID)
		if err != nil || m.State != step.state || m.Role != step.role || m.User != bob || m.JoinedAt.IsZero() != (step.state != chat.StateJoined) {
			t.Errorf("after %s Bob is %+v, %v, want %v as %v", step.verb, m, err, step.state, step.role)
		}
		page, err := s.Log().Before(ctx, "r", 0, store.Limit{Events: 1})
		if err != nil {
			t.Fatal(err)
		}
		e := page.Events[0]
		want := string(chat.MemberBody(chat.Member{User: bob, State: step.state, Role: step.role}, reasonOf(step.verb)))
		if e.Kind != step.kind || e.Subject != bob.ID || string(e.Body) != want {
			t.Errorf("after %s the log ends with kind %d about %s, %s; want kind %d, %s", step.verb, e.Kind, e.Subject, e.Body, step.kind, want)
		}
	}
}

// reasonOf is what the steps above give as a reason.
func reasonOf(verb string) string {
	if slices.Contains([]string{"remove", "ban"}, verb) {
		return "why"
	}
	return ""
}

// What a verb returns is what is stored.
func TestVerbsReturnTheStandingThatIsStored(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r")
	ctx := t.Context()
	for verb, do := range map[string]func() (chat.Member, error){
		"invite":       func() (chat.Member, error) { return s.Invite(ctx, byAlice, "r", bob) },
		"join":         func() (chat.Member, error) { return s.Join(ctx, byBob, "r") },
		"join again":   func() (chat.Member, error) { return s.Join(ctx, byBob, "r") },
		"role":         func() (chat.Member, error) { return s.SetRole(ctx, byAlice, "r", bob.ID, chat.RoleModerator) },
		"the same one": func() (chat.Member, error) { return s.SetRole(ctx, byAlice, "r", bob.ID, chat.RoleModerator) },
		"add":          func() (chat.Member, error) { return s.Add(ctx, service, "r", bob, chat.RoleOwner) },
	} {
		if _, err := s.Add(ctx, service, "r", bob, chat.RoleMember); err != nil { // from whatever came before
			t.Fatal(err)
		}
		if verb == "invite" || verb == "join" {
			if err := s.Remove(ctx, service, "r", bob.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
		if verb == "join" {
			if _, err := s.Invite(ctx, byAlice, "r", bob); err != nil {
				t.Fatal(err)
			}
		}
		got, err := do()
		_, want, failed := s.store.Member(ctx, "r", bob.ID)
		if err != nil || failed != nil || got != want {
			t.Errorf("%s = %+v, %v, want %+v", verb, got, err, want)
		}
	}
}
