package presence

import (
	"fmt"
	"runtime"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
)

// crowd is 10,000 sessions of as many users, in rooms of a size.
type crowd struct {
	rooms []chat.RoomID
	users []chat.User
}

func newCrowd(roomSize int) crowd {
	const sessions = 10_000
	c := crowd{}
	for i := range sessions {
		id := fmt.Sprintf("user-%d", i)
		c.users = append(c.users, chat.User{ID: chat.UserID(id), Name: id})
		if i%roomSize == 0 {
			c.rooms = append(c.rooms, chat.RoomID(fmt.Sprintf("room-%d", i/roomSize)))
		}
	}
	return c
}

// join lets all of c in, visits[i] being users[i]'s.
func (c crowd) join(t *Tracker, visits []*Visit) []*Visit {
	for i, user := range c.users {
		_, v := t.Join(c.rooms[i*len(c.rooms)/len(c.users)], user)
		visits = append(visits, v)
	}
	return visits
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkCrowd reports what 10,000 sessions hold, and what one join and one
// leave of a full house take, with nobody listening.
func BenchmarkCrowd(b *testing.B) {
	for _, roomSize := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("room=%d", roomSize), func(b *testing.B) {
			c := newCrowd(roomSize)
			l := local.New()
			defer l.Close()
			t := New(Config{Bus: l})
			defer t.Close()
			visits := make([]*Visit, 0, len(c.users))
			before := heap()
			visits = c.join(t, visits)
			held := float64(heap()-before) / float64(len(visits))
			i := 0
			for b.Loop() {
				visits[i].Leave(true)
				_, visits[i] = t.Join(c.rooms[i*len(c.rooms)/len(c.users)], c.users[i])
				i = (i + 1) % len(visits)
			}
			b.ReportMetric(held, "B/session")
			runtime.KeepAlive(visits)
		})
	}
}

func BenchmarkStats(b *testing.B) {
	c := newCrowd(10)
	l := local.New()
	defer l.Close()
	t := New(Config{Bus: l})
	defer t.Close()
	c.join(t, nil)
	b.ReportAllocs()
	for b.Loop() {
		t.Stats(Cluster)
	}
}
