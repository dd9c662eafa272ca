package netns_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/iptables"
	"github.com/sluice-proxy/sluice/test/netns"
)

// family is the addresses of one address family in the lab.
type family struct {
	name                 string
	pod, peer, elsewhere string // elsewhere is peer's second address, in excluded CIDRs
	loopback             string
}

func families() []family {
	return []family{
		{"v4", "10.77.0.2", "10.77.0.1", "10.78.0.1", "127.0.0.1"},
		{"v6", "fd77::2", "fd77::1", "fd78::1", "::1"},
	}
}

func at(host string, port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)).String()
}

// Ports of the lab.
const (
	servicePort  = 8080 // in the pod
	excludedIn   = 8081
	serverPort   = 80 // on the peer
	excludedOut  = 81
	echoPort     = 7777 // on both: for connections that live long
	serviceReply = "service"
	serverReply  = "server"
)

// ordinary is the service's own user.
var ordinary = netns.As{UID: 65534, GID: 65534}

// lab is a pod with a service, a peer that is its client and its server, and in
// the pod a stand-in for Sluice, which tells where a connection wanted to go.
type lab struct {
	pod, peer *netns.Host
	sluice    []*net.TCPListener
}

func newLab(t *testing.T, mode iptables.Mode) *lab {
	t.Helper()
	l := &lab{pod: netns.New(t, "pod"), peer: netns.New(t, "peer")}
	netns.Connect(t, l.pod, "10.77.0.2/24 fd77::2/64", l.peer, "10.77.0.1/24 fd77::1/64 10.78.0.1/24 fd78::1/64")
	l.pod.Run(t, "ip", "route", "add", "default", "via", "10.77.0.1")
	l.pod.Run(t, "ip", "-6", "route", "add", "default", "via", "fd77::1")
	tell := func(who string) func(*net.TCPConn) string {
		return func(c *net.TCPConn) string { return who + " sees " + hostOf(c.RemoteAddr()) }
	}
	for _, port := range []int{servicePort, excludedIn, iptables.DefaultHealthPort} {
		serve(t, l.pod.Listen(t, fmt.Sprintf(":%d", port), ordinary), tell(serviceReply))
	}
	for _, port := range []int{serverPort, excludedOut} {
		serve(t, l.peer.Listen(t, fmt.Sprintf(":%d", port), netns.As{}), tell(serverReply))
	}
	for _, host := range []*netns.Host{l.pod, l.peer} {
		serve(t, host.Listen(t, fmt.Sprintf(":%d", echoPort), ordinary), echo)
	}
	out := l.pod.Listen(t, fmt.Sprintf(":%d", iptables.DefaultOutboundPort), netns.As{Mark: iptables.DefaultMark})
	serve(t, out, func(c *net.TCPConn) string { return "outbound to " + originalDestination(c) })
	in := l.pod.Listen(t, fmt.Sprintf(":%d", iptables.DefaultInboundPort), netns.As{Mark: iptables.DefaultMark, Transparent: mode == iptables.TProxy})
	serve(t, in, func(c *net.TCPConn) string {
		if mode == iptables.TProxy {
			return l.relay(c)
		}
		return "inbound to " + originalDestination(c)
	})
	l.sluice = []*net.TCPListener{out, in}
	return l
}

// relay tells where the connection went, and what the service answers to a
// connection in the client's name.
func (l *lab) relay(c *net.TCPConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	told := "inbound to " + addrPort(c.LocalAddr())
	service, err := l.pod.Dial(ctx, "tcp", addrPort(c.LocalAddr()), netns.As{
		Mark: iptables.DefaultMark, Transparent: true, Local: at(hostOf(c.RemoteAddr()), 0),
	})
	if err != nil {
		return told + ": " + reason(err)
	}
	return told + ": " + readLine(service)
}

// options are the lab's: some ports and CIDRs excluded.
func (l *lab) options(mode iptables.Mode) iptables.Options {
	o := iptables.DefaultOptions()
	o.Mode = mode
	o.ExcludeInboundPorts = []string{fmt.Sprint(excludedIn)}
	o.ExcludeOutboundPorts = []string{fmt.Sprint(excludedOut)}
	o.ExcludeCIDRs = []string{"10.78.0.0/23", "fd78::/33"}
	return o
}

func (l *lab) apply(t *testing.T, o iptables.Options, b iptables.Backend) iptables.Result {
	t.Helper()
	p, err := iptables.NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	var result iptables.Result
	if err := l.pod.Do(func() (err error) {
		result, err = iptables.Apply(t.Context(), p, b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return result
}

func (l *lab) remove(t *testing.T, b iptables.Backend) iptables.Result {
	t.Helper()
	var result iptables.Result
	if err := l.pod.Do(func() (err error) {
		result, err = iptables.Remove(t.Context(), b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return result
}

// state is everything that rules could leave behind in the pod, with handles.
func (l *lab) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, command := range []string{
		"nft -a -n list ruleset",
		"iptables-legacy-save", "ip6tables-legacy-save",
		"ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all",
	} {
		words := strings.Fields(command)
		b.WriteString(l.pod.Run(t, words[0], words[1:]...))
	}
	return regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]|expires \d+sec|packets \d+ bytes \d+`).ReplaceAllString(b.String(), "")
}

// traces are the lines of the state but for iptables' own empty tables.
func (l *lab) traces(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(l.state(t)) {
		line = strings.TrimSpace(line)
		if regexp.MustCompile(`^(table ip6? |chain (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) |type .* policy accept;|\}|\*|COMMIT|:[A-Z]+ ACCEPT|$)`).MatchString(line) {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// ask connects and answers the line that it is told, or "refused", "timeout".
func ask(t *testing.T, from *netns.Host, as netns.As, address string) string {
	t.Helper()
	return askWithin(t, 3*time.Second, from, as, address)
}

func askWithin(t *testing.T, limit time.Duration, from *netns.Host, as netns.As, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", address, as)
	if err != nil {
		return reason(err)
	}
	return readLine(conn)
}

func readLine(conn net.Conn) string {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return reason(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return reason(err)
	}
	return strings.TrimSpace(line)
}

func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.EOF):
		return "closed"
	}
	return err.Error()
}

// serve answers every connection with what reply says, if it says something.
func serve(t *testing.T, l *net.TCPListener, reply func(*net.TCPConn) string) {
	var conns sync.WaitGroup
	done := make(chan struct{})
	go acceptAll(l, reply, &conns, done)
	t.Cleanup(func() {
		l.Close()
		<-done
		conns.Wait()
	})
}

func acceptAll(l *net.TCPListener, reply func(*net.TCPConn) string, conns *sync.WaitGroup, done chan<- struct{}) {
	defer close(done)
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		conns.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if line := reply(c); line != "" {
				_, _ = io.WriteString(c, line+"\n")
			}
		})
	}
}

func echo(c *net.TCPConn) string {
	_, _ = io.Copy(c, c)
	return ""
}

// originalDestination asks connection tracking where a redirected connection
// was going: at level IP for IPv4, also on a dual-stack socket.
func originalDestination(c *net.TCPConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return err.Error()
	}
	var told string
	controlErr := raw.Control(func(fd uintptr) {
		const soOriginalDst = 80
		if netip.MustParseAddr(hostOf(c.RemoteAddr())).Is4() {
			// sockaddr_in fits in the first 16 bytes of an ipv6_mreq.
			mreq, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, soOriginalDst)
			if err != nil {
				told = err.Error()
				return
			}
			b := mreq.Multiaddr
			told = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3])).String()
			return
		}
		info, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, soOriginalDst)
		if err != nil {
			told = err.Error()
			return
		}
		port := info.Addr.Port<<8 | info.Addr.Port>>8 // in network order
		told = netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), port).String()
	})
	if controlErr != nil {
		return controlErr.Error()
	}
	return told
}

// addrPort and hostOf undo the IPv4-in-IPv6 form of dual-stack sockets.
func addrPort(a net.Addr) string {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

func hostOf(a net.Addr) string { return a.(*net.TCPAddr).AddrPort().Addr().Unmap().String() }
