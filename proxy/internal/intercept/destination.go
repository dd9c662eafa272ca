// Package intercept is where Sluice meets the kernel: it finds out where a
// redirected connection was going, listens and dials with the marks that
// redirection needs, knows its own connections when they come back, and names
// what went wrong.
package intercept

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrNotRedirected is the error of a connection that was made to the listener
// itself, or whose original destination the kernel has forgotten.
var ErrNotRedirected = errors.New("not a redirected connection")

// OriginalDestination returns where c was going before REDIRECT or TPROXY
// brought it here. IPv4 addresses are plain, also on a dual-stack listener. The
// error is [ErrNotRedirected], or another one of the kernel's. There is no
// fallback to the local address: that would be Sluice itself.
func OriginalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	local := c.LocalAddr().(*net.TCPAddr).AddrPort()
	local = unmap(local)
	original, transparent, err := lookup(c, local.Addr().Is4())
	switch {
	case transparent && (err != nil || !original.IsValid()):
		return local, nil //nolint:nilerr // under TPROXY the local address is the destination, whatever conntrack says
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("find original destination of connection to %v: %w", local, err)
	case original == local && !transparent:
		return netip.AddrPort{}, ErrNotRedirected
	}
	return original, nil
}
