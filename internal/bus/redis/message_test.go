package redis

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// until waits for what happens in the end.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// What comes back to its publisher is not handed on again.
func TestOwnEchoIsDropped(t *testing.T) {
	two := nodes(t, 2, shared(t))
	own, other := listen(t, two[0], room), listen(t, two[1], room)
	const events = 100
	for id := range int64(events) {
		two[0].Publish(room, []chat.Event{{ID: id}})
	}
	until(t, "all events on the other node", func() bool { return len(other.ids) == events })
	time.Sleep(2 * tendEvery) // the echo is not later than what others hear
	if got := len(own.ids); got != events {
		t.Errorf("the own node got %d events, want %d", got, events)
	}
}

func TestMessagesOfOthers(t *testing.T) {
	two := nodes(t, 2, shared(t))
	l := listen(t, two[1], room)
	l.want(t, two[0], 1)
	quiet(t, two[1], l)
	client, counts := two[0].redis.Commands(), two[1].Counts()
	inject := func(message []byte) {
		t.Helper()
		name := (*two[1].groups.Load())[0].names[shardOf(room)]
		if err := client.Do(t.Context(), client.B().Publish().Channel(name).Message(string(message)).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	about := func(number uint64, id int64) []byte {
		return appendAbout(nil, publisher{1}, number, room, []chat.Event{{ID: id}})
	}

	inject([]byte("hola"))
	inject(append(about(1, 66), make([]byte, 16)...))
	until(t, "forged messages to be counted", func() bool { return counts.Forged.Value() == 2 })
	l.wantTold(t, "messages that are not sealed")

	inject(two[1].key.Seal(about(1, 2)))
	until(t, "a sealed message", func() bool { return len(l.ids) > 0 })
	inject(two[1].key.Seal(about(1, 2))) // once more

	gaps := counts.Gaps.Value()
	inject(two[1].key.Seal(about(3, 3)))
	l.wantTold(t, "number 2 is missing")
	if counts.Gaps.Value() == gaps {
		t.Error("no gap was counted")
	}
	later := about(4, 4)
	later[0] = version + 1
	inject(two[1].key.Seal(later))
	l.wantTold(t, "a version that is not known")
	if counts.Unknown.Value() != 1 {
		t.Errorf("Unknown = %d, want 1", counts.Unknown.Value())
	}
	var got []int64
	for len(l.ids) > 0 {
		got = append(got, <-l.ids)
	}
	for _, id := range got {
		if id == 66 || id == 4 {
			t.Errorf("event %d was handed on", id)
		}
	}
}

// What is too large for a message is a call with no events.
func TestLargeEventsArePokes(t *testing.T) {
	two := nodes(t, 2, shared(t))
	l := listen(t, two[1], room)
	l.want(t, two[0], 1)
	quiet(t, two[1], l)
	two[0].Publish(room, []chat.Event{{ID: 2, Body: []byte(strings.Repeat("x", maxMessageBytes))}})
	l.wantTold(t, "an event of 64 KiB")
	until(t, "a poke", func() bool { return two[0].Counts().Pokes.Value() == 1 })
}

// What is durable goes without what users write, what is passing as it is, and
// all of a topic in one message; one that is durable and too large goes so in
// any case.
func TestBare(t *testing.T) {
	message := chat.Event{Room: "tertulia", Kind: chat.KindMessage, Actor: chat.User{ID: "a", Name: "Ana"}, Seq: 1, ID: 7, Epoch: "e", Tag: 5,
		Nonce: "n", Msgs: 1, Body: chat.MessageBody("hola")}
	large := message
	large.Body = chat.MessageBody(strings.Repeat("x", maxMessageBytes))
	bare := message
	bare.Actor.Name, bare.Nonce, bare.Body = "", "", nil
	typing := chat.Event{Room: "tertulia", Kind: chat.KindTyping, Actor: message.Actor}
	for _, test := range []struct {
		name         string
		bare         bool
		events, want []chat.Event
		pokes        uint64
	}{
		{"durable and passing", true, []chat.Event{message, message, typing}, []chat.Event{bare, bare, typing}, 1},
		{"passing alone", true, []chat.Event{typing}, []chat.Event{typing}, 0},
		{"too large", false, []chat.Event{large, typing}, []chat.Event{bare, typing}, 1},
		{"as it is", false, []chat.Event{message, typing}, []chat.Event{message, typing}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			two := nodes(t, 2, shared(t))
			two[0].bare = test.bare
			l := listen(t, two[1], room)
			until(t, "the other node to be heard", func() bool { // by an event that is passing
				two[0].Publish(room, []chat.Event{{ID: 1}})
				return len(l.ids) > 0
			})
			quiet(t, two[1], l)
			heard := make(chan chat.Event, 10)
			if _, err := two[1].Subscribe(t.Context(), room, func(events []chat.Event) {
				for _, e := range events {
					if e.ID != 1 {
						heard <- e
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			two[0].Publish(room, slices.Clone(test.events))
			for i, want := range test.want {
				select {
				case got := <-heard:
					if !reflect.DeepEqual(got, want) {
						t.Errorf("event %d is %.300v, want %.300v", i, got, want)
					}
				case <-time.After(patience):
					t.Fatalf("event %d did not arrive within %v", i, patience)
				}
			}
			if n := two[0].Counts().Pokes.Value(); n != test.pokes {
				t.Errorf("it took %d pokes, want %d", n, test.pokes)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	event := func(bytes int) chat.Event { return chat.Event{Body: make([]byte, bytes)} }
	for _, test := range []struct {
		name   string
		events []chat.Event
		want   int
	}{
		{"one", []chat.Event{event(1)}, 1},
		{"small ones", []chat.Event{event(1), event(1), event(1)}, 3},
		{"full", []chat.Event{event(20 << 10), event(20 << 10)}, 1},
		{"large", []chat.Event{event(60 << 10), event(1)}, 1},
		{"too large", []chat.Event{event(64 << 10), event(1)}, 0},
	} {
		if got := split(test.events); got != test.want {
			t.Errorf("%s: split = %d, want %d", test.name, got, test.want)
		}
	}
}

func FuzzParseAbout(f *testing.F) {
	f.Add(string(appendAbout(nil, publisher{1}, 1, room, []chat.Event{{ID: 1}})[headerBytes:]))
	f.Add(string(appendAbout(nil, publisher{1}, 2, room, []chat.Event{{Kind: chat.KindMessage, Seq: 9, Tag: 8, Follows: 7}})[headerBytes:]))
	f.Add(string(appendAbout(nil, publisher{1}, 1<<40, room, nil)[headerBytes:]))
	f.Fuzz(func(t *testing.T, text string) {
		number, topic, events, ok := parseAbout(text)
		if ok && (number == 0 || len(topic)+len(events) >= len(text)) {
			t.Errorf("%q is number %d, topic %q, %d bytes of events", text, number, topic, len(events))
		}
	})
}
