//go:build !linux

package rootless

import (
	"context"
	"net"
	"net/netip"
)

// Namespace does not exist on this operating system.
type Namespace struct{}

// MaybeHelper does nothing here.
func MaybeHelper() {}

// LetGoOfStdio does nothing here.
func LetGoOfStdio() {}

// Start returns ErrUnsupported.
func Start(context.Context, Config) (*Namespace, error) { return nil, ErrUnsupported }

// Outbound returns nil.
func (*Namespace) Outbound() []*net.TCPListener { return nil }

// Destination returns ErrUnsupported.
func (*Namespace) Destination(*net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, ErrUnsupported
}

// DialInside returns ErrUnsupported.
func (*Namespace) DialInside(context.Context, netip.AddrPort) (*net.TCPConn, error) {
	return nil, ErrUnsupported
}

// Run returns ErrUnsupported.
func (*Namespace) Run(context.Context) (int, error) { return ExitFailed, ErrUnsupported }

// Close does nothing.
func (*Namespace) Close() error { return nil }
