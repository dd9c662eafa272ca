package netns_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/iptables"
	"github.com/sluice-proxy/sluice/test/netns"
)

// TestStrayAckOpensNoWayPast sends an ACK that belongs to nothing, which
// connection tracking takes for a connection from before the rules, and then
// connects from the same port. With an MD5 option the ACK is not even answered
// by a reset, and is tracked for minutes.
func TestStrayAckOpensNoWayPast(t *testing.T) {
	each(t, func(t *testing.T, l *lab, mode iptables.Mode, b iptables.Backend) {
		l.apply(t, l.options(mode), b)
		v4 := families()[0]
		port := 40000
		for name, options := range map[string][]byte{
			"reset":      nil,
			"unanswered": append([]byte{19, 18}, make([]byte, 18)...), // MD5 signature, padded
		} {
			port++
			from, to := netip.MustParseAddrPort(at(v4.peer, port)), netip.MustParseAddrPort(at(v4.pod, servicePort))
			if err := l.peer.Do(func() error { return sendAck(from, to, options) }); err != nil {
				t.Fatal(err)
			}
			got := askWithin(t, 700*time.Millisecond, l.peer, netns.As{Local: at(v4.peer, port)}, at(v4.pod, servicePort))
			if got == "service sees "+v4.peer {
				t.Errorf("%s: the connection slipped past Sluice", name)
			}
			// An ACK to an excluded port is nobody's business.
			if got, want := ask(t, l.peer, netns.As{}, at(v4.pod, excludedIn)), "service sees "+v4.peer; got != want {
				t.Errorf("%s: excluded port: got %q, want %q", name, got, want)
			}
		}
	})
}

// sendAck sends one TCP packet with nothing but the ACK flag.
func sendAck(from, to netip.AddrPort, options []byte) error {
	conn, err := net.ListenIP("ip4:tcp", &net.IPAddr{IP: from.Addr().AsSlice()})
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	defer conn.Close()
	const ack = 0x10
	size := 20 + len(options)
	packet := make([]byte, size)
	binary.BigEndian.PutUint16(packet[0:], from.Port())
	binary.BigEndian.PutUint16(packet[2:], to.Port())
	binary.BigEndian.PutUint32(packet[4:], 1000)
	binary.BigEndian.PutUint32(packet[8:], 2000)
	packet[12], packet[13] = byte(size/4)<<4, ack
	binary.BigEndian.PutUint16(packet[14:], 1024)
	copy(packet[20:], options)
	source, destination := from.Addr().As4(), to.Addr().As4()
	pseudo := append(append(source[:], destination[:]...), 0, unix.IPPROTO_TCP, byte(size>>8), byte(size))
	binary.BigEndian.PutUint16(packet[16:], checksum(append(pseudo, packet...)))
	_, err = conn.WriteToIP(packet, &net.IPAddr{IP: to.Addr().AsSlice()})
	return err
}

// checksum is the internet checksum of an even number of bytes.
func checksum(data []byte) uint16 {
	var sum uint32
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
