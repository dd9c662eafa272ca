package intercept

import (
	"net"
	"net/netip"
)

// Own knows the addresses of Sluice's own listeners. It never changes.
type Own struct{ listeners []netip.AddrPort }

// NewOwn returns an Own of listeners; other than TCP addresses are of no
// interest.
func NewOwn(listeners ...net.Addr) *Own {
	o := new(Own)
	for _, l := range listeners {
		if tcp, ok := l.(*net.TCPAddr); ok {
			o.listeners = append(o.listeners, unmap(tcp.AddrPort()))
		}
	}
	return o
}

// IsOwn reports whether to dial destination would reach one of the listeners: a
// connection that is going there was made by mistake, or came back.
func (o *Own) IsOwn(destination netip.AddrPort) bool {
	destination = unmap(destination)
	to := destination.Addr().WithZone("")
	for _, l := range o.listeners {
		if l.Port() != destination.Port() {
			continue
		}
		at := l.Addr().WithZone("")
		switch {
		case at == to:
			return true
		case at.IsUnspecified() && (at.Is6() || to.Is4()) && isLocal(to):
			return true // [::] listens on IPv4 too, 0.0.0.0 on nothing else
		case to.IsUnspecified() && at.IsLoopback():
			return true // the kernel takes it for its loopback address
		}
	}
	return false
}

// isLocal reports whether connections to a end on this host. It asks the kernel
// anew, since addresses come and go; that happens for our own ports only.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // refusing one connection is better than a loop
	}
	for _, each := range addrs {
		if n, ok := each.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return true
			}
		}
	}
	return false
}
