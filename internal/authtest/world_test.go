package authtest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/oncluster"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// workers is how many cells are tried at a time.
const workers = 8

// cell is one question: who asks for what in a room of its own, and the
// answer that the table has.
type cell struct {
	n       int
	row     string
	who     string
	kind    string
	want    byte
	room    chat.RoomID
	message int64 // the member's, in the room
	foreign int64 // in another room
	before  state // of the room, before anybody has asked
}

func (c *cell) String() string {
	return fmt.Sprintf("%s by %s in a room of kind %s", c.row, c.who, c.kind)
}

// user is a user of this cell alone, except for those who are known to the
// server by more than their token.
func (c *cell) user(name string) chat.User {
	switch name {
	case "disabled", "revoked":
		return chat.User{ID: chat.UserID(name), Name: "Name of " + name}
	case "stranger":
		return chat.User{ID: partnerPrefix + c.user("owner").ID, Name: c.user("owner").Name}
	}
	return chat.User{ID: chat.UserID(fmt.Sprintf("%s-%d", name, c.n)), Name: "Name of " + name}
}

// credential returns the headers with which a cell's principal asks. Those who
// are nobody have a token that would be the owner's, had it been good.
func (c *cell) credential(t *testing.T) http.Header {
	h := make(http.Header)
	owner := c.user("owner")
	bearer := func(token string) http.Header {
		h.Set("Authorization", "Bearer "+token)
		return h
	}
	switch c.who {
	case "anonymous":
		return h
	case "bad token":
		good := tokenOf(t, owner, time.Minute, time.Hour)
		head, signature, _ := cutLast(good, ".")
		return bearer(head + "." + strings.Repeat("A", len(signature)))
	case "expired token":
		return bearer(tokenOf(t, owner, 2*time.Hour, time.Hour))
	case "other key":
		return bearer(signed(t, partnerSecret, issuer, owner, time.Minute, time.Hour))
	case "service", "acting":
		if c.who == "acting" {
			h.Set(auth.UserHeader, string(c.user("member").ID))
		}
		return bearer(serviceKey)
	}
	return bearer(tokenOf(t, c.user(c.who), time.Minute, time.Hour))
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	return s[:i], s[i+len(sep):], i >= 0
}

// state is what refusals must leave as it is: the room, its log's head among
// it, and everybody's standing and mark.
type state struct {
	room    chat.Room
	members []chat.Member
}

var allStates = []chat.State{chat.StateNone, chat.StateInvited, chat.StateJoined, chat.StateBanned}

func stateOf(t *testing.T, st store.Store, id chat.RoomID) state {
	t.Helper()
	r, err := st.Room(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	members, err := st.Members(t.Context(), id, allStates, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return state{r, members}
}

// place returns where a store of the test's own is: a folder, or the URL of a
// database for a cluster.
func place(t *testing.T) string {
	t.Helper()
	if oncluster.Now() {
		return servicetest.Database(t)
	}
	return t.TempDir()
}

func open(t *testing.T, dir string) store.Store {
	t.Helper()
	var st store.Store
	var err error
	if oncluster.Now() {
		st, err = postgres.Open(t.Context(), postgres.Config{URL: dir, Logger: slog.New(slog.DiscardHandler)})
	} else {
		st, err = sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// build makes the rooms of all cells before the server starts, for that is
// much faster than asking it.
func build(t *testing.T, dir string, cells []*cell) {
	t.Helper()
	st := open(t, dir)
	foreign := &cell{n: 0, kind: "private"}
	foreign.settle(t, st)
	var users []chat.User
	for _, c := range cells {
		c.settle(t, st)
		c.foreign = foreign.message
		c.before = stateOf(t, st, c.room)
		users = append(users, c.user("victim"))
	}
	_, err := st.PutAccount(t.Context(), chat.Account{User: foreign.user("disabled"), Disabled: true})
	err = errors.Join(err,
		st.Revoke(t.Context(), "revoked", time.Now()),
		st.Seen(t.Context(), users, time.Now()),
		st.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// settle makes the room of a cell. In it are, beside the principals, a victim
// who is a member, a second owner and somebody who is banned; the message is
// the member's. The direct room is the member's and the victim's.
func (c *cell) settle(t *testing.T, st store.Store) {
	t.Helper()
	c.room, c.message = chat.RoomID(fmt.Sprintf("room-%d", c.n)), 1
	switch c.kind {
	case "reserved":
		c.room = "stats"
		return
	case "nonexistent":
		return
	case "direct":
		c.room = chat.DirectRoomID(c.user("member").ID, c.user("victim").ID)
	}
	done, err := st.Append(t.Context(), c.rows())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range done {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	c.message = done[len(done)-1].Event.ID
}

func (c *cell) rows() []store.Append {
	settings := chat.Settings{Access: chat.AccessPublic, Archived: c.kind == "archived", Title: "Name of the room"}
	if access, ok := chat.ParseAccess(c.kind); ok {
		settings.Access = access
	}
	rows := []store.Append{{Room: c.room, Kind: chat.KindRoomCreated, Body: chat.SettingsBody(settings), MayCreate: true, Settings: &settings}}
	stand := func(name string, state chat.State, role chat.Role) {
		m := chat.Member{User: c.user(name), State: state, Role: role}
		rows = append(rows, store.Append{Room: c.room, Kind: chat.KindMemberAdded, Body: chat.MemberBody(m, ""), Member: &m})
	}
	stand("member", chat.StateJoined, chat.RoleMember)
	stand("victim", chat.StateJoined, chat.RoleMember)
	if c.kind != "direct" {
		stand("invited", chat.StateInvited, chat.RoleMember)
		stand("moderator", chat.StateJoined, chat.RoleModerator)
		stand("owner", chat.StateJoined, chat.RoleOwner)
		stand("owner2", chat.StateJoined, chat.RoleOwner)
		stand("banned", chat.StateBanned, chat.RoleNone)
		stand("bad", chat.StateBanned, chat.RoleNone)
		for _, name := range []string{"left", "removed"} {
			stand(name, chat.StateJoined, chat.RoleMember)
			stand(name, chat.StateNone, chat.RoleNone)
		}
		stand("disabled", chat.StateJoined, chat.RoleOwner)
		stand("revoked", chat.StateJoined, chat.RoleOwner)
	}
	return append(rows, store.Append{Room: c.room, Kind: chat.KindMessage, Actor: c.user("member"), Body: chat.MessageBody("a secret")})
}

// checkUnchanged holds the rooms of cells that were refused against what they
// were, once the server has let go of the folder.
func checkUnchanged(t *testing.T, dir string, cells []*cell) {
	t.Helper()
	st := open(t, dir)
	defer st.Close()
	for _, c := range cells {
		if c.want == '.' {
			continue
		}
		if now := stateOf(t, st, c.room); !reflect.DeepEqual(now, c.before) {
			t.Errorf("%s was refused and has changed the room:\ngot  %+v\nwant %+v", c, now, c.before)
		}
		if _, ok, err := st.Account(t.Context(), c.user("new").ID); ok || err != nil {
			t.Errorf("%s was refused and has made an account: %v, %v", c, ok, err)
		}
	}
}

// cellsOf spreads a table out into its cells.
func cellsOf(table map[string]row, n int) []*cell {
	var cells []*cell
	for _, name := range sortedKeys(table) {
		r := table[name]
		for k, kind := range kinds {
			if k >= len(r.rights) {
				break
			}
			answers := r.rights[k]
			if len(answers) < len(principals) {
				answers = r.strangers() + answers
			}
			for p, who := range principals {
				n++
				cells = append(cells, &cell{n: n, row: name, who: who, kind: kind, want: answers[p]})
			}
		}
	}
	return cells
}

// share is the part of all cells that is tried on a cluster, where each takes
// several times as long: one in so many, which divides neither the principals
// of a kind nor those of a row, so that each comes with each.
const share = 11

// some returns all cells, and on a cluster some of them.
func some(cells []*cell) []*cell {
	if !oncluster.Now() {
		return cells
	}
	var tried []*cell
	for i := 0; i < len(cells); i += share {
		tried = append(tried, cells[i])
	}
	return tried
}

// whileBusy tries, and tries again what the store of a busy machine has not
// answered in time, as the refusal says one should. What goes on being refused
// is taken as it is.
func whileBusy(try func() bool) {
	for end := time.Now().Add(patience); try() && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
}

func sortedKeys(table map[string]row) []string {
	var names []string
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
