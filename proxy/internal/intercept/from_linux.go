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

// bindFrom binds a socket that is about to connect to destination.
func bindFrom(c syscall.RawConn, from netip.Addr, destination netip.AddrPort) error {
	if from.Is4() != destination.Addr().Is4() {
		return fromError(from, unix.EAFNOSUPPORT)
	}
	var err error
	cerr := c.Control(func(fd uintptr) {
		if err = setTransparent(int(fd), from.Is6()); err != nil {
			return
		}
		// One port serves connections to several destinations.
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return
		}
		err = choosePort(func(port uint16) (bool, error) {
			source := netip.AddrPortFrom(from, port)
			if source == destination || isTaken(destination, source) {
				return false, nil
			}
			err := unix.Bind(int(fd), sockaddr(source))
			if errors.Is(err, unix.EADDRINUSE) {
				return false, nil // somebody listens there on every address
			}
			return err == nil, err
		})
	})
	if cerr != nil {
		return cerr
	}
	return fromError(from, err)
}

func setTransparent(fd int, is6 bool) error {
	err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1)
	if err == nil && is6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	return err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zoneIndex(a.Addr().Zone())}
}

func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	device, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(device.Index)
}

// isTaken asks the kernel whether this host has a connection from remote at
// local, whoever's: a caller's own one has both its addresses the same as ours
// would have at the service. Where the kernel cannot tell (sock_diag is an
// option of it), nothing is taken.
func isTaken(local, remote netip.AddrPort) bool {
	state, err := diagnose(local, remote)
	if err != nil {
		return false
	}
	const timeWait, listen = 6, 10 // linux/tcp_states.h
	return state != listen && state != timeWait
}

// sock_diag's numbers and sizes, from linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	diagRequestSize  = 56 // struct inet_diag_req_v2
	diagNoCookie     = 0xffffffff
)

// diagnose answers the state of the socket that gets what remote sends to
// local: a connection, or else a listener. The error is ENOENT if there is none.
func diagnose(local, remote netip.AddrPort) (state byte, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	// The kernel has answered before Sendto returned.
	answer := make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, err
	}
	answer = answer[:n]
	if n < unix.SizeofNlMsghdr+4 {
		return 0, unix.EBADMSG
	}
	body := answer[unix.SizeofNlMsghdr:]
	switch binary.NativeEndian.Uint16(answer[4:]) { // nlmsg_type
	case sockDiagByFamily:
		return body[1], nil // idiag_state
	case unix.NLMSG_ERROR:
		if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
			return 0, unix.Errno(-code)
		}
	}
	return 0, unix.EBADMSG
}

func diagRequest(local, remote netip.AddrPort) []byte {
	family := byte(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, 0, unix.SizeofNlMsghdr+diagRequestSize)
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr+diagRequestSize)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint64(b, 0) // sequence, port
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 0xffffffff) // every state
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		var padded [16]byte
		copy(padded[:], a.AsSlice())
		b = append(b, padded[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, zoneIndex(local.Addr().Zone()))
	b = binary.NativeEndian.AppendUint32(b, diagNoCookie)
	return binary.NativeEndian.AppendUint32(b, diagNoCookie)
}
