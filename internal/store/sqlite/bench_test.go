package sqlite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tertulia/chat"
	"tertulia/internal/store"
)

// The load of the benchmarks: rooms in turn, users by chance, bodies of about
// the length of a chat message.
const (
	benchRooms  = 16
	benchActors = 200
	benchBody   = 150
)

// BenchmarkAppend stores rows in batches and reports a row's cost: time
// (ns/op), CPU of the whole process with its checkpoints (cpu-ns/op), and
// memory. Nonces that begin with the time are what our clients send; random
// ones are the worst case, a page of the index a row.
func BenchmarkAppend(b *testing.B) {
	nonces := []struct {
		name string
		make func(i int) chat.Nonce
	}{
		{"none", func(int) chat.Nonce { return "" }},
		{"timed", func(i int) chat.Nonce {
			// Fifty posts a millisecond, from clocks 0.3 s apart.
			ms := 1_800_000_000_000 + int64(i/50) + rand.Int64N(300)
			return chat.Nonce(strconv.FormatInt(ms, 36) + strconv.FormatUint(rand.Uint64(), 36))
		}},
		{"random", func(int) chat.Nonce {
			return chat.Nonce(strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36))
		}},
	}
	for _, size := range []int{1, 16, 128, 512} {
		for _, n := range nonces {
			b.Run(fmt.Sprintf("batch=%d/nonce=%s", size, n.name), func(b *testing.B) { benchAppend(b, size, n.make) })
		}
	}
}

func benchAppend(b *testing.B, size int, nonce func(i int) chat.Nonce) {
	s := openStore(b, b.TempDir())
	body := chat.MessageBody(strings.Repeat("x", benchBody-len(chat.MessageBody(""))))
	rows := make([]store.Append, b.N)
	for i := range rows {
		actor := strconv.Itoa(rand.IntN(benchActors))
		rows[i] = store.Append{
			Room:      chat.RoomID("room-" + strconv.Itoa(rand.IntN(benchRooms))),
			Kind:      chat.KindMessage,
			Actor:     chat.User{ID: chat.UserID(actor), Name: "User " + actor},
			Nonce:     nonce(i),
			Body:      body,
			MayCreate: true,
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := processCPU(b)
	for batch := range slices.Chunk(rows, size) {
		if _, err := s.Append(b.Context(), batch); err != nil {
			b.Fatalf("Append: %v", err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(processCPU(b)-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkLast50 reads the newest page of a room whose pages are cached.
func BenchmarkLast50(b *testing.B) {
	s := openStore(b, b.TempDir())
	batch := make([]store.Append, 500)
	for i := range batch {
		batch[i] = store.Append{
			Room:      chat.RoomID("room-" + strconv.Itoa(i%4)),
			Kind:      chat.KindMessage,
			Actor:     chat.User{ID: "1", Name: "User 1"},
			Nonce:     chat.Nonce("nonce-" + strconv.Itoa(i)),
			Body:      chat.MessageBody(strings.Repeat("x", benchBody)),
			MayCreate: true,
		}
	}
	if _, err := s.Append(b.Context(), batch); err != nil {
		b.Fatalf("Append: %v", err)
	}
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Before(b.Context(), "room-1", 0, store.Limit{Events: 50, Bytes: 1 << 20})
		if err != nil || len(page.Events) != 50 {
			b.Fatalf("Before = %d events, %v, want 50", len(page.Events), err)
		}
	}
}

// processCPU is what the process has used, in user and system mode.
func processCPU(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatalf("Getrusage: %v", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkHeads compares a thousand rooms, as the hub does in one look.
func BenchmarkHeads(b *testing.B) {
	s := openStore(b, b.TempDir())
	ids := make([]chat.RoomID, 1000)
	for i := range ids {
		ids[i] = chat.RoomID("room-" + strconv.Itoa(i))
	}
	batch := make([]store.Append, 10*len(ids))
	for i := range batch {
		batch[i] = store.Append{
			Room: ids[i%len(ids)], Kind: chat.KindMessage, Actor: chat.User{ID: "1", Name: "User 1"},
			Body: chat.MessageBody(strings.Repeat("x", benchBody)), MayCreate: true,
		}
	}
	if _, err := s.Append(b.Context(), batch); err != nil {
		b.Fatalf("Append: %v", err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if heads, err := s.Heads(b.Context(), ids); err != nil || len(heads) != len(ids) {
			b.Fatalf("Heads = %d rooms, %v, want %d", len(heads), err, len(ids))
		}
	}
}
