package storetest

import (
	"context"
	"slices"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

var accountCases = []testCase{
	{"an account is made and changed", func(w *world) {
		ctx := context.Background()
		if a, ok, err := w.s.Account(ctx, "ana"); ok || err != nil {
			w.Errorf("Account = %+v, %v, %v, want false, nil", a, ok, err)
		}
		start := time.Now().Add(-time.Minute)
		made := w.put(chat.Account{User: named("ana"), CreatedAt: time.Unix(1, 0), SeenAt: time.Unix(1, 0), RevokedBefore: time.Unix(1, 0)})
		if made.CreatedAt.Before(start) || made.CreatedAt.After(start.Add(2*time.Minute)) || made.CreatedAt.Location() != time.UTC {
			w.Errorf("CreatedAt = %v, want about %v", made.CreatedAt, start)
		}
		if want := (chat.Account{User: named("ana"), CreatedAt: made.CreatedAt}); made != want {
			w.Errorf("PutAccount = %+v, want %+v", made, want)
		}
		w.wantAccount(made)
		want := made
		want.Name, want.Disabled = "Ana María", true
		if w.disabled(want.ID) {
			w.Errorf("who arrives is disabled, want not yet")
		}
		if got := w.put(chat.Account{User: want.User, Disabled: true}); got != want {
			w.Errorf("PutAccount = %+v, want %+v", got, want)
		}
		w.wantAccount(want)
		w.reopen()
		w.wantAccount(want)
		if !w.disabled(want.ID) || w.disabled("nobody") {
			w.Errorf("who arrives is not disabled, or others are")
		}
		want.Disabled = false
		w.put(chat.Account{User: want.User})
		w.wantAccount(want)
	}},
	{"accounts are listed in the order of their ids", func(w *world) {
		for _, id := range []chat.UserID{"b", "É", "a/1", "B", "漢", "a"} {
			w.put(chat.Account{User: named(id)})
		}
		for _, c := range []struct {
			after chat.UserID
			limit int
			want  []chat.UserID
		}{
			{"", 10, []chat.UserID{"B", "a", "a/1", "b", "É", "漢"}},
			{"", 2, []chat.UserID{"B", "a"}},
			{"a", 2, []chat.UserID{"a/1", "b"}},
			{"漢", 2, nil},
			{"", 0, nil},
			{"", -1, nil},
		} {
			accounts, err := w.s.Accounts(context.Background(), c.after, c.limit)
			if err != nil {
				w.Fatalf("Accounts: %v", err)
			}
			var got []chat.UserID
			for _, a := range accounts {
				got = append(got, a.ID)
				w.wantAccount(a)
			}
			if !slices.Equal(got, c.want) {
				w.Errorf("Accounts(%q, %d) = %q, want %q", c.after, c.limit, got, c.want)
			}
		}
	}},
	{"who was seen is noted and never goes back", func(w *world) {
		ctx := context.Background()
		made := w.put(chat.Account{User: named("ana"), Disabled: true})
		noon := time.Date(2030, 1, 2, 12, 0, 0, 5_999_999, time.UTC)
		for _, c := range []struct{ at, want time.Time }{
			{noon, noon.Truncate(time.Millisecond)},
			{noon.Add(-time.Hour), noon.Truncate(time.Millisecond)},
			{noon.Add(time.Hour), noon.Add(time.Hour).Truncate(time.Millisecond)},
		} {
			if err := w.s.Seen(ctx, []chat.User{{ID: "ana", Name: "other"}, named("bob"), named("bob")}, c.at); err != nil {
				w.Fatalf("Seen: %v", err)
			}
			want := made
			want.SeenAt = c.want
			w.wantAccount(want)
			bob, ok, err := w.s.Account(ctx, "bob")
			if !ok || err != nil || bob.SeenAt != c.want || bob.User != named("bob") || bob.CreatedAt.IsZero() {
				w.Errorf("Account(bob) = %+v, %v, %v, want one that was seen at %v", bob, ok, err, c.want)
			}
		}
		if err := w.s.Seen(ctx, nil, noon); err != nil {
			w.Errorf("Seen of nobody = %v, want nil", err)
		}
	}},
	{"tokens of a user are void from an instant that never goes back", func(w *world) {
		ctx := context.Background()
		noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
		for _, c := range []struct{ before, want time.Time }{
			{noon.Add(time.Second - 1), noon},
			{noon.Add(-time.Hour), noon},
			{noon.Add(time.Hour), noon.Add(time.Hour)},
		} {
			if err := w.s.Revoke(ctx, "ana", c.before); err != nil {
				w.Fatalf("Revoke: %v", err)
			}
			a, ok, err := w.s.Account(ctx, "ana")
			if !ok || err != nil || a.RevokedBefore != c.want || a.Name != "" || a.CreatedAt.IsZero() {
				w.Errorf("Account = %+v, %v, %v, want one revoked before %v", a, ok, err, c.want)
			}
		}
		if err := w.s.Seen(ctx, []chat.User{named("ana")}, noon); err != nil {
			w.Fatalf("Seen: %v", err)
		}
		a, _, err := w.s.Account(ctx, "ana")
		if err != nil || a.User != named("ana") || a.SeenAt != noon || a.RevokedBefore != noon.Add(time.Hour) {
			w.Errorf("Account after Seen = %+v, %v, want a name and both instants", a, err)
		}
		if got := w.put(chat.Account{User: named("ana"), Disabled: true}); got.RevokedBefore != a.RevokedBefore || got.SeenAt != noon {
			w.Errorf("PutAccount = %+v, want both instants as they were", got)
		}
	}},
	{"what stands against credentials is told in their order", func(w *world) {
		ctx := context.Background()
		noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
		w.put(chat.Account{User: named("ana")})
		w.put(chat.Account{User: named("bob"), Disabled: true})
		if err := w.s.Revoke(ctx, "eva", noon); err != nil {
			w.Fatalf("Revoke: %v", err)
		}
		if err := w.s.RevokeToken(ctx, "t1", time.Now().Add(time.Hour)); err != nil {
			w.Fatalf("RevokeToken: %v", err)
		}
		var asked []chat.Credential
		for _, c := range [][2]string{{"eva", "t1"}, {"nobody", "t2"}, {"bob", ""}, {"ana", "t1"}, {"ana", "T1"}, {"eva", ""}, {"ana", "t1"}} {
			asked = append(asked, chat.Credential{User: chat.UserID(c[0]), TokenID: c[1]})
		}
		want := []chat.Validity{{RevokedBefore: noon, TokenRevoked: true}, {}, {Disabled: true}, {TokenRevoked: true}, {}, {RevokedBefore: noon}, {TokenRevoked: true}}
		for _, n := range []int{len(asked), 1, 0} {
			if got, err := w.s.Validity(ctx, asked[:n]); err != nil || !slices.Equal(got, want[:n]) {
				w.Errorf("Validity of %d = %+v, %v, want %+v", n, got, err, want[:n])
			}
		}
		many := make([]chat.Credential, 1000)
		for i := range many {
			many[i] = asked[i%len(asked)]
		}
		got, err := w.s.Validity(ctx, many)
		if err != nil || len(got) != len(many) {
			w.Fatalf("Validity of %d = %d, %v", len(many), len(got), err)
		}
		for i := range got {
			if got[i] != want[i%len(want)] {
				w.Errorf("credential %d of many: %+v, want %+v", i, got[i], want[i%len(want)])
			}
		}
	}},
	{"a token is revoked until it has expired", func(w *world) {
		ctx := context.Background()
		hence := time.Now().Add(time.Hour)
		for _, id := range []string{"a", "A", "x'; --"} {
			if w.revoked(id) {
				w.Errorf("%q is revoked before it was", id)
			}
			for _, until := range []time.Time{hence, hence.Add(-2 * time.Hour)} { // the later holds
				if err := w.s.RevokeToken(ctx, id, until); err != nil {
					w.Fatalf("RevokeToken: %v", err)
				}
				if !w.revoked(id) {
					w.Errorf("%q is not revoked", id)
				}
			}
		}
		if err := w.s.RevokeToken(ctx, "long ago", time.Unix(1, 0)); err != nil {
			w.Errorf("RevokeToken of an expired one = %v, want nil", err)
		}
		w.reopen()
		if !w.revoked("a") || !w.revoked("A") || w.revoked("b") {
			w.Errorf("after reopening a, A, b are revoked %v, %v, %v, want true, true, false", w.revoked("a"), w.revoked("A"), w.revoked("b"))
		}
	}},
}

func (w *world) put(a chat.Account) chat.Account {
	w.Helper()
	got, err := w.s.PutAccount(context.Background(), a)
	if err != nil {
		w.Fatalf("PutAccount(%s) = %v, want nil", a.ID, err)
	}
	return got
}

func (w *world) wantAccount(want chat.Account) {
	w.Helper()
	if got, ok, err := w.s.Account(context.Background(), want.ID); got != want || !ok || err != nil {
		w.Errorf("Account = %+v, %v, %v, want %+v", got, ok, err, want)
	}
}

func (w *world) revoked(id string) bool {
	w.Helper()
	got, err := w.s.Validity(context.Background(), []chat.Credential{{User: "nobody", TokenID: id}})
	if err != nil || len(got) != 1 {
		w.Fatalf("Validity(%q) = %v, %v, want one", id, got, err)
	}
	return got[0].TokenRevoked
}

// disabled is what is known of a user's account where it comes into a room
// without a log.
func (w *world) disabled(user chat.UserID) bool {
	w.Helper()
	return w.arrivals(store.Arrival{Room: "nobody's", User: user})[0].Disabled
}
