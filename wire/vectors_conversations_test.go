package wire

import (
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

type conversationVector struct {
	Name    string       `json:"name"`
	Profile string       `json:"profile"`
	URL     string       `json:"url"`
	Steps   []stepVector `json:"steps"`
}

// stepVector has one of its members, or Cut and URL.
type stepVector struct {
	Send    string `json:"send,omitzero"`
	Receive string `json:"receive,omitzero"`
	Cut     bool   `json:"cut,omitzero"`
	URL     string `json:"url,omitzero"`
}

func (c *conversationVector) send(frames ...string) {
	for _, f := range frames {
		c.Steps = append(c.Steps, stepVector{Send: f})
	}
}

func (c *conversationVector) receive(frames ...[]byte) {
	for _, f := range frames {
		c.Steps = append(c.Steps, stepVector{Receive: string(f)})
	}
}

func (c *conversationVector) cut(url string) {
	c.Steps = append(c.Steps, stepVector{Cut: true, URL: url})
}

// refusal is the answer to a frame of a profile.
func refusal(t *testing.T, profile, frame string) []byte {
	t.Helper()
	r, err := decodeAs(profile, frame)
	if err == nil {
		t.Fatalf("%s is not refused", frame)
	}
	return AppendRefusal(nil, r.ID, r.Room, r.Nonce, chat.AsError(err))
}

func said(seq uint64, tag uint32, by chat.User, at, content string) *chat.Event {
	e := stored(chat.KindMessage, seq, int64(seq), tag, by, at, string(chat.MessageBody(content)))
	return &e
}

func frameOf(e *chat.Event, nonce chat.Nonce) []byte {
	e.Nonce = nonce
	return AppendEvent(nil, e)
}

func place(seq uint64, tag uint32) chat.Cursor {
	return chat.Cursor{Epoch: epoch, Seq: seq, Tag: tag, HasTag: seq > 0}
}

// seedConversation is docs/protocol.md §11.
func seedConversation(t *testing.T) conversationVector {
	c := conversationVector{Name: "seed, with a cut", Profile: "seed", URL: "/ws/1?user_id=1&username=Juan"}
	connected := Connected{Room: "1", Epoch: epoch, Cursor: place(0, 0), Active: []chat.User{juan}, ActiveCount: 1}
	hola := said(1, 0x1a2b3c4d, juan, "19:00:00", "Hola")
	c.receive(AppendConnected(nil, &connected))
	c.send(`{"type":"message","content":"Hola"}`)
	c.receive(AppendMessageSent(nil, "", hola, false), frameOf(hola, ""))
	c.send(`{"type":"ping"}`)
	c.receive(AppendPong(nil, "", nil))
	c.send(`not json`)
	c.receive(refusal(t, "seed", `not json`))
	c.receive(AppendEvent(nil, passing(chat.KindUserJoined, bob)), AppendEvent(nil, passing(chat.KindTyping, bob)),
		frameOf(said(2, 0x90cc0f17, bob, "19:00:04.12", "Buenas"), "b-1"))
	c.cut("/ws/1?user_id=1&username=Juan&after=k3v9x0ab:2:90cc0f17")
	connected.Active, connected.ActiveCount, connected.Head = []chat.User{juan, bob}, 2, 4
	connected.Cursor, connected.Resume = place(2, 0x90cc0f17), &Resume{}
	c.receive(AppendConnected(nil, &connected), frameOf(said(3, 0x0b5e77a2, bob, "19:00:31.006", "¿Sigues ahí?"), ""),
		frameOf(said(4, 0xe41d9003, bob, "19:00:33.45", "Espero"), ""))
	return c
}

// v1Conversation is docs/protocol.md §21.
func v1Conversation(t *testing.T) conversationVector {
	c := conversationVector{Name: "v1, with a cut", Profile: "v1", URL: "/ws"}
	room := openRoom
	room.Head, room.Msgs = 1, 1
	me := chat.Member{User: juan, Role: chat.RoleMember}
	buenas := frameOf(said(1, 0x1a2b3c4d, bob, "19:00:00", "Buenas"), "")
	c.receive(AppendHello(nil, helloOf("5f0c9d1e7a3b4826")))
	c.send(`{"type":"subscribe","id":"s1","rooms":[{"room":"1","history":1,"presence":"list"}]}`)
	c.receive(AppendSubscribed(nil, &Subscribed{Re: "s1", Room: room, Epoch: epoch, Head: 1, Cursor: place(1, 0x1a2b3c4d), My: me,
		Presence: &Presence{Version: 2, Count: 2, Users: []chat.User{bob, juan}}, History: []HistoryItem{{Seq: 1, Frame: buenas}}}),
		AppendCaughtUp(nil, "1", 1))
	c.send(`{"type":"message","id":"m1","room":"1","nonce":"j-1","content":"Ola"}`)
	ola := said(2, 0x90cc0f17, juan, "19:00:04.12", "Ola")
	ola.Nonce = "j-1"
	c.receive(AppendMessageSent(nil, "m1", ola, false), AppendEvent(nil, ola))
	c.send(`{"type":"edit","id":"e1","room":"1","message_id":2,"content":"Hola","nonce":"j-2","if_changed":0}`)
	hola := onMessage(stored(chat.KindMessageEdited, 3, 3, 0x0b5e77a2, juan, "19:00:09.006", `{"content":"Hola"}`), 2, 2, "j-2")
	c.receive(AppendChanged(nil, "e1", hola, false), AppendEvent(nil, hola), AppendPassing(nil, receipt("3", "3")), AppendPassing(nil, passing(chat.KindTyping, bob)))
	c.send(`{"type":"read","room":"1","up_to":3}`, `{"type":"message","room":"2","content":"x"}`)
	c.receive(refusal(t, "v1", `{"type":"message","room":"2","content":"x"}`))
	c.cut("/ws")
	room.Head, room.Msgs = 5, 3
	me.Mark = chat.Mark{Read: 3, Delivered: 3, ReadMsgs: 2}
	c.receive(AppendHello(nil, helloOf("c41b7702e95d3f60")))
	c.send(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"k3v9x0ab:3:0b5e77a2","presence":"none"}]}`)
	c.receive(AppendSubscribed(nil, &Subscribed{Re: "s2", Room: room, Epoch: epoch, Head: 5, Cursor: place(3, 0x0b5e77a2), Resume: &Resume{}, My: me}),
		AppendEvent(nil, onMessage(stored(chat.KindMessageDeleted, 4, 4, 0xe41d9003, bob, "19:00:31.006", `{}`), 1, 1, "")),
		frameOf(said(5, 0x77a20b5e, bob, "19:00:33.45", "¿Sigues ahí?"), ""), AppendCaughtUp(nil, "1", 5))
	c.send(`{"type":"unsubscribe","id":"u1","rooms":["1"]}`)
	c.receive(AppendUnsubscribed(nil, "u1", "1", UnsubscribedAsked), AppendReconnect(nil, 1480*time.Millisecond, "restart"))
	return c
}

func TestConversationVectors(t *testing.T) {
	made := []conversationVector{seedConversation(t), v1Conversation(t)}
	for _, c := range made {
		for _, s := range c.Steps {
			if s.Receive != "" {
				checkJSON(t, []byte(s.Receive))
			}
		}
	}
	vectors(t, "conversations.json", made)
}

// docs/protocol.md §11 and §21 are these conversations, line by line.
func TestDocumentedConversations(t *testing.T) {
	for heading, c := range map[string]conversationVector{"\n## 11. ": seedConversation(t), "\n## 21. ": v1Conversation(t)} {
		want := []string{"→ GET " + c.URL}
		for _, s := range c.Steps {
			switch {
			case s.Cut:
				want = append(want, "→ GET "+s.URL)
			case s.Send != "":
				want = append(want, "→ "+s.Send)
			default:
				want = append(want, "← "+s.Receive)
			}
		}
		_, section, _ := strings.Cut(protocolDocument(t), heading)
		section, _, _ = strings.Cut(section, "\n## ")
		var got []string
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "→ ") || strings.HasPrefix(line, "← ") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		for i := range max(len(got), len(want)) {
			g, w := lineAt(got, i), lineAt(want, i)
			if g != w {
				t.Errorf("docs/protocol.md%sline %d is\n%s\nthe code makes\n%s", heading, i+1, g, w)
			}
		}
	}
}

// lineAt is the i-th line, empty if there is none.
func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
