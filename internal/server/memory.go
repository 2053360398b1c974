package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The runtime keeps what a burst has left behind, up to as much again as is in
// use, to be quick the next time. A chat server is mostly silent: ten thousand
// handshakes leave more garbage than the connections that they made need. So
// once the server has fallen quiet, what is worth it goes back to the system.
const (
	// tidyEvery is how often the server looks whether it is quiet.
	tidyEvery = time.Second
	// quietBytes is the most that a quiet server allocates between two looks:
	// a few hundred messages, or the comparison of a few thousand rooms with
	// the store.
	quietBytes = 2 << 20
	// worthBytes is the least to be given back, and a thirty-second of what is in
	// use. Collecting costs some 50 ms of processor time at 10,000 connections,
	// which are then 0.15 KiB each.
	worthBytes = 1 << 20
)

// gcPercent is how much garbage there may be beside what is in use before it
// is collected. A connection is some 2.3 KB of live heap that is scattered
// among the garbage of its handshake; half of the runtime's own 100 % makes an
// idle connection 0.3 KiB smaller, and cost nothing that could be measured in
// the scenarios of docs/performance.md. A GOGC variable overrules it.
const gcPercent = 50

func setGCPercent() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// tidy gives memory back until ctx ends.
func tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	m := readMemory()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		last := m
		m = readMemory()
		if m.allocated-last.allocated <= quietBytes && m.spare() >= max(worthBytes, m.live/32) {
			debug.FreeOSMemory()
			m = readMemory()
		}
	}
}

// memory is what the runtime says of its heap, in bytes.
type memory struct {
	allocated uint64 // ever
	objects   uint64 // in use, or garbage not collected yet
	live      uint64 // in use at the last collection
	free      uint64 // kept for later
}

// spare estimates what a collection would let go of.
func (m memory) spare() uint64 {
	return m.free + m.objects - min(m.objects, m.live)
}

func readMemory() memory {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return memory{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}
