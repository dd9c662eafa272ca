package proxy

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many bytes c's peer has not acknowledged yet.
func unacknowledged(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n
}
