//go:build !linux

package splice

import (
	"net"
	"syscall"
)

// Pipes lends kernel pipes, which only Linux has a use for.
type Pipes struct{}

// Close does nothing here.
func (p *Pipes) Close() {}

// move passes bytes from src to dst until src's end.
func (d *direction) move() error { return d.copyBytes() }

// watch waits until c, which has come to its end of file, is reset or closed.
func watch(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && n != 0 {
			err = syscall.Errno(n)
		}
		failed = err
		return failed != nil
	})
	if failed != nil {
		return failed
	}
	return err
}
