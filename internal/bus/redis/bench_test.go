//go:build unix

package redis

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// A message goes from one node to another, both in this process, in 100 rooms,
// with 1,000 on their way at most. redis-us is the server's CPU for each,
// cpu-us all of it.
func BenchmarkTwoNodes(b *testing.B) {
	two := nodes(b, 2, shared(b))
	var got atomic.Int64
	arrived := make(chan struct{}, 1)
	var topics []bus.Topic
	for i := range 100 {
		topics = append(topics, bus.RoomTopic(chat.RoomID(fmt.Sprint("room-", i))))
		if _, err := two[1].Subscribe(b.Context(), topics[i], func(events []chat.Event) {
			got.Add(int64(len(events)))
			wake(arrived)
		}); err != nil {
			b.Fatal(err)
		}
	}
	event := chat.Event{Room: "room-10", Kind: chat.KindMessage, Actor: chat.User{ID: "u-12345", Name: "Inés"}, At: time.Now().UTC().Truncate(time.Millisecond), Epoch: "0123456789abcdef",
		ID: 1 << 40, Tag: 1 << 31, Follows: 1 << 30, Nonce: "01968c2e-5a2e-7000-8000-000000000000", Body: chat.MessageBody(strings.Repeat("x", 100))}
	own, server := ownCPU(b), serverCPU(b, two[0])
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		e := event
		e.Seq = uint64(sent)
		two[0].Publish(topics[sent%100], []chat.Event{e})
		sent++
		for sent-got.Load() > 1000 {
			<-arrived
		}
	}
	for deadline := time.Now().Add(patience); got.Load() < sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d messages arrived", got.Load(), sent)
		}
	}
	ofServer := serverCPU(b, two[0]) - server
	all := ownCPU(b) - own + ofServer
	b.ReportMetric(float64(ofServer.Microseconds())/float64(sent), "redis-us/op")
	b.ReportMetric(float64(all.Microseconds())/float64(sent), "cpu-us/op")
}

// ownCPU is what this process has used.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU is what Redis has used.
func serverCPU(b *testing.B, from *Bus) (used time.Duration) {
	client := from.redis.Commands()
	text, err := client.Do(b.Context(), client.B().Info().Section("cpu").Build()).ToString()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			used += time.Duration(seconds * float64(time.Second))
		}
	}
	return used
}
