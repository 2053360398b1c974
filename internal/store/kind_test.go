package store

import (
	"testing"
	"time"

	"tertulia/chat"
)

func TestKindNames(t *testing.T) {
	for k := range chat.Kind(255) {
		name := KindName(k)
		if got, want := name != "", k.Durable(); got != want {
			t.Errorf("KindName(%d) = %q, but Durable() = %v", k, name, want)
		}
		if name == "" {
			continue
		}
		if got, ok := ParseKind(name); got != k || !ok {
			t.Errorf("ParseKind(%q) = %d, %v, want %d, true", name, got, ok, k)
		}
	}
	if k, ok := ParseKind("unheard-of"); ok {
		t.Errorf("ParseKind(unheard-of) = %d, true, want false", k)
	}
}

// Stored digests outlive the program that wrote them, so the value is fixed:
// printf 'message\0{"content":"hi"}' | sha256sum | cut -c1-16
func TestDigest(t *testing.T) {
	said := func(body string) *Append { return &Append{Kind: chat.KindMessage, Body: []byte(body)} }
	got, scratch := Digest(said(`{"content":"hi"}`), nil)
	if want := uint64(0x96360dd3d71ddc62); uint64(got) != want {
		t.Errorf("Digest = %#x, want %#x", uint64(got), want)
	}
	if again, _ := Digest(said(`{"content":"hi"}`), scratch); again != got {
		t.Errorf("Digest with used scratch = %#x, want %#x", uint64(again), uint64(got))
	}
	if other, _ := Digest(said(`{"content":"ho"}`), scratch); other == got {
		t.Error("Digest of another body is the same")
	}
}

// Rows that differ in what counts of them have digests that differ.
func TestDigestsDiffer(t *testing.T) {
	member := func(id chat.UserID, s chat.State, r chat.Role) *chat.Member {
		return &chat.Member{User: chat.User{ID: id}, State: s, Role: r}
	}
	body := []byte(`{}`)
	rows := []Append{
		{Kind: chat.KindMessage, Body: body},
		{Kind: chat.KindMessageEdited, Target: 1, Body: body},
		{Kind: chat.KindMessageEdited, Target: 12, Body: body},
		{Kind: chat.KindMessageDeleted, Target: 1, Body: body},
		{Kind: chat.KindMemberAdded, Member: member("ana", chat.StateJoined, chat.RoleMember), Body: body},
		{Kind: chat.KindMemberAdded, Member: member("bob", chat.StateJoined, chat.RoleMember), Body: body},
		{Kind: chat.KindMemberAdded, Member: member("ana", chat.StateInvited, chat.RoleMember), Body: body},
		{Kind: chat.KindMemberAdded, Member: member("ana", chat.StateJoined, chat.RoleOwner), Body: body},
		{Kind: chat.KindMessagesErased, Member: member("ana", chat.StateNone, chat.RoleNone), Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Access: chat.AccessPublic}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Title: "a"}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Topic: "a"}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Archived: true}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Keep: chat.Retention{Age: time.Hour}}, Body: body},
		{Kind: chat.KindRoomUpdated, Settings: &chat.Settings{Keep: chat.Retention{Events: 3600}}, Body: body},
	}
	seen := map[int64]int{}
	for i := range rows {
		digest, _ := Digest(&rows[i], nil)
		if j, taken := seen[digest]; taken {
			t.Errorf("rows %d and %d have one digest", i, j)
		}
		seen[digest] = i
	}
}

// The name of a user says nothing of what a row does.
func TestANameIsNotInTheDigest(t *testing.T) {
	row := func(name string) *Append {
		return &Append{Kind: chat.KindMemberAdded, Member: &chat.Member{User: chat.User{ID: "ana", Name: name}}}
	}
	a, _ := Digest(row("Ana"), nil)
	if b, _ := Digest(row("Ana María"), nil); a != b {
		t.Errorf("Digest = %#x and %#x, want them the same", a, b)
	}
}
