package transporttest

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tertulia/internal/hub/pipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipePeer is the reading end of a pipe.
type pipePeer struct{ *pipe.Pipe }

func (p pipePeer) Close() error { p.Abort(); return nil }

func TestPipe(t *testing.T) {
	Run(t, func(t *testing.T, writeTimeout time.Duration) Side {
		p := pipe.New(10_000, writeTimeout)
		t.Cleanup(p.Abort)
		return Side{
			Transport: p,
			Peer:      pipePeer{p},
			Frame:     func(dst, payload []byte) []byte { return append(append(dst, payload...), '\n') },
			Told:      func(_ []byte, end error) bool { return errors.Is(end, pipe.ErrSlow) },
		}
	})
}
