package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// The load of the benchmarks: users by chance, bodies of about the length of a
// chat message.
const (
	benchActors = 200
	benchBody   = 150
)

// BenchmarkAppend stores rows in batches, over one lane and over all, and
// reports rows a second. Rooms belong to lanes, so one hot room has one.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ rooms, lanes int }{{100, 4}, {100, 1}, {1, 1}} {
		for _, size := range []int{1, 16, 128, 512} {
			b.Run(fmt.Sprintf("rooms=%d/lanes=%d/batch=%d", c.rooms, c.lanes, size), func(b *testing.B) { benchAppend(b, c.rooms, c.lanes, size) })
		}
	}
}

func benchAppend(b *testing.B, rooms, lanes, size int) {
	s := openStore(b)
	body := chat.MessageBody(strings.Repeat("x", benchBody-len(chat.MessageBody(""))))
	batches := make([][]store.Append, 0, b.N/size+1)
	for n := 0; n < b.N; n += size {
		batch := make([]store.Append, min(size, b.N-n))
		lane := len(batches) % lanes
		for i := range batch {
			actor := strconv.Itoa(rand.IntN(benchActors))
			room := lane
			if rooms > 1 {
				room = lane + lanes*rand.IntN(rooms/lanes)
			}
			batch[i] = post(chat.RoomID("room-"+strconv.Itoa(room)), "", "")
			batch[i].Actor, batch[i].Body = chat.User{ID: chat.UserID(actor), Name: "User " + actor}, body
		}
		batches = append(batches, batch)
	}
	for range 2 * s.Writers() { // connections take their time
		if _, err := s.Append(b.Context(), posts("warm", strconv.Itoa(rand.Int()), 1)); err != nil {
			b.Fatalf("Append: %v", err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var work sync.WaitGroup
	for lane := range lanes {
		work.Go(func() {
			for i := lane; i < len(batches); i += lanes {
				if _, err := s.Append(b.Context(), batches[i]); err != nil {
					b.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	work.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLast50 reads the newest page of a room.
func BenchmarkLast50(b *testing.B) {
	s := openStore(b)
	if _, err := s.Append(b.Context(), posts("r", "n", 500)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Before(b.Context(), "r", 0, store.Limit{Events: 50, Bytes: 1 << 20})
		if err != nil || len(page.Events) != 50 {
			b.Fatalf("Before = %d events, %v, want 50", len(page.Events), err)
		}
	}
}

// BenchmarkHeads compares a thousand rooms, as the hub does in one look.
func BenchmarkHeads(b *testing.B) {
	s := openStore(b)
	ids := make([]chat.RoomID, 1000)
	var batch []store.Append
	for i := range ids {
		ids[i] = chat.RoomID("room-" + strconv.Itoa(i))
		batch = append(batch, posts(ids[i], "n", 10)...)
	}
	for part := range slices.Chunk(batch, 500) {
		if _, err := s.Append(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if heads, err := s.Heads(b.Context(), ids); err != nil || len(heads) != len(ids) {
			b.Fatalf("Heads = %d rooms, %v, want %d", len(heads), err, len(ids))
		}
	}
}
