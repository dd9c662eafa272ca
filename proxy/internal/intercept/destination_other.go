//go:build !linux

package intercept

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

var errLinux = errors.New("redirected connections need Linux")

func lookup(*net.TCPConn, bool) (netip.AddrPort, bool, error) {
	return netip.AddrPort{}, false, errLinux
}

func setMark(int, uint32) error { return errLinux }

func checkMark(uint32) error { return markError(errLinux) }

func setListen(_ syscall.RawConn, o Options, _ bool) error {
	if o.Transparent || o.ReusePort {
		return transparentError(errLinux)
	}
	return nil
}

func bindFrom(_ syscall.RawConn, from netip.Addr, _ netip.AddrPort) error {
	return fromError(from, errLinux)
}
