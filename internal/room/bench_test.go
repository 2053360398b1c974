package room

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// free is a store that costs next to nothing: it gives seqs and forgets.
type free struct {
	*hostile
	heads map[chat.RoomID]uint64
}

func (f *free) Append(_ context.Context, batch []store.Append) ([]store.Result, error) {
	results := make([]store.Result, len(batch))
	for i := range batch {
		row := &batch[i]
		f.heads[row.Room]++
		results[i].Event = chat.Event{Room: row.Room, Kind: row.Kind, Actor: row.Actor, Seq: f.heads[row.Room], Body: row.Body}
	}
	return results, nil
}

// nowhere is a bus without subscribers.
type nowhere struct{ bus.Bus }

func (nowhere) Publish(bus.Topic, []chat.Event) {}

// BenchmarkPost is the cost of the journal itself: one author posts to 100
// rooms without waiting, over a store that costs nothing.
func BenchmarkPost(b *testing.B) {
	s := New(Config{
		Store:      &free{newHostile(1), make(map[chat.RoomID]uint64)},
		Bus:        nowhere{},
		AutoCreate: true,
		Log:        slog.New(slog.NewTextHandler(b.Output(), nil)),
	})
	defer s.Close()
	rooms := benchRooms()
	var answered atomic.Int64
	done := func(Posted, error) { answered.Add(1) }
	b.ReportAllocs()
	before := cpuTime()
	// At most 4,096 in flight, that the queue stays as it is in service.
	for i := range b.N {
		s.Post(Post{Room: rooms[i%len(rooms)], By: chat.Principal{User: alice}, Nonce: "n", Content: benchContent}, done)
		for int64(i)-answered.Load() > 4096 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	for answered.Load() < int64(b.N) {
		time.Sleep(10 * time.Microsecond)
	}
	reportCPU(b, before)
}

const benchContent = "A message of some hundred bytes, as people write them when they have a little more to say than yes…"

func benchRooms() []chat.RoomID {
	rooms := make([]chat.RoomID, 100)
	for i := range rooms {
		rooms[i] = chat.RoomID(fmt.Sprintf("room-%d", i))
	}
	return rooms
}

// benchmarkStore posts b.N messages over a real store, in 100 rooms with
// inFlight of each waiting for their answers, and reports rows a second and
// the CPU time of the whole process for each.
func benchmarkStore(b *testing.B, s *Service, inFlight int) {
	rooms := benchRooms()
	var left atomic.Int64
	left.Store(int64(b.N))
	var authors sync.WaitGroup
	before := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for _, room := range rooms {
		for i := range inFlight {
			authors.Go(func() {
				user := chat.User{ID: chat.UserID(fmt.Sprint(i)), Name: "Author"}
				answer := make(chan error, 1)
				done := func(_ Posted, err error) { answer <- err }
				for n := 0; left.Add(-1) >= 0; n++ {
					nonce := chat.Nonce(fmt.Sprintf("%s-%d", b.Name(), n))
					s.Post(Post{Room: room, By: chat.Principal{User: user}, Nonce: nonce, Content: benchContent}, done)
					if err := <-answer; err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	authors.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	reportCPU(b, before)
}

func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process has used, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
