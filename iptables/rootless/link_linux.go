package rootless

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The command's own addresses are from the ranges for documentation (RFC 5737,
// RFC 3849): nobody's service is ever hidden behind them.
var (
	insideV4 = netip.AddrFrom4([4]byte{192, 0, 2, 2})
	insideV6 = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: 2})
)

// linkUp brings lo up, and with it 127.0.0.1 and ::1.
func linkUp() (index int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return 0, err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, lo); err != nil {
		return 0, err
	}
	return int(lo.Uint32()), nil
}

// routeEverything gives the link addr and a default route from it, so that
// every connect finds a route and a source before the redirect takes over.
func routeEverything(index int, addr netip.Addr) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := requestAck(fd, unix.RTM_NEWADDR, addressMessage(index, addr)); err != nil {
		return fmt.Errorf("add address %s: %w", addr, err)
	}
	if err := requestAck(fd, unix.RTM_NEWROUTE, defaultRouteMessage(index, addr)); err != nil {
		return fmt.Errorf("add default route from %s: %w", addr, err)
	}
	return nil
}

// localRouteBudget is the longest wait for the kernel's work queue.
const localRouteBudget = 5 * time.Second

// awaitLocalRoute waits until packets to addr are delivered. The kernel accepts
// an IPv6 address at once, but inserts its local route from a work queue
// (addrconf_dad_work), duplicate detection or not: on a busy machine the
// command's first packets got no answer.
func awaitLocalRoute(addr netip.Addr) error {
	want := hex.EncodeToString(addr.AsSlice())
	for deadline := time.Now().Add(localRouteBudget); ; time.Sleep(time.Millisecond) {
		routes, err := os.ReadFile("/proc/net/ipv6_route")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(routes)) {
			if isLocalRoute(line, want) {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no local route of %s after %s", addr, localRouteBudget)
		}
	}
}

// rtfLocal marks a route to an address of this machine, linux/ipv6_route.h.
const rtfLocal = 0x80000000

// isLocalRoute reads a line of /proc/net/ipv6_route, as isIPv6Default does.
func isLocalRoute(line, destination string) bool {
	field := strings.Fields(line)
	if len(field) != 10 || field[0] != destination || field[1] != "80" {
		return false
	}
	flags, err := strconv.ParseUint(field[8], 16, 32)
	return err == nil && flags&rtfLocal != 0
}

// addressMessage is a struct ifaddrmsg and its attributes, rtnetlink(7).
func addressMessage(index int, addr netip.Addr) []byte {
	b := []byte{family(addr), byte(addr.BitLen()), unix.IFA_F_PERMANENT | unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = appendAttribute(b, unix.IFA_LOCAL, addr.AsSlice())
	return appendAttribute(b, unix.IFA_ADDRESS, addr.AsSlice())
}

// defaultRouteMessage is a struct rtmsg and its attributes.
func defaultRouteMessage(index int, source netip.Addr) []byte {
	scope := byte(unix.RT_SCOPE_LINK)
	if source.Is6() {
		scope = unix.RT_SCOPE_UNIVERSE
	}
	b := []byte{family(source), 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, scope, unix.RTN_UNICAST}
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = appendAttribute(b, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	return appendAttribute(b, unix.RTA_PREFSRC, source.AsSlice())
}

func family(addr netip.Addr) byte {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// appendAttribute appends a struct rtattr, padded to four bytes.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%unix.RTA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// requestAck sends one request to create something and waits for the kernel's
// answer, which comes at once.
func requestAck(fd int, kind uint16, body []byte) error {
	const flags = unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...) // sequence number, sender: one request at a time
	if err := unix.Sendto(fd, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("unexpected answer of %d bytes from rtnetlink", n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
