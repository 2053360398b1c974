package inbox

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
)

// told makes notices comparable.
func told(notices []chat.Event) []string {
	out := make([]string, 0, len(notices))
	for _, e := range notices {
		word := map[chat.Kind]string{chat.KindUnread: "unread", chat.KindRoomChanged: "changed"}[e.Kind]
		out = append(out, fmt.Sprintf("%s %s %s", word, e.Room, e.Body))
	}
	return out
}

// want says what the device is told by now, since it was asked last.
func (s *screen) want(notices ...string) {
	s.w.t.Helper()
	synctest.Wait()
	_, got := s.shown()
	if fmt.Sprint(told(got)) != fmt.Sprint(notices) {
		s.w.t.Fatalf("user %s is told\n%q, want\n%q", s.by.User.ID, told(got), notices)
	}
}

// must fails the test if a verb fails.
func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var private = chat.Settings{Access: chat.AccessPrivate, Title: "Plans"}

// found makes a private room of Ana, Bob and Eva.
func (w *world) found(id chat.RoomID) {
	w.t.Helper()
	w.must(w.rooms().Create(context.Background(), ana, room.Create{Room: id, Settings: private, Members: []chat.User{bob.User, eva.User}}))
}

func TestMessagesAreCounted(t *testing.T) {
	inBubble(t, func(w *world) {
		w.found("plans")
		b, a := w.open(bob), w.open(ana)
		began := time.Now()
		w.must(nil, w.post(ana, "plans"))
		for !b.noticed() {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("the first change of a quiet room took %v, want at most 50 ms", took)
		}
		b.want(`unread plans {"read":0,"unread":1,"up_to":5}`)
		a.want(`unread plans {"read":5,"unread":0,"up_to":5}`)
		for range 10 {
			w.must(nil, w.post(ana, "plans"))
		}
		time.Sleep(900 * time.Millisecond)
		b.want()
		time.Sleep(200 * time.Millisecond)
		b.want(`unread plans {"read":0,"unread":11,"up_to":15}`)
		a.want(`unread plans {"read":15,"unread":0,"up_to":15}`)
		b.off()
		a.off()
	})
}

func TestMarksReachEveryDevice(t *testing.T) {
	inBubble(t, func(w *world) {
		w.found("plans")
		w.must(nil, w.post(ana, "plans"))
		phone, desk := w.open(bob), w.open(bob)
		w.must(w.rooms().Mark(context.Background(), bob, "plans", room.Mark{Read: 5}))
		time.Sleep(50 * time.Millisecond)
		phone.want(`unread plans {"read":5,"unread":0,"up_to":5}`)
		desk.want(`unread plans {"read":5,"unread":0,"up_to":5}`)
		phone.off()
		w.must(nil, w.post(bob, "plans"))
		time.Sleep(1100 * time.Millisecond)
		desk.want(`unread plans {"read":6,"unread":0,"up_to":6}`)
		desk.off()
	})
}

func TestRoomsComeAndGo(t *testing.T) {
	inBubble(t, func(w *world) {
		ctx := context.Background()
		w.must(w.rooms().Create(ctx, ana, room.Create{Room: "plans", Settings: private}))
		b := w.open(bob)
		line := func(settings string, version, members int, state, role string, read, unread, upTo int) string {
			return fmt.Sprintf(`changed plans {"room":"plans","settings":{"access":"private",%s,"version":%d,"members":%d},"my":{"state":"%s","role":"%s","read":%d,"delivered":%d,"unread":%d,"up_to":%d}}`,
				settings, version, members, state, role, read, read, unread, upTo)
		}
		plans := `"title":"Plans","topic":"","archived":false`
		pause := func() { time.Sleep(2 * time.Second) }
		w.must(w.rooms().Invite(ctx, ana, "plans", bob.User))
		pause()
		b.want(line(plans, 1, 1, "invited", "member", 0, 0, 3))
		w.must(w.rooms().Join(ctx, bob, "plans"))
		pause()
		b.want(line(plans, 1, 2, "joined", "member", 0, 0, 4))
		title := "Secret"
		w.must(w.rooms().Update(ctx, ana, "plans", room.Changes{Title: &title}))
		pause()
		b.want(line(`"title":"Secret","topic":"","archived":false`, 5, 2, "joined", "member", 0, 0, 5))
		w.must(w.rooms().SetRole(ctx, ana, "plans", bob.User.ID, chat.RoleModerator))
		pause()
		b.want(line(`"title":"Secret","topic":"","archived":false`, 5, 2, "joined", "moderator", 0, 0, 6))
		w.must(nil, w.rooms().Ban(ctx, ana, "plans", bob.User, ""))
		pause()
		b.want(`changed plans {"room":"plans","my":{"state":"banned","role":"none","read":0,"delivered":0,"unread":0,"up_to":0}}`)
		w.must(nil, w.post(ana, "plans"))
		pause()
		b.want()
		w.must(w.rooms().Mark(ctx, bob, "open", room.Mark{Read: 1}))
		w.must(nil, w.post(ana, "open"))
		w.must(w.rooms().Mark(ctx, bob, "open", room.Mark{Read: 1}))
		pause()
		b.want(`changed open {"room":"open","settings":{"access":"open","title":"","topic":"","archived":false,"version":0,"members":0},"my":{"state":"none","role":"member","read":1,"delivered":1,"unread":0,"up_to":1}}`)
		b.off()
	})
}

// Two devices of a user share what is listened to, and the last one ends it.
func TestListeningEndsWithTheLastReader(t *testing.T) {
	inBubble(t, func(w *world) {
		w.found("plans")
		a, b, c := w.open(bob), w.open(bob), w.open(eva)
		if got := len(w.nodes[0].Service.rooms); got != 1 {
			t.Errorf("%d rooms are listened to, want 1", got)
		}
		a.off()
		c.off()
		w.must(nil, w.post(ana, "plans"))
		time.Sleep(time.Second)
		b.want(`unread plans {"read":0,"unread":1,"up_to":5}`)
		b.off()
		if got := len(w.nodes[0].Service.rooms) + len(w.nodes[0].users); got != 0 {
			t.Errorf("%d users and rooms are left with no reader", got)
		}
	})
}

// However many messages come, each user is told once a second.
func TestNoticesAreCoalesced(t *testing.T) {
	inBubble(t, func(w *world) {
		by := chat.Principal{Service: true, User: ana.User}
		w.must(w.rooms().Create(context.Background(), by, room.Create{Room: "hall", Settings: chat.Settings{Access: chat.AccessPublic}}))
		screens := make([]*screen, 50)
		for i := range screens {
			user := chat.Principal{User: chat.User{ID: chat.UserID(fmt.Sprint("u", i)), Name: "U"}}
			w.must(w.rooms().Join(context.Background(), user, "hall"))
			screens[i] = w.open(user)
		}
		for range 200 { // for two seconds
			w.must(nil, w.post(ana, "hall"))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(1100 * time.Millisecond)
		for _, s := range screens {
			if _, notices := s.shown(); len(notices) == 0 || len(notices) > 4 {
				t.Errorf("user %s was told %d times in 3 s, want 1 to 4 times", s.by.User.ID, len(notices))
			}
			s.check("afterwards")
			s.off()
		}
	})
}

func TestManyRooms(t *testing.T) {
	inBubble(t, func(w *world) {
		for i := range pageRooms + 10 {
			w.must(w.rooms().Create(context.Background(), ana, room.Create{Room: chat.RoomID(fmt.Sprintf("r%d", i)), Settings: private}))
		}
		a := w.open(ana)
		a.check("at once")
		time.Sleep(2 * readAllEvery)
		a.want()
		a.off()
	})
}
