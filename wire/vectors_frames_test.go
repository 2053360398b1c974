package wire

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
)

type frameVector struct {
	Name     string         `json:"name"`
	Profiles []string       `json:"profiles"`
	Frame    string         `json:"frame"`
	Cursor   string         `json:"cursor,omitzero"`
	Decoded  map[string]any `json:"decoded"`
}

var (
	both   = []string{"seed", "v1"}
	onSeed = []string{"seed"}
	onV1   = []string{"v1"}

	juan  = chat.User{ID: "1", Name: "Juan"}
	bob   = chat.User{ID: "2", Name: "Bob"}
	epoch = "k3v9x0ab"
)

func clock(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, "2026-11-23T"+s+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

// stored is a durable event of room 1.
func stored(kind chat.Kind, seq uint64, id int64, tag uint32, by chat.User, at, body string) chat.Event {
	return chat.Event{Room: "1", Kind: kind, Seq: seq, ID: id, Epoch: epoch, Tag: tag, Actor: by, At: clock(at), Body: []byte(body)}
}

func onMessage(e chat.Event, target uint64, id int64, nonce chat.Nonce) *chat.Event {
	e.Target, e.TargetID, e.Nonce = target, id, nonce
	return &e
}

func inRoomOf(room chat.RoomID, e chat.Event) *chat.Event {
	e.Room = room
	return &e
}

func about(subject chat.User, e chat.Event) *chat.Event {
	e.Subject = subject.ID
	return &e
}

// durableFrames has one event of each durable kind, and the messages in each
// form: the examples of docs/protocol.md §4.3 and §16.
func durableFrames() map[string][]byte {
	const room, member = `{"access":"private","title":"Taller","topic":"","archived":false}`,
		`{"member":{"user_id":"2","username":"Bob","state":"joined","role":"member"}}`
	message := stored(chat.KindMessage, 12, 39, 0x1a2b3c4d, bob, "18:59:00", `{"content":"Buenas"}`)
	edited, deleted := message, message
	edited.Changed, edited.ChangedAt = 14, clock("19:01:00")
	deleted.Changed, deleted.ChangedAt, deleted.Deleted, deleted.Body = 15, clock("19:02:00"), true, []byte("{}")
	named := message
	named.Room, named.Actor, named.Nonce = "sala:ñ", chat.User{ID: "01", Name: `José "P"`}, "n~1"
	named.Body = chat.MessageBody("di \"hola\"\n\t\\ \u2028 👩‍👩‍👧 <b>\x01")
	events := map[string]*chat.Event{
		"message":                        &message,
		"message with names":             &named,
		"message edited since":           &edited,
		"message deleted since":          &deleted,
		"message_edited":                 onMessage(stored(chat.KindMessageEdited, 14, 41, 0x07c1d2e3, bob, "19:01:00", `{"content":"Buenas noches"}`), 12, 39, "7f3d"),
		"message_edited, deleted since":  onMessage(stored(chat.KindMessageEdited, 14, 41, 0x07c1d2e3, bob, "19:01:00", `{}`), 12, 39, "7f3d"),
		"message_deleted":                onMessage(stored(chat.KindMessageDeleted, 15, 42, 0x5a5b5c5d, bob, "19:02:00", `{"reason":"typo"}`), 12, 39, ""),
		"message_deleted without reason": onMessage(stored(chat.KindMessageDeleted, 15, 42, 0x5a5b5c5d, bob, "19:02:00", `{}`), 12, 39, ""),
		"messages_erased":                about(bob, stored(chat.KindMessagesErased, 16, 43, 0x0d0e0f10, chat.User{}, "19:03:00", `{}`)),
	}
	for kind, body := range map[chat.Kind]string{
		chat.KindRoomCreated: room, chat.KindRoomUpdated: room, chat.KindMemberInvited: member, chat.KindMemberAdded: member, chat.KindMemberRemoved: member,
		chat.KindMemberBanned: member, chat.KindMemberUnbanned: member, chat.KindMemberRole: member,
	} {
		if kind < chat.KindMemberInvited {
			events[durableTypes[kind]] = inRoomOf("taller", stored(kind, 2, 44, 0x21222324, juan, "19:04:00", body))
		} else {
			events[durableTypes[kind]] = inRoomOf("taller", stored(kind, 3, 45, 0x31323334, juan, "19:05:00", body))
		}
	}
	frames := map[string][]byte{}
	for name, e := range events {
		frames[name] = AppendEvent(nil, e)
	}
	return frames
}

func passing(kind chat.Kind, by chat.User) *chat.Event {
	return &chat.Event{Room: "1", Kind: kind, Actor: by, Version: 4, Count: 3}
}

func receipt(read, delivered string) *chat.Event {
	return &chat.Event{Room: "1", Kind: chat.KindReceipt, Actor: bob, Subject: bob.ID, Body: []byte(`{"read":` + read + `,"delivered":` + delivered + `}`)}
}

// seedFrames and v1Frames are the frames that are not in the log, and are made
// for one profile: docs/protocol.md §4, §14, §17, §18.
func seedFrames() map[string][]byte {
	message := AppendEvent(nil, &chat.Event{Room: "1", Kind: chat.KindMessage, Seq: 12, ID: 39, Epoch: epoch, Tag: 1, Actor: bob, At: clock("18:59:00"), Body: chat.MessageBody("Buenas")})
	sent := stored(chat.KindMessage, 13, 40, 0x1a2b3c4d, juan, "19:00:00", "{}")
	sent.Nonce = "7f3c"
	c := Connected{Room: "1", Epoch: epoch, Head: 12, Cursor: chat.Cursor{Epoch: epoch, Seq: 12, Tag: 1, HasTag: true}, Active: []chat.User{juan, {ID: "ana", Name: "Ana"}}, ActiveCount: 2,
		History: []HistoryItem{{Seq: 12, Frame: message}}}
	resumed, gap := c, c
	resumed.History, resumed.Resume = nil, &Resume{}
	gap.Resume = &Resume{Reason: GapEpoch, From: 1, To: 11}
	return map[string][]byte{
		"connected":                AppendConnected(nil, &c),
		"connected again":          AppendConnected(nil, &resumed),
		"connected after a gap":    AppendConnected(nil, &gap),
		"replay":                   AppendReplay(nil, "1", HistoryItem{Seq: 12, Frame: message}),
		"message_sent of the seed": AppendMessageSent(nil, "", &sent, false),
		"user_joined":              AppendEvent(nil, passing(chat.KindUserJoined, bob)),
		"user_left":                AppendEvent(nil, passing(chat.KindUserLeft, bob)),
		"typing of the seed":       AppendEvent(nil, passing(chat.KindTyping, bob)),
		"typing stopped, seed":     AppendEvent(nil, passing(chat.KindTypingStopped, bob)),
		"pong":                     AppendPong(nil, "p1", []byte(`"id":"p1","t":1763924400123`)),
		"error of the seed":        AppendError(nil, "c1", "7f3c", &chat.Error{Code: chat.StoreUnavailable, Message: "Wait.", RetryAfter: time.Second}),
	}
}

var openRoom = chat.Room{ID: "1", Exists: true, Epoch: epoch, Head: 12, Floor: 1, Msgs: 12}

func helloOf(session string) *Hello {
	return &Hello{Server: "tertulia/0.2.0", Session: session, User: juan, Rooms: 1000, Heartbeat: 25 * time.Second, ExpiresAt: clock("20:00:00"),
		Features: []string{"edit", "delete", "history", "presence", "receipts", "typing", "inbox"}}
}

func v1Frames() map[string][]byte {
	mark := chat.Mark{Read: 10, Delivered: 12, ReadMsgs: 10}
	me := chat.Member{Room: "1", User: juan, Role: chat.RoleMember, Mark: mark}
	read := me
	read.Mark = chat.Mark{Read: 12, Delivered: 12, ReadMsgs: 12}
	private := read.Mark
	private.Private = true
	s := Subscribed{Re: "s1", Room: openRoom, Epoch: epoch, Head: 12, Cursor: chat.Cursor{Epoch: epoch, Seq: 12, Tag: 0x1a2b3c4d, HasTag: true}, My: me,
		Presence: &Presence{Version: 3, Count: 2, Users: []chat.User{juan, bob}}, Receipts: []chat.Member{{User: bob, Mark: read.Mark}}}
	resumed, gap := s, s
	resumed.Resume, resumed.Presence = &Resume{}, nil
	gap.Resume, gap.Presence = &Resume{Reason: GapRetention, From: 3, To: 11}, &Presence{Version: 3, Count: 2}
	gap.History = []HistoryItem{{Seq: 12, Frame: append([]byte("\x81\x7b"), durableFrames()["message edited since"]...)}}
	edit := *onMessage(stored(chat.KindMessageEdited, 14, 41, 0, bob, "19:01:00", "{}"), 12, 39, "7f3d")
	listed := Listed{Room: openRoom, Member: me}
	return map[string][]byte{
		"hello":                       AppendHello(nil, helloOf("5f0c9d1e7a3b4826")),
		"hello without end":           AppendHello(nil, &Hello{Re: "h", Server: "tertulia/0.2.0", Session: "5f0c9d1e7a3b4826", User: juan, Rooms: 10, Heartbeat: time.Second}),
		"subscribed":                  AppendSubscribed(nil, &s),
		"subscribed again":            AppendSubscribed(nil, &resumed),
		"subscribed after a gap":      AppendSubscribed(nil, &gap),
		"caught_up":                   AppendCaughtUp(nil, "1", 12),
		"gap":                         AppendGap(nil, "1", Resume{Reason: GapRetention, From: 5, To: 9}),
		"gap of permission":           AppendGap(nil, "1", Resume{Reason: GapPermission, From: 5, To: 9}),
		"skip":                        AppendSkip(nil, "1", 9),
		"unsubscribed":                AppendUnsubscribed(nil, "u1", "1", UnsubscribedAsked),
		"unsubscribed, removed":       AppendUnsubscribed(nil, "", "1", UnsubscribedRemoved),
		"history":                     AppendHistory(nil, &History{Re: "h1", Room: openRoom, Earlier: true, Events: []HistoryItem{{Seq: 12, Frame: durableFrames()["message edited since"]}}}),
		"history of nothing":          AppendHistory(nil, &History{Room: openRoom}),
		"presence":                    AppendPresence(nil, "p1", "1", &Presence{Version: 3, Count: 2, Users: []chat.User{juan, bob}}),
		"presence, degraded":          AppendPresence(nil, "p1", "1", &Presence{Version: 3, Count: 2, Degraded: true, Users: []chat.User{juan, bob}}),
		"ok":                          AppendOK(nil, "t1", "1"),
		"ok after an edit":            AppendChanged(nil, "e1", &edit, false),
		"ok after an edit, again":     AppendChanged(nil, "e1", &edit, true),
		"ok after read":               AppendMarked(nil, "r1", "1", read.Mark),
		"ok after read in private":    AppendMarked(nil, "r1", "1", private),
		"ok after auth":               AppendAuthenticated(nil, "a1", clock("21:00:00")),
		"ok after auth, for ever":     AppendAuthenticated(nil, "a1", time.Time{}),
		"message_sent":                AppendMessageSent(nil, "m1", onMessage(stored(chat.KindMessage, 2, 2, 0, juan, "19:00:04.12", "{}"), 0, 0, "j-1"), true),
		"reconnect":                   AppendReconnect(nil, 1480*time.Millisecond, "restart"),
		"error about a room":          AppendRefusal(nil, "s1", "2", "", chat.Errorf(chat.RoomNotFound, "There is no such room.")),
		"pong of v1":                  AppendPong(nil, "", nil),
		"presence_diff joined":        AppendPassing(nil, passing(chat.KindUserJoined, chat.User{ID: "3", Name: "Carla"})),
		"presence_diff left":          AppendPassing(nil, passing(chat.KindUserLeft, bob)),
		"presence_diff without count": AppendPassing(nil, &chat.Event{Room: "1", Kind: chat.KindUserLeft, Actor: bob, Version: 5}),
		"presence_diff count":         AppendPassing(nil, &chat.Event{Room: "1", Kind: chat.KindPresenceCount, Count: 412}),
		"typing":                      AppendPassing(nil, passing(chat.KindTyping, bob)),
		"typing stopped":              AppendPassing(nil, passing(chat.KindTypingStopped, bob)),
		"receipt":                     AppendPassing(nil, receipt("12", "12")),
		"inbox":                       AppendInbox(nil, "s2", []Listed{listed}, false),
		"inbox of nothing":            AppendInbox(nil, "", nil, true),
		"unread":                      AppendNotice(nil, &chat.Event{Room: "1", Kind: chat.KindUnread, Body: chat.UnreadBody(&openRoom, read.Mark)}),
		"room_changed":                AppendNotice(nil, &chat.Event{Room: "1", Kind: chat.KindRoomChanged, Body: chat.RoomChangedBody(&openRoom, &read)}),
		"room_changed to gone":        AppendNotice(nil, &chat.Event{Room: "2", Kind: chat.KindRoomChanged, Body: chat.RoomGoneBody(&chat.Member{Room: "2"})}),
	}
}

func TestFrameVectors(t *testing.T) {
	var made []frameVector
	for _, group := range []struct {
		profiles []string
		frames   map[string][]byte
	}{{both, durableFrames()}, {onSeed, seedFrames()}, {onV1, v1Frames()}} {
		for _, name := range sortedKeys(group.frames) {
			frame := group.frames[name]
			checkJSON(t, frame)
			v := frameVector{Name: name, Profiles: group.profiles, Frame: string(frame), Decoded: object(t, frame)}
			if v.Decoded["type"] != "message" && len(group.profiles) > 1 {
				v.Profiles = onV1 // the seed profile is sent messages only
			}
			if seq, ok := v.Decoded["seq"].(float64); ok {
				tag := v.Decoded["tag"].(string)
				v.Cursor = epoch + ":" + jsonText(t, seq) + ":" + tag
			}
			made = append(made, v)
		}
	}
	vectors(t, "frames.json", made)
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every kind that is stored has a frame, and every frame that the document
// shows is one that the code makes.
func TestEveryDurableKindHasAFrame(t *testing.T) {
	frames := durableFrames()
	for kind := chat.Kind(1); kind < 64; kind++ {
		if _, ok := durableTypes[kind]; ok != kind.Durable() {
			t.Errorf("kind %d has a type: %v, is durable: %v", kind, ok, kind.Durable())
		}
	}
	for kind, typ := range durableTypes {
		if frame := frames[typ]; !bytes.HasPrefix(frame, []byte(`{"type":"`+typ+`"`)) {
			t.Errorf("kind %d has the frame %s, want the type %s", kind, frame, typ)
		}
	}
}

// docs/protocol.md §14 to §18: the examples of the document are what the code
// makes.
func TestDocumentedFrames(t *testing.T) {
	known := map[string]bool{}
	for _, frames := range []map[string][]byte{durableFrames(), seedFrames(), v1Frames()} {
		for _, f := range frames {
			known[string(f)] = true
		}
	}
	_, part2, _ := strings.Cut(protocolDocument(t), "\n## 12. ")
	part2, _, _ = strings.Cut(part2, "\n## 21. ")
	found := 0
	for line := range strings.Lines(part2) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, `{"type":"`) {
			continue
		}
		found++
		if !known[line] {
			t.Errorf("docs/protocol.md shows a frame that the code does not make:\n%s", line)
		}
	}
	if found < 20 {
		t.Errorf("only %d frames found in Part 2 of docs/protocol.md", found)
	}
}

func protocolDocument(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
