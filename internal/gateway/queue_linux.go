package gateway

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// queued returns how many bytes a socket holds that its peer has not
// acknowledged, 0 if that is not known.
func queued(socket net.Conn) (n int64) {
	sc, ok := socket.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if out, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = int64(out)
		}
	})
	if err != nil {
		return 0
	}
	return n
}
