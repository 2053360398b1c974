//go:build !race

package websocket

// The race detector has memory of its own and makes sync.Pool forget, so that
// this file is built without it.

import (
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// An idle connection costs little, and a reader that has been busy goes back
// to that. The race detector has memory of its own, so that this file is built
// without it.
func TestIdleMemory(t *testing.T) {
	const (
		conns = 500
		// stackBytes is the stack that a goroutine is born with; the rest
		// of the allowance is for the test's own goroutines.
		stackBytes = 2048
		slackBytes = 200
		// totalBytes is for the stack and for both ends of a connection,
		// of which the client's net.Conn would not be ours.
		totalBytes = 5 << 10
	)
	took := make(chan struct{}, conns)
	var readers sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		up, err := Upgrade(w, req)
		if err != nil {
			t.Error(err)
			return
		}
		r := NewReader(up.Conn, up.Early, Server, Limits{Idle: time.Hour})
		readers.Go(func() {
			defer up.Conn.Close()
			for {
				if _, err := r.Next(); err != nil {
					return
				}
				took <- struct{}{}
			}
		})
	}))
	defer server.Close()

	// The runtime gives a new goroutine the average stack of those that the
	// last garbage collection met. So the connections to be measured come to
	// a server that has as many already.
	crowd := dialMany(t, server, conns)
	before := memoryNow()
	clients := dialMany(t, server, conns)
	defer readers.Wait()
	defer func() {
		for _, c := range append(crowd, clients...) {
			c.Close()
		}
	}()

	for _, stage := range []struct{ name, frames string }{
		{"after the handshake", ""},
		{"after a text of 200 bytes", text(stars(200))},
		{"after a ping", ping("")},
		{"after two fragments", first("a") + last("b")},
		{"after a text of 16 KiB", text(stars(16 << 10))},
	} {
		for _, c := range clients {
			if stage.frames == "" {
				break
			}
			if _, err := c.Write([]byte(stage.frames)); err != nil {
				t.Fatal(err)
			}
			<-took
		}
		now := memoryNow()
		stack, heap := (now.stack-before.stack)/conns, (now.heap-before.heap)/conns
		t.Logf("%s: %d bytes of stack, %d of heap a connection", stage.name, stack, heap)
		if stack > stackBytes+slackBytes {
			t.Errorf("%s: %d bytes of stack a connection, want %d", stage.name, stack, stackBytes)
		}
		if stack+heap > totalBytes {
			t.Errorf("%s: %d bytes a connection, want at most %d", stage.name, stack+heap, totalBytes)
		}
	}
}

func dialMany(t *testing.T, server *httptest.Server, n int) []net.Conn {
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dialRaw(t, server, request(goodHeader))
	}
	return conns
}

// The runtime gives an object 768 bytes, 8 of them for itself, or else 896.
func TestReaderSize(t *testing.T) {
	if got := unsafe.Sizeof(Reader{}); got > 760 {
		t.Errorf("a Reader has %d bytes, want at most 760", got)
	}
}

type memory struct{ stack, heap int }

func memoryNow() memory {
	// Twice, because what sync.Pool holds survives the first collection.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{stack: int(m.StackInuse), heap: int(m.HeapAlloc)}
}

func TestNextAllocatesNothing(t *testing.T) {
	tests := []struct{ name, in string }{
		{"text", text(stars(200))},
		{"ping", ping(stars(50))},
		{"fragments", first(stars(50)) + ping("") + last(stars(50))},
		{"text of 8 KiB", text(stars(8 << 10))},
	}
	for _, tt := range tests {
		r := NewReader(&endless{frames: []byte(tt.in), perRead: 1}, nil, Server, Limits{ControlPerSecond: -1})
		allocs := testing.AllocsPerRun(1000, func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		})
		if allocs >= 1 {
			t.Errorf("%s: %v allocations a message, want 0", tt.name, allocs)
		}
	}
}
