package room

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// The authorization matrix G11 for rooms: every verb, asked by every kind of
// principal, in every kind of room.

// The columns of the matrix, in the order of the letters in it.
var principals = []string{"stranger", "invited", "member", "moderator", "owner", "banned", "left", "service", "disabled"}

// The rows of each verb, in the order of the lines in it.
var roomKinds = []string{"open", "public", "private", "direct", "archived", "none"}

var matrixCodes = map[byte]chat.Code{
	'.': "", // goes well
	'A': chat.RoomReadOnly,
	'B': chat.Banned,
	'F': chat.Forbidden,
	'M': chat.MemberNotFound,
	'N': chat.RoomNotFound,
	'R': chat.ReservedRoom,
	'U': chat.UserNotFound,
	'X': chat.RoomExists,
}

// In the room are, beside the principals, a victim who is a member, a second
// owner and somebody who is banned. The message is the member's. The direct
// room is the member's and the victim's; to the others it does not exist.
var matrix = map[string][]string{
	"Room":        {"........F", "........F", "N....BN.F", "NN.NNNN.F", "........F", "NNNNNNNNF"},
	"EnterAt":     {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Enter":       {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"EnterAll":    {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"History":     {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Message":     {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Members":     {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Member":      {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Marks":       {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Mark":        {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Post":        {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FFAAABF.F", "NNNNNNNNF"},
	"Typing":      {".....B..F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FFAAABF.F", "NNNNNNNNF"},
	"Edit":        {"FF.FFBF.F", "FF.FFBF.F", "NF.FFBN.F", "NN.NNNN.F", "FFAAABF.F", "NNNNNNNNF"},
	"Delete":      {"FF...BF.F", "FF...BF.F", "NF...BN.F", "NN.NNNN.F", "FFAAABF.F", "NNNNNNNNF"},
	"Join":        {".....B..F", ".....B..F", "N....BN.F", "NN.NNNN.F", ".....B..F", "NNNNNNNNF"},
	"Leave":       {"M....BMMF", "M....BMMF", "N....BNMF", "NNFNNNNMF", "M....BMMF", "NNNNNNNNF"},
	"Invite":      {"FFFFFBF.F", "FF...BF.F", "NF...BN.F", "NNFNNNN.F", "FF...BF.F", "NNNNNNNNF"},
	"Add":         {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFFNF"},
	"Remove":      {"FFF..BF.F", "FFF..BF.F", "NFF..BN.F", "NNFNNNN.F", "FFF..BF.F", "NNNNNNNNF"},
	"Ban":         {"FFF..BF.F", "FFF..BF.F", "NFF..BN.F", "NNFNNNN.F", "FFF..BF.F", "NNNNNNNNF"},
	"Unban":       {"FFF..BF.F", "FFF..BF.F", "NFF..BN.F", "NNFNNNNMF", "FFF..BF.F", "NNNNNNNNF"},
	"SetRole":     {"FFFF.BF.F", "FFFF.BF.F", "NFFF.BN.F", "NNFNNNN.F", "FFFF.BF.F", "NNNNNNNNF"},
	"Update":      {"FFFF.BF.F", "FFFF.BF.F", "NFFF.BN.F", "NNFNNNN.F", "FFFF.BF.F", "NNNNNNNNF"},
	"Create":      {"XXXXXXXXF", "XXXXXXXXF", "XXXXXXXXF", "RRRRRRRRF", "XXXXXXXXF", "........F"},
	"Direct":      {"........F", "........F", "........F", "........F", "........F", "........F"},
	"Rooms":       {"........F", "........F", "........F", "........F", "........F", "........F"},
	"Standings":   {"........F", "........F", "........F", "........F", "........F", "........F"},
	"Account":     {"U....UU.F", "UU...UU.F", "UU...UU.F", "UU.UUUU.F", "UU...UU.F", "UUUUUUU.F"},
	"PutAccount":  {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F"},
	"Accounts":    {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F"},
	"Revoke":      {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F"},
	"RevokeToken": {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F"},
	"Erase":       {"FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F", "FFFFFFF.F"},
}

// lifeOfService are the methods that nobody asks for.
var lifeOfService = map[string]bool{"Log": true, "Drain": true, "Close": true, "Seen": true, "Counts": true}

// cell is one call: a room of its own, and who asks.
type cell struct {
	s       *Service
	t       *testing.T
	by      chat.Principal
	room    chat.RoomID
	message int64
	n       int
}

// user is a user of this cell alone.
func (c *cell) user(name string) chat.User {
	return chat.User{ID: chat.UserID(fmt.Sprintf("%s-%d", name, c.n)), Name: name}
}

var calls = map[string]func(*cell) error{
	"Room": func(c *cell) error { _, err := c.s.Room(c.t.Context(), c.by, c.room); return err },
	"EnterAt": func(c *cell) error {
		return c.s.EnterAt(c.t.Context(), c.by, c.room, c.s.Log().Epoch(), 0)
	},
	"EnterAll": func(c *cell) error { return c.s.EnterAll(c.t.Context(), c.by, []chat.RoomID{c.room}, false)[0].Err },
	"Enter":    func(c *cell) error { _, err := c.s.Enter(c.t.Context(), c.by, c.room); return err },
	"History":  func(c *cell) error { _, err := c.s.History(c.t.Context(), c.by, c.room, Range{Limit: 10}); return err },
	"Message":  func(c *cell) error { _, err := c.s.Message(c.t.Context(), c.by, c.room, c.message); return err },
	"Members":  func(c *cell) error { _, err := c.s.Members(c.t.Context(), c.by, c.room, nil, "", 10); return err },
	"Member": func(c *cell) error {
		_, err := c.s.Member(c.t.Context(), c.by, c.room, c.user("victim").ID)
		return err
	},
	"Marks": func(c *cell) error { _, err := c.s.Marks(c.t.Context(), c.by, c.room, "", 10); return err },
	"Mark":  func(c *cell) error { _, err := c.s.Mark(c.t.Context(), c.by, c.room, Mark{Read: 1}); return err },
	"Post": func(c *cell) error {
		return wait(func(done func(Posted, error)) { c.s.Post(Post{Room: c.room, By: c.by, Content: "x"}, done) })
	},
	"Typing": func(c *cell) error { return c.s.Typing(c.t.Context(), c.by, c.room, true) },
	"Edit": func(c *cell) error {
		return wait(func(done func(Posted, error)) {
			c.s.Edit(c.t.Context(), Edit{Room: c.room, By: c.by, Message: c.message, Content: "y"}, done)
		})
	},
	"Delete": func(c *cell) error {
		return wait(func(done func(Posted, error)) {
			c.s.Delete(c.t.Context(), Delete{Room: c.room, By: c.by, Message: c.message}, done)
		})
	},
	"Join":   func(c *cell) error { _, err := c.s.Join(c.t.Context(), c.by, c.room); return err },
	"Leave":  func(c *cell) error { return c.s.Leave(c.t.Context(), c.by, c.room) },
	"Invite": func(c *cell) error { _, err := c.s.Invite(c.t.Context(), c.by, c.room, c.user("new")); return err },
	"Add": func(c *cell) error {
		_, err := c.s.Add(c.t.Context(), c.by, c.room, c.user("new"), chat.RoleModerator)
		return err
	},
	"Remove": func(c *cell) error { return c.s.Remove(c.t.Context(), c.by, c.room, c.user("victim").ID, "why") },
	"Ban":    func(c *cell) error { return c.s.Ban(c.t.Context(), c.by, c.room, c.user("new"), "why") },
	"Unban":  func(c *cell) error { return c.s.Unban(c.t.Context(), c.by, c.room, c.user("bad").ID) },
	"SetRole": func(c *cell) error {
		_, err := c.s.SetRole(c.t.Context(), c.by, c.room, c.user("victim").ID, chat.RoleModerator)
		return err
	},
	"Update": func(c *cell) error {
		title := "other"
		_, err := c.s.Update(c.t.Context(), c.by, c.room, Changes{Title: &title})
		return err
	},
	"Create": func(c *cell) error {
		_, err := c.s.Create(c.t.Context(), c.by, Create{Room: c.room, Settings: chat.Settings{Access: chat.AccessPrivate}})
		return err
	},
	"Direct":    func(c *cell) error { _, err := c.s.Direct(c.t.Context(), c.by, c.user("new")); return err },
	"Rooms":     func(c *cell) error { _, err := c.s.Rooms(c.t.Context(), c.by, "", 10); return err },
	"Standings": func(c *cell) error { _, err := c.s.Standings(c.t.Context(), c.by, "", 10); return err },
	"Account": func(c *cell) error {
		if err := c.s.store.Seen(c.t.Context(), []chat.User{c.user("victim")}, time.Now()); err != nil {
			return err
		}
		_, err := c.s.Account(c.t.Context(), c.by, c.user("victim").ID)
		return err
	},
	"PutAccount": func(c *cell) error {
		_, err := c.s.PutAccount(c.t.Context(), c.by, chat.Account{User: c.user("new")})
		return err
	},
	"Accounts":    func(c *cell) error { _, err := c.s.Accounts(c.t.Context(), c.by, "", 10); return err },
	"Revoke":      func(c *cell) error { return c.s.Revoke(c.t.Context(), c.by, c.user("victim").ID) },
	"RevokeToken": func(c *cell) error { return c.s.RevokeToken(c.t.Context(), c.by, "id", c.user("victim").ID) },
	"Erase":       func(c *cell) error { _, err := c.s.Erase(c.t.Context(), c.by, c.user("member").ID); return err },
}

// wait turns a verb that answers by a callback into one that returns.
func wait(verb func(done func(Posted, error))) error {
	answered := make(chan error, 1)
	verb(func(_ Posted, err error) { answered <- err })
	return <-answered
}

var disabledUser = chat.User{ID: "disabled", Name: "disabled"}

func TestAuthorizationMatrix(t *testing.T) {
	s := overSQLite(t, Config{})
	if _, err := s.PutAccount(t.Context(), service, chat.Account{User: disabledUser, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for verb := range reflect.TypeFor[*Service]().Methods() {
		rows := matrix[verb.Name]
		if lifeOfService[verb.Name] {
			continue
		}
		if len(rows) != len(roomKinds) || calls[verb.Name] == nil {
			t.Errorf("the matrix has no rows for the verb %s", verb.Name)
			continue
		}
		t.Run(verb.Name, func(t *testing.T) {
			for k, kind := range roomKinds {
				for p, principal := range principals {
					n++
					checkCell(t, s, verb.Name, kind, principal, matrixCodes[rows[k][p]], n)
				}
			}
		})
	}
	t.Logf("%d cells", n)
}

func checkCell(t *testing.T, s *Service, verb, kind, principal string, want chat.Code, n int) {
	t.Helper()
	c := &cell{s: s, t: t, n: n}
	c.by.User = c.user(principal)
	switch principal {
	case "service":
		c.by.Service = true
	case "disabled":
		c.by.User = disabledUser
	}
	c.setUp(kind)
	err := calls[verb](c)
	var got chat.Code
	if e, ok := errors.AsType[*chat.Error](err); ok {
		if got = e.Code; got == chat.RoomNotFound && e.Message != notFound(c.room).Message {
			t.Errorf("%s by %s in a room of kind %s: %q, want the sentence for a room that does not exist", verb, principal, kind, e.Message)
		}
	} else if err != nil {
		t.Fatalf("%s by %s in a room of kind %s = %v, want a *chat.Error", verb, principal, kind, err)
	}
	if got != want {
		t.Errorf("%s by %s in a room of kind %s = %v, want %q", verb, principal, kind, err, want)
	}
}

// setUp makes the room of a cell, in one batch.
func (c *cell) setUp(kind string) {
	c.t.Helper()
	c.room = chat.RoomID(fmt.Sprintf("room-%d", c.n))
	if kind == "direct" {
		c.room = chat.DirectRoomID(c.user("member").ID, c.user("victim").ID)
	}
	if kind == "none" {
		c.message = 1
		return
	}
	settings := chat.Settings{Access: chat.AccessPublic, Archived: kind == "archived"}
	if access, ok := chat.ParseAccess(kind); ok {
		settings.Access = access
	}
	rows := []store.Append{{Room: c.room, Kind: chat.KindRoomCreated, Body: chat.SettingsBody(settings), MayCreate: true, Settings: &settings}}
	stand := func(user chat.User, state chat.State, role chat.Role) {
		m := chat.Member{User: user, State: state, Role: role}
		rows = append(rows, memberRow(service, c.room, chat.KindMemberAdded, m, ""))
	}
	stand(c.user("member"), chat.StateJoined, chat.RoleMember)
	stand(c.user("victim"), chat.StateJoined, chat.RoleMember)
	if kind != "direct" {
		stand(c.user("invited"), chat.StateInvited, chat.RoleMember)
		stand(c.user("moderator"), chat.StateJoined, chat.RoleModerator)
		stand(c.user("owner"), chat.StateJoined, chat.RoleOwner)
		stand(c.user("owner2"), chat.StateJoined, chat.RoleOwner)
		stand(c.user("banned"), chat.StateBanned, chat.RoleNone)
		stand(c.user("bad"), chat.StateBanned, chat.RoleNone)
		stand(c.user("left"), chat.StateJoined, chat.RoleMember)
		stand(c.user("left"), chat.StateNone, chat.RoleNone)
		stand(disabledUser, chat.StateJoined, chat.RoleMember)
	}
	rows = append(rows, store.Append{Room: c.room, Kind: chat.KindMessage, Actor: c.user("member"), Body: chat.MessageBody("hi")})
	done, err := c.s.store.Append(c.t.Context(), rows)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range done {
		if r.Err != nil {
			c.t.Fatal(r.Err)
		}
	}
	c.message = done[len(done)-1].Event.ID
}

// overSQLite is a Service over SQLite and a local bus.
func overSQLite(t *testing.T, cfg Config) *Service {
	t.Helper()
	cfg.Store, cfg.Bus = openSQLite(t, t.TempDir()), local.New()
	cfg.Fatal = func(err error) { t.Error(err) }
	s := New(cfg)
	t.Cleanup(func() {
		s.Close()
		cfg.Bus.Close()
		if err := cfg.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Can says of itself what the matrix says of the verbs: its table has a line
// for every action, and a service may do everything.
func TestCanKnowsEveryAction(t *testing.T) {
	if got, want := len(demands), int(ActManage)+1; got != want {
		t.Fatalf("demands has %d actions, want %d", got, want)
	}
	for act := ActSee; act <= ActManage; act++ {
		d := demands[act]
		if (d.role > chat.RoleNone || len(d.never) > 0) && !strings.HasSuffix(d.refusal, ".") {
			t.Errorf("action %d has no sentence for who may not take it", act)
		}
		if err := Can(service, act, chat.Room{}, chat.Member{State: chat.StateBanned}); err != nil {
			t.Errorf("Can(service, %d) = %v, want nil", act, err)
		}
	}
}
