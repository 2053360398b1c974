package migrate

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

// users are those of a filled store; the ids sort otherwise in a language than
// byte by byte.
var users = []chat.UserID{"ana", "Bob", "_c", "ñandú", "Z", "a-b", "😀"}

// tokens are ids of which some are revoked.
var tokens = []string{"t0", "t1", "t2", "t3"}

// filled is a data folder with so many batches of everything that there is.
func filled(t *testing.T, rnd *rand.Rand, batches int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := filler{t: t, rnd: rnd, s: s}
	for range batches {
		f.append()
		if rnd.IntN(4) == 0 {
			f.beside()
		}
	}
	return dir
}

type filler struct {
	t   *testing.T
	rnd *rand.Rand
	s   *sqlite.Store
	n   int // nonces given
}

func (f *filler) room() chat.RoomID {
	return []chat.RoomID{"general", "General", "_", "room-1", "room:2", "a", "B", "z"}[f.rnd.IntN(8)]
}

func (f *filler) user() chat.User {
	id := users[f.rnd.IntN(len(users))]
	return chat.User{ID: id, Name: []string{"", "Name of " + string(id), `quoted "\`}[f.rnd.IntN(3)]}
}

// append stores a batch; what is refused is left out by the store.
func (f *filler) append() {
	rows := make([]store.Append, 1+f.rnd.IntN(20))
	for i := range rows {
		rows[i] = f.row()
	}
	if _, err := f.s.Append(f.t.Context(), rows); err != nil {
		f.t.Fatal(err)
	}
}

func (f *filler) row() store.Append {
	row := store.Append{
		Room: f.room(), Kind: chat.KindMessage, Actor: f.user(), MayCreate: true,
		Body: chat.MessageBody(fmt.Sprintf("said \u2028 \\ %d, ¿sí? 😀", f.rnd.Uint32())),
	}
	if f.n++; f.rnd.IntN(3) > 0 {
		row.Nonce = chat.Nonce(fmt.Sprint("n-", f.n-f.rnd.IntN(2))) // now and then a repeat
	}
	subject := f.user()
	switch f.rnd.IntN(12) {
	case 0, 1:
		row.Kind, row.Target = chat.KindMessageEdited, f.rnd.Uint64N(50)
	case 2:
		row.Kind, row.Target, row.Body = chat.KindMessageDeleted, f.rnd.Uint64N(200), []byte(`{}`)
	case 3:
		row.Kind, row.Body = chat.KindMemberRole, []byte(`{}`)
		row.Member = &chat.Member{User: subject, State: chat.State(f.rnd.IntN(4)), Role: chat.Role(1 + f.rnd.IntN(3))}
	case 4:
		row.Kind, row.Body = chat.KindRoomUpdated, []byte(`{}`)
		row.Settings = &chat.Settings{
			Access: chat.Access(f.rnd.IntN(4)), Title: "Title ñ", Topic: "topic", Archived: f.rnd.IntN(4) == 0,
			Keep: chat.Retention{Age: time.Hour, Events: f.rnd.Int64N(1000)},
		}
	case 5:
		if f.rnd.IntN(10) == 0 {
			row.Kind, row.Member, row.Body = chat.KindMessagesErased, &chat.Member{User: subject}, []byte(`{}`)
		}
	}
	return row
}

// beside changes what is no event.
func (f *filler) beside() {
	ctx, user, yes := f.t.Context(), f.user(), f.rnd.IntN(2) == 0
	_, err := f.s.Mark(ctx, []store.Mark{{Room: f.room(), User: user, Read: f.rnd.Uint64N(100), Delivered: f.rnd.Uint64N(150), Private: &yes, Trusted: true}})
	f.must(err)
	switch f.rnd.IntN(5) {
	case 0:
		_, err = f.s.PutAccount(ctx, chat.Account{User: user, Disabled: yes})
	case 1:
		err = f.s.Seen(ctx, []chat.User{user}, time.Now())
	case 2:
		err = f.s.Revoke(ctx, user.ID, time.Now())
	case 3:
		err = f.s.RevokeToken(ctx, tokens[f.rnd.IntN(len(tokens))], time.Now().Add(time.Hour))
	case 4:
		_, _, err = f.s.Trim(ctx, f.room(), chat.Retention{Events: 30})
	}
	f.must(err)
}

func (f *filler) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}
