package seedtest

import (
	"fmt"
	"testing"
	"time"
)

// Flows: docs/protocol.md §4 to §6, as several people see them.
func TestFlows(t *testing.T) {
	addr := anyServer(t)

	t.Run("S-062 S-063 S-073 a message goes to all in the room, to its author after message_sent", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		carla, _ := join(t, addr, room, "3", "Carla")
		alice.want("user_joined")
		alice.want("user_joined")
		bob.want("user_joined")
		for i, author := range []*client{alice, bob, carla, alice} {
			content := fmt.Sprintf("hola %d", i)
			author.send(messageFrame(content, ""))
			id := author.want("message_sent").Data["message_id"]
			for _, c := range []*client{alice, bob, carla} {
				c.want("message").field("content", content).field("id", id).field("username", author.name)
			}
		}
	})

	t.Run("S-063 A25 message_sent is first each time, under load from others", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		noise, _ := join(t, addr, room, "1", "Alice")
		const n = 200
		go func() {
			for range n {
				noise.conn.Write(noiseFrame)
			}
		}()
		acked := map[any]bool{}
		for range n {
			alice.send(messageFrame("mía", ""))
		}
		for own := 0; own < n; {
			switch e := alice.next(); e.Type {
			case "message_sent":
				acked[e.Data["message_id"]] = true
			case "message":
				if e.Data["content"] == "mía" {
					if own++; !acked[e.Data["id"]] {
						t.Fatalf("the own message comes before its message_sent: %s", e)
					}
				}
			}
		}
	})

	t.Run("S-066 a lone client reads connected, then message_sent", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		for range 3 { // with history too
			c := dial(t, addr, roomPath(room, "1", "Juan"))
			c.want("connected")
			c.send(`{"type": "message", "content": "Hola mundo!"}`)
			c.want("message_sent")
			c.want("message")
			c.wantIdle()
			c.drop()
		}
	})

	t.Run("S-067 S-068 others hear of joining and leaving, oneself does not", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, connected := join(t, addr, room, "2", "Bob")
		connected.field("active_count", 2)
		alice.want("user_joined").field("user_id", 2)
		bob.wantIdle()
		bob.close()
		alice.want("user_left").field("user_id", 2)
		alice.wantIdle()
		if got := connectedAgain(t, addr, room).list("active_users"); len(got) != 1 {
			t.Errorf("active_users = %v, want Alice alone", got)
		}
	})

	t.Run("A7 a user joins with the first connection and leaves with the last", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		phone, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined").field("user_id", 2)
		laptop, connected := join(t, addr, room, "2", "Bob")
		connected.field("active_count", 2)
		alice.wantIdle()
		phone.close()
		alice.wantIdle()
		laptop.wantAlive()
		laptop.close()
		alice.want("user_left").field("user_id", 2)
	})

	t.Run("S-069 A7 a client that dies is gone after the grace, one that comes back was never away", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")
		bob.drop()
		time.Sleep(quiet)
		bob, connected := join(t, addr, room, "2", "Bob")
		connected.field("active_count", 2)
		alice.wantIdle()

		died := time.Now()
		bob.drop()
		alice.want("user_left").field("user_id", 2)
		if after := time.Since(died); after < 8*time.Second { // how late it may be is in want
			t.Errorf("user_left came after %v, want the grace of 10 s", after)
		}
	})

	t.Run("S-070 A8 typing goes to the others, to no connection of the same user", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		phone, _ := join(t, addr, room, "2", "Bob")
		laptop, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")
		phone.send(`{"type":"typing","is_typing":true}`)
		alice.want("typing").field("user_id", 2).field("is_typing", true)
		phone.send(`{"type":"typing","is_typing":false}`)
		alice.want("typing").field("user_id", 2).field("is_typing", false)
		phone.wantIdle()
		laptop.wantIdle()
	})

	t.Run("§4.6 typing is merged while unchanged, and ends by itself", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")
		began := time.Now()
		for range 20 {
			bob.send(`{"type":"typing","is_typing":true}`)
		}
		bob.wantAlive()
		alice.want("typing").field("is_typing", true)
		alice.wantIdle()
		alice.want("typing").field("is_typing", false)
		if after := time.Since(began); after < 6*time.Second { // how late it may be is in want
			t.Errorf("typing ended after %v, want 8 s", after)
		}
		bob.send(`{"type":"typing","is_typing":true}`)
		alice.want("typing").field("is_typing", true)
		bob.close()
		alice.wantAmong("typing", "user_left")[0].field("is_typing", false)
	})

	t.Run("S-071 typing and presence are not messages", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")
		bob.send(`{"type":"typing","is_typing":true}`)
		if e := alice.want("typing"); e.Top["seq"] != nil || e.Data["id"] != nil {
			t.Errorf("typing has a seq or an id: %s", e)
		}
		bob.close()
		connected := connectedAgain(t, addr, room).field("head", 0)
		if got := connected.list("history"); len(got) != 0 {
			t.Errorf("history = %v, want none", got)
		}
	})

	t.Run("S-072 everybody sees the order of sending, and one order", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		const authors, n = 4, 100
		var clients []*client
		for i := range authors {
			c, _ := join(t, addr, room, "1", fmt.Sprint(i)) // one user: no joining is announced
			clients = append(clients, c)
		}
		for i, c := range clients {
			go func() {
				for k := range n {
					c.conn.Write(masked(textFrame(messageFrame(fmt.Sprintf("%d %d", i, k), ""))))
				}
			}()
		}
		var orders [authors][]string
		for i, c := range clients {
			next := map[string]int{}
			for len(orders[i]) < authors*n {
				e := c.next()
				if e.Type != "message" {
					continue
				}
				if e.Seq != uint64(len(orders[i])+1) {
					t.Fatalf("reader %d: seq = %d, want %d", i, e.Seq, len(orders[i])+1)
				}
				content := e.Data["content"].(string)
				orders[i] = append(orders[i], content)
				var author, k string
				fmt.Sscan(content, &author, &k)
				if k != fmt.Sprint(next[author]) {
					t.Fatalf("reader %d: author %s has sent %s, want %d next", i, author, k, next[author])
				}
				next[author]++
			}
		}
		for i := range orders[1:] {
			if fmt.Sprint(orders[i+1]) != fmt.Sprint(orders[0]) {
				t.Errorf("readers 0 and %d saw different orders", i+1)
			}
		}
	})

	t.Run("S-074 rooms do not hear each other", func(t *testing.T) {
		t.Parallel()
		here, there := newRoom(), newRoom()
		alice, _ := join(t, addr, here, "1", "Alice")
		bob, _ := join(t, addr, there, "2", "Bob")
		carla, _ := join(t, addr, there, "3", "Carla")
		bob.want("user_joined")
		carla.send(`{"type":"typing","is_typing":true}`)
		bob.want("typing")
		carla.post("aquí no")
		bob.want("message")
		carla.close()
		bob.wantAmong("typing", "user_left")
		alice.wantIdle()
		alice.post("allí no")
		bob.wantIdle()
		if got := connectedAgain(t, addr, here).column("history", "content"); len(got) != 1 || got[0] != "allí no" {
			t.Errorf("history = %v, want that of the own room", got)
		}
	})
}

// An operator may close the list of rooms.
func TestRoomsOfTheOperator(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--no-rooms-auto-create", "--rooms-initial", "lobby,7")

	t.Run("S-078 A12 a room that does not exist is refused by name", func(t *testing.T) {
		c := dial(t, s.addr, roomPath("unknown", "1", "Juan"))
		c.wantError("room_not_found")
		c.wantClose(4504)
	})
	t.Run("S-078 A12 a room of the list works before its first message", func(t *testing.T) {
		for _, room := range []string{"lobby", "7"} {
			c, _ := join(t, s.addr, room, "1", "Juan")
			c.post("hola")
		}
	})
}
