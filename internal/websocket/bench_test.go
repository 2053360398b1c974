package websocket

import (
	"fmt"
	"io"
	"testing"
)

// endless is a source that repeats frames for ever, perRead of them at a time
// where the buffer allows.
type endless struct {
	frames  []byte
	perRead int
	off     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for range e.perRead {
		m := copy(p[n:], e.frames[e.off:])
		n += m
		if e.off = (e.off + m) % len(e.frames); e.off != 0 {
			break
		}
	}
	return n, nil
}

// BenchmarkNext is the cost of reading a message without that of the system.
func BenchmarkNext(b *testing.B) {
	for _, perRead := range []int{1, 16} {
		b.Run(fmt.Sprintf("200 bytes, %d a read", perRead), func(b *testing.B) {
			drain(b, &endless{frames: []byte(text(stars(200))), perRead: perRead})
		})
	}
	b.Run("64 KiB", func(b *testing.B) {
		b.SetBytes(64 << 10)
		drain(b, &endless{frames: []byte(text(stars(64 << 10))), perRead: 1})
	})
}

// BenchmarkNextTCP is the same over loopback; a part of it is the writing.
func BenchmarkNextTCP(b *testing.B) {
	for _, perWrite := range []int{1, 16} {
		b.Run(fmt.Sprintf("200 bytes, %d a write", perWrite), func(b *testing.B) {
			client, server := loopback(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var burst []byte
				for range perWrite {
					burst = append(burst, text(stars(200))...)
				}
				for {
					if _, err := client.Write(burst); err != nil {
						return
					}
				}
			}()
			drain(b, server)
			server.Close()
			client.Close()
			<-done
		})
	}
}

func drain(b *testing.B, src io.Reader) {
	r := NewReader(src, nil, Server, Limits{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	payload, dst := []byte(stars(200)), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendText(dst[:0], payload)
	}
}
