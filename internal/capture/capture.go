// Package capture keeps what is written for a test that reads it meanwhile.
package capture

import (
	"bytes"
	"sync"
)

// Buffer keeps what is written to it. It is empty at first; its methods may be
// called from any goroutine.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
