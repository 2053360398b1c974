//go:build linux

package bench

import "fmt"

const (
	// maxInflight is the number of commands that a server takes without
	// having answered, protocol.md §9.
	maxInflight = 64
	// maxSize is the largest content, protocol.md §5.1.
	maxSize = 16 << 10
	// maxRate is beyond what the generator can offer on any machine so far.
	maxRate = 1_000_000
	// spareFiles are left for the standard streams and the runtime's own.
	spareFiles = 64
)

// checkConnections compares a number with the files that may be open.
func checkConnections(n int) error {
	limit, err := fileLimit()
	if err != nil {
		return err
	}
	if n < 1 || n > limit-spareFiles {
		return fmt.Errorf("%d connections: this process may have 1 to %d (ulimit -n)", n, limit-spareFiles)
	}
	return nil
}

func checkLoad(connections, inflight, size int, rate float64) error {
	switch {
	case inflight < 1 || inflight > maxInflight:
		return fmt.Errorf("%d messages in flight: want 1 to %d", inflight, maxInflight)
	case size < 1 || size > maxSize:
		return fmt.Errorf("messages of %d bytes: want 1 to %d", size, maxSize)
	case rate < 0 || rate > maxRate:
		return fmt.Errorf("a rate of %v messages/s: want 0 to %d", rate, maxRate)
	}
	return checkConnections(connections)
}

func checkRooms(rooms, members int) error {
	if rooms < 1 || members < 1 {
		return fmt.Errorf("%d rooms of %d members: want at least one of each", rooms, members)
	}
	return nil
}
