package session

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/wire"
)

func decoded(t *testing.T, frame string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(frame), &v); err != nil {
		t.Fatalf("%q: %v", frame, err)
	}
	return v
}

// kept is a message as a client holds it, docs/protocol.md §19.
type kept struct {
	author  string
	content string
	changed float64
	deleted bool
}

// keeper is a client that follows docs/protocol.md §19 and nothing else.
type keeper struct {
	t        *testing.T
	cursor   string
	messages map[float64]kept
}

// take is §19, step by step.
func (k *keeper) take(f map[string]any) {
	data, _ := f["data"].(map[string]any)
	switch f["type"] {
	case "subscribed":
		if gap, ok := data["gap"].(map[string]any); ok && gap["reason"] == "epoch" {
			clear(k.messages)
		}
		k.takeAll(data["history"])
		k.cursor = data["cursor"].(string)
	case "history":
		k.takeAll(data["events"])
	default:
		if f["seq"] != nil {
			k.event(f)
			k.cursor = fmt.Sprintf("%s:%.0f:%s", f["epoch"], f["seq"], f["tag"])
		}
	}
}

func (k *keeper) takeAll(events any) {
	for _, e := range events.([]any) {
		k.event(e.(map[string]any))
	}
}

func (k *keeper) event(f map[string]any) {
	data, seq := f["data"].(map[string]any), f["seq"].(float64)
	switch f["type"] {
	case "message":
		changed, _ := data["changed"].(float64)
		if held, ok := k.messages[seq]; ok && held.changed > changed {
			return
		}
		content, _ := data["content"].(string)
		k.messages[seq] = kept{fmt.Sprint(data["user_id"]), content, changed, data["deleted"] == true}
	case "message_edited", "message_deleted":
		target := data["target_seq"].(float64)
		held, ok := k.messages[target]
		if !ok || held.changed >= seq {
			return
		}
		held.changed = seq
		if f["type"] == "message_deleted" {
			held.content, held.deleted = "", true
		} else if content, ok := data["content"].(string); ok {
			held.content = content
		}
		k.messages[target] = held
	case "messages_erased":
		for target, held := range k.messages {
			if held.author == data["subject"] && target < seq && held.changed < seq {
				held.content, held.deleted, held.changed = "", true, seq
				k.messages[target] = held
			}
		}
	}
}

// docs/protocol.md §19: whatever is posted, edited and deleted, and wherever
// the client is cut off, what it keeps is what the log says.
func TestKeptRoomEqualsTheLog(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(n *node) { keepRoom(t, n, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func keepRoom(t *testing.T, n *node, random *rand.Rand) {
	writers := []*client{n.dial(ana), n.dial(bob)}
	reader := chat.User{ID: "9", Name: "Rita"}
	k := &keeper{t: t, messages: map[float64]kept{}}
	var c *client
	for step := range 60 {
		if c == nil {
			c = n.dial(reader)
			after := ""
			if k.cursor != "" {
				after = `,"after":"` + k.cursor + `"`
			}
			c.send(`{"type":"subscribe","rooms":[{"room":"1","history":200` + after + `}]}`)
		}
		act(writers, random, step)
		if random.IntN(3) == 0 {
			c.send(fmt.Sprintf(`{"type":"history","room":"1","before":%d,"limit":%d}`, random.IntN(80), 1+random.IntN(20)))
		}
		for range random.IntN(8) { // the rest is lost if the client is cut off now
			if f := c.next(); f != "" {
				k.take(decoded(t, f))
			}
		}
		if random.IntN(6) == 0 {
			c.leave(false)
			c = nil
		}
	}
	if c == nil {
		c = n.dial(reader)
		c.send(`{"type":"subscribe","rooms":[{"room":"1","after":"` + k.cursor + `"}]}`)
	}
	for f := c.next(); f != ""; f = c.next() {
		k.take(decoded(t, f))
	}
	if want := inLog(t, n); !maps.Equal(k.messages, want) {
		t.Errorf("the client keeps %v\nthe log has   %v", k.messages, want)
	}
	for _, c := range append(writers, c) {
		c.leave(true)
	}
}

// act has a writer do something; what is refused changes nothing.
func act(writers []*client, random *rand.Rand, step int) {
	w := writers[random.IntN(len(writers))]
	id := 1 + random.IntN(step+1)
	switch random.IntN(4) {
	case 0:
		w.send(fmt.Sprintf(`{"type":"edit","room":"1","message_id":%d,"content":"edit %d"}`, id, step))
	case 1:
		w.send(fmt.Sprintf(`{"type":"delete","room":"1","message_id":%d}`, id))
	default:
		w.send(fmt.Sprintf(`{"type":"message","room":"1","nonce":"%d","content":"post %d"}`, step, step))
	}
	synctest.Wait()
	for w.next() != "" { // the answers are of no interest
	}
	if random.IntN(10) == 0 {
		w.session.(*V1).faults = faults{} // refused edits are no abuse here
	}
}

// inLog returns the messages of room 1 as the rules say they are.
func inLog(t *testing.T, n *node) map[float64]kept {
	t.Helper()
	messages := map[float64]kept{}
	after := uint64(0)
	for {
		h, err := n.Rooms.History(context.Background(), chat.Principal{User: ana}, "1", room.Range{After: &after, Limit: 50, Only: chat.KindMessage})
		if err != nil {
			t.Fatal(err)
		}
		for i := range h.Events {
			e := &h.Events[i]
			data := decoded(t, string(wire.AppendEvent(nil, e)))["data"].(map[string]any)
			content, _ := data["content"].(string)
			messages[float64(e.Seq)] = kept{string(e.Actor.ID), content, float64(e.Changed), e.Deleted}
			after = e.Seq
		}
		if !h.Later {
			return messages
		}
	}
}
