package intercept

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// originalDst is SO_ORIGINAL_DST at level SOL_IP and IP6T_SO_ORIGINAL_DST at
// SOL_IPV6 (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h).
const originalDst = 80

// lookup asks the kernel for c's original destination and whether its listener
// was transparent.
func lookup(c *net.TCPConn, is4 bool) (original netip.AddrPort, transparent bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, false, err
	}
	cerr := raw.Control(func(fd uintptr) {
		transparent = isTransparent(int(fd))
		if is4 {
			original, err = original4(int(fd))
		} else {
			original, err = original6(int(fd))
		}
	})
	if cerr != nil {
		return netip.AddrPort{}, false, cerr
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EOPNOTSUPP) {
		err = ErrNotRedirected // no such entry in conntrack, or no conntrack at all
	}
	return original, transparent, err
}

// original4 borrows a getsockopt whose result is large enough for a sockaddr_in.
func original4(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := m.Multiaddr // struct sockaddr_in: family, port, address
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

// original6 borrows a getsockopt whose result begins with a sockaddr_in6.
func original6(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], m.Addr.Port) // as it lies in memory: network order
	a := netip.AddrFrom16(m.Addr.Addr)
	if a.IsLinkLocalUnicast() && m.Addr.Scope_id != 0 {
		a = a.WithZone(strconv.Itoa(int(m.Addr.Scope_id)))
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port[:])), nil
}

// isTransparent reads the flag that an accepted socket has from its listener;
// both levels read the same one.
func isTransparent(fd int) bool {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT); err == nil && on != 0 {
		return true
	}
	on, err := unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TRANSPARENT)
	return err == nil && on != 0
}

func setMark(fd int, mark uint32) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		return markError(err)
	}
	return nil
}

// checkMark tries the mark on a socket that goes nowhere.
func checkMark(mark uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return markError(err)
	}
	defer unix.Close(fd)
	return setMark(fd, mark)
}

// setListen prepares a listening socket.
func setListen(c syscall.RawConn, o Options, is6 bool) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		if o.ReusePort {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if err == nil && o.Transparent {
			err = transparentError(setTransparent(int(fd), is6))
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}
