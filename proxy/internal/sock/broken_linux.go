package sock

import (
	"net"

	"golang.org/x/sys/unix"
)

// Broken reports whether c, whose own side is open, has ended by a reset: after
// the peer's end alone it would be half open. The kernel tells of a reset once;
// where a write has heard of it, reading says no more than that the end is there.
func Broken(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	broken := false
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		broken = err == nil && info.State == unix.BPF_TCP_CLOSE
	})
	return broken
}

// Unsent returns how many bytes c's peer has not acknowledged yet.
func Unsent(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		// What a connection that was reset held is gone, but still counted.
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State != unix.BPF_TCP_CLOSE {
			n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		}
	})
	return n
}
