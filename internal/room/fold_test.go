package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/store"
)

// A room as its log tells it: what [fold] makes of the events alone, from the
// bodies that clients get.
type told struct {
	settings settingsBody
	members  map[chat.UserID]string // "state role", of those who have any
	says     map[int64]string       // body, by the message's id
	author   map[int64]chat.UserID
}

type settingsBody struct {
	Access   string `json:"access"`
	Title    string `json:"title"`
	Topic    string `json:"topic"`
	Archived bool   `json:"archived"`
}

func newTold() *told {
	return &told{settings: settingsBody{Access: "open"}, members: map[chat.UserID]string{}, says: map[int64]string{}, author: map[int64]chat.UserID{}}
}

// fold takes one event. A message is taken as it was posted; what has become
// of it is said by the events that follow.
func (r *told) fold(e *chat.Event, posted string) error {
	switch e.Kind {
	case chat.KindMessage:
		r.says[e.ID], r.author[e.ID] = posted, e.Actor.ID
	case chat.KindMessageEdited:
		if r.says[e.TargetID] != "{}" { // nothing comes after a deletion
			r.says[e.TargetID] = string(e.Body)
		}
	case chat.KindMessageDeleted:
		r.says[e.TargetID] = "{}"
	case chat.KindMessagesErased:
		for id, author := range r.author {
			if author == e.Subject {
				r.says[id] = "{}"
			}
		}
	case chat.KindRoomCreated, chat.KindRoomUpdated:
		return json.Unmarshal(e.Body, &r.settings)
	default:
		return r.foldMember(e)
	}
	return nil
}

func (r *told) foldMember(e *chat.Event) error {
	var body struct {
		Member struct {
			UserID chat.UserID `json:"user_id"`
			State  string      `json:"state"`
			Role   string      `json:"role"`
		} `json:"member"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return err
	}
	m := body.Member
	if m.UserID != e.Subject {
		return fmt.Errorf("event %d is about %q and carries the member %q", e.Seq, e.Subject, m.UserID)
	}
	if r.members[m.UserID] = m.State + " " + m.Role; m.State == "none" {
		delete(r.members, m.UserID)
	}
	return nil
}

// may is an independent account of the rights, in the words of the bodies:
// what a user may do in a room that exists.
func (r *told) may(user chat.UserID, act string) bool {
	open := r.settings.Access == "open"
	var state, role string
	if _, err := fmt.Sscan(r.members[user], &state, &role); err != nil {
		state = "none"
	}
	switch in := state == "joined"; act {
	case "join":
		return state != "banned" && (in || state == "invited" || open || r.settings.Access == "public")
	case "post":
		return (in || open && state != "banned") && !r.settings.Archived
	case "invite":
		return in && !open
	case "manage":
		return in && role == "owner"
	}
	panic(act)
}

// chronicle is a node on which users do at random what they may and may not.
type chronicle struct {
	s      *Service
	rooms  []chat.RoomID
	users  []chat.User
	posted map[int64]string // by the message's id, as it was posted
	states map[chat.RoomID]*told
	read   map[chat.RoomID]uint64 // how far states is
}

// TestTheStateIsWhatTheLogSays: for each action, the state before plus the
// events is the state after, and who may do what is as an independent table
// says.
func TestTheStateIsWhatTheLogSays(t *testing.T) {
	s := overSQLite(t, Config{})
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := &chronicle{s: s, posted: map[int64]string{}, states: map[chat.RoomID]*told{}, read: map[chat.RoomID]uint64{}}
		for i := range 4 {
			c.users = append(c.users, chat.User{ID: chat.UserID(fmt.Sprintf("u%d", i)), Name: fmt.Sprint("U", i)})
		}
		for i, access := range []chat.Access{chat.AccessOpen, chat.AccessPublic, chat.AccessPrivate} {
			c.begin(rt, chat.RoomID(fmt.Sprintf("run%d-%d", run, i)), access)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			c.step(rt)
		}
		for _, id := range c.rooms {
			c.compare(rt, id)
		}
	})
}

func (c *chronicle) begin(t *rapid.T, id chat.RoomID, access chat.Access) {
	by := chat.Principal{User: c.users[0], Service: access == chat.AccessOpen}
	if _, err := c.s.Create(t.Context(), by, Create{Room: id, Settings: chat.Settings{Access: access}, Members: c.users[1:2]}); err != nil {
		t.Fatalf("Create = %v", err)
	}
	c.rooms = append(c.rooms, id)
	c.states[id] = newTold()
	c.catchUp(t, id)
}

// catchUp folds the events that have come since.
func (c *chronicle) catchUp(t *rapid.T, id chat.RoomID) {
	page, err := c.s.Log().After(t.Context(), id, c.read[id], store.Limit{Events: 1000, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Events {
		e := &page.Events[i]
		if c.read[id]++; e.Seq != c.read[id] {
			t.Fatalf("event %d follows %d", e.Seq, c.read[id]-1)
		}
		if err := c.states[id].fold(e, c.posted[e.ID]); err != nil {
			t.Fatal(err)
		}
	}
}

// step has somebody do something, and looks at whether it might.
func (c *chronicle) step(t *rapid.T) {
	id := rapid.SampledFrom(c.rooms).Draw(t, "room")
	user := rapid.SampledFrom(c.users).Draw(t, "user")
	other := rapid.SampledFrom(c.users).Draw(t, "other")
	by, ctx, room := chat.Principal{User: user}, t.Context(), c.states[id]
	message := c.anyMessage(t, room)
	var err error
	asked := "" // of may
	switch verb := rapid.SampledFrom([]string{"post", "edit", "delete", "join", "leave", "invite", "remove", "ban", "unban", "role", "update", "add", "erase", "archive"}).Draw(t, "verb"); verb {
	case "post":
		asked, err = verb, c.post(by, id, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "content"))
	case "edit":
		err = wait(func(done func(Posted, error)) {
			c.s.Edit(ctx, Edit{Room: id, By: by, Message: message, Content: "edited"}, done)
		})
	case "delete":
		err = wait(func(done func(Posted, error)) { c.s.Delete(ctx, Delete{Room: id, By: by, Message: message}, done) })
	case "join":
		asked = verb
		_, err = c.s.Join(ctx, by, id)
	case "leave":
		err = c.s.Leave(ctx, by, id)
	case "invite":
		if room.members[other.ID] != "banned none" {
			asked = verb
		}
		_, err = c.s.Invite(ctx, by, id, other)
	case "remove":
		err = c.s.Remove(ctx, by, id, other.ID, "")
	case "ban":
		err = c.s.Ban(ctx, by, id, other, "")
	case "unban":
		err = c.s.Unban(ctx, by, id, other.ID)
	case "role":
		_, err = c.s.SetRole(ctx, by, id, other.ID, rapid.SampledFrom([]chat.Role{chat.RoleMember, chat.RoleModerator, chat.RoleOwner}).Draw(t, "role"))
	case "update":
		asked = "manage"
		title := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "title")
		_, err = c.s.Update(ctx, by, id, Changes{Title: &title})
	case "archive":
		asked = "manage"
		archived := rapid.Bool().Draw(t, "archived")
		_, err = c.s.Update(ctx, by, id, Changes{Archived: &archived})
	case "add":
		_, err = c.s.Add(ctx, service, id, other, chat.RoleOwner)
	case "erase":
		_, err = c.s.Erase(ctx, service, other.ID)
	}
	if err != nil && (!isRefusal(err) || hasCode(err, chat.Internal) || hasCode(err, chat.StoreUnavailable)) {
		t.Fatalf("%v is no refusal", err)
	}
	if asked != "" && (err == nil) != room.may(user.ID, asked) {
		t.Errorf("%s by %s (%s) in a room with %+v = %v, want allowed: %v", asked, user.ID, room.members[user.ID], room.settings, err, room.may(user.ID, asked))
	}
	for _, id := range c.rooms {
		c.catchUp(t, id)
	}
}

func isRefusal(err error) bool {
	_, ok := err.(*chat.Error)
	return ok
}

func (c *chronicle) anyMessage(t *rapid.T, room *told) int64 {
	ids := append(slices.Sorted(maps.Keys(room.says)), 0) // 0 is nobody's
	return rapid.SampledFrom(ids).Draw(t, "message")
}

func (c *chronicle) post(by chat.Principal, id chat.RoomID, content string) error {
	return wait(func(done func(Posted, error)) {
		c.s.Post(Post{Room: id, By: by, Content: content}, func(p Posted, err error) {
			if err == nil {
				c.posted[p.Event.ID] = string(p.Event.Body)
			}
			done(p, err)
		})
	})
}

// compare looks at the state that the store keeps.
func (c *chronicle) compare(t *rapid.T, id chat.RoomID) {
	at, err := c.s.Room(t.Context(), service, id)
	if err != nil {
		t.Fatal(err)
	}
	want := c.states[id]
	got := settingsBody{at.Room.Access.String(), at.Room.Title, at.Room.Topic, at.Room.Archived}
	if got != want.settings {
		t.Errorf("the settings of %s are %+v, want %+v as the log says", id, got, want.settings)
	}
	every := []chat.State{chat.StateInvited, chat.StateJoined, chat.StateBanned}
	members, err := c.s.Members(t.Context(), service, id, every, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	standings, joined := map[chat.UserID]string{}, 0
	for _, m := range members {
		standings[m.User.ID] = m.State.String() + " " + m.Role.String()
		if m.State == chat.StateJoined {
			joined++
		}
	}
	if !maps.Equal(standings, want.members) || at.Room.Members != joined {
		t.Errorf("the members of %s are %v (%d have joined), want %v as the log says", id, standings, at.Room.Members, want.members)
	}
	h, err := c.s.History(t.Context(), service, id, Range{Limit: MaxPage, Only: chat.KindMessage})
	if err != nil {
		t.Fatal(err)
	}
	says := map[int64]string{}
	for _, e := range h.Events {
		says[e.ID] = string(e.Body)
	}
	if !maps.Equal(says, want.says) {
		t.Errorf("the messages of %s are %v, want %v as the log says", id, says, want.says)
	}
}
