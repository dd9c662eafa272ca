package rootless

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// replaceBy returns a dialler's control function that puts the file's socket
// in the place of the dialler's own, under the same descriptor. The function
// runs before the socket is connected and before the runtime polls it.
func replaceBy(file *os.File) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, _ string, own syscall.RawConn) error {
		other, err := file.SyscallConn()
		if err != nil {
			return err
		}
		var dupErr error
		err = own.Control(func(ownFD uintptr) {
			err := other.Control(func(otherFD uintptr) {
				dupErr = unix.Dup3(int(otherFD), int(ownFD), unix.O_CLOEXEC)
			})
			if dupErr == nil {
				dupErr = err
			}
		})
		if err == nil {
			err = dupErr
		}
		return err
	}
}

// soOriginalDst is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, which are equal.
const soOriginalDst = 80

// originalDestination asks the redirect where conn was going.
func originalDestination(conn *net.TCPConn) (netip.AddrPort, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	var dst netip.AddrPort
	var readErr error
	err = raw.Control(func(fd uintptr) {
		if local.Addr().Unmap().Is4() {
			dst, readErr = destinationV4(int(fd))
		} else {
			dst, readErr = destinationV6(int(fd))
		}
	})
	if err == nil {
		err = readErr
	}
	return dst, err
}

// destinationV4 reads a struct sockaddr_in; the type it reads into is only a
// buffer of the right size that x/sys can fill.
func destinationV4(fd int) (netip.AddrPort, error) {
	buffer, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := buffer.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}

// destinationV6 reads a struct sockaddr_in6, likewise.
func destinationV6(fd int) (netip.AddrPort, error) {
	buffer, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := binary.NativeEndian.AppendUint16(nil, buffer.Addr.Port)
	return netip.AddrPortFrom(netip.AddrFrom16(buffer.Addr.Addr), binary.BigEndian.Uint16(port)), nil
}
