package rootless

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestOutboundArrivesWithItsDestination(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		wantOutput(t, who.probe(t, drive{}, "dial", "198.51.100.7:80", "10.1.2.3:65535", "8.8.8.8:53"),
			"arrived at 198.51.100.7:80; arrived at 10.1.2.3:65535; arrived at 8.8.8.8:53")
	})
}

func TestOutboundArrivesWithItsDestinationV6(t *testing.T) {
	if !hostHasIPv6() {
		t.Skip("needs an IPv6 default route: the namespace has none without")
	}
	asEach(t, func(t *testing.T, who caller) {
		wantOutput(t, who.probe(t, drive{}, "dial", "[2001:db8:1::7]:443"), "arrived at [2001:db8:1::7]:443")
	})
}

func TestNoIPv6InsideWithoutIPv6Outside(t *testing.T) {
	if callers(t)[0].uid() != 0 {
		t.Skip("needs root: makes a network namespace without routes around the driver")
	}
	cmd := callers(t)[0].command(t, drive{Argv: []string{testBinary(), "probe", "dial", "[2001:db8:1::7]:443"}})
	cmd.SysProcAttr.Cloneflags |= unixCloneNewnet
	wantOutput(t, finish(t, cmd), "error: dial tcp [2001:db8:1::7]:443: connect: network is unreachable")
	cmd = callers(t)[0].command(t, drive{Argv: []string{testBinary(), "probe", "dial", "198.51.100.7:80"}})
	cmd.SysProcAttr.Cloneflags |= unixCloneNewnet
	wantOutput(t, finish(t, cmd), "arrived at 198.51.100.7:80")
}

func TestOwnPortsStayInside(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		wantOutput(t, who.probe(t, drive{}, "own", "127.0.0.1:80", "127.1.2.3:80", "[::1]:80", "192.0.2.2:80"),
			"own port; own port; own port; own port")
	})
}

func TestConnectionToTheListenerItselfIsNotRedirected(t *testing.T) {
	who := callers(t)[0]
	wantOutput(t, who.probe(t, drive{}, "self"), "refused: "+ErrNotRedirected.Error())
}

func TestHostPortReachesTheHostsLoopback(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go greetEach(l, "from the host")
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	asEach(t, func(t *testing.T, who caller) {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		wantOutput(t, who.probe(t, drive{HostPorts: []uint16{port}}, "dial", addr), "from the host")
		wantOutput(t, who.probe(t, drive{}, "dial", addr), "error: dial tcp "+addr+": connect: connection refused")
	})
}

func TestUDPIsRejectedAtOnce(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		addrs := []string{"198.51.100.7:443"}
		if hostHasIPv6() {
			addrs = append(addrs, "[2001:db8:1::7]:443")
		}
		for _, addr := range addrs {
			wantOutput(t, who.probe(t, drive{}, "udp", addr), "refused at once")
		}
	})
}

func TestPublishedPort(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		cmd := who.command(t, drive{Argv: []string{testBinary(), "probe", "serve", "8080"}, Publish: []uint16{8080, 8081}})
		p := startPiped(t, cmd)
		open := strings.TrimPrefix(p.errLine(t), "published ")
		closed := strings.TrimPrefix(p.errLine(t), "published ")
		if got := p.line(t); got != "serving" {
			t.Fatalf("got %q", got)
		}
		if got, err := probeDial([]string{open}); err != nil || got != "from inside" {
			t.Errorf("published port: got %q, %v", got, err)
		}
		if got, err := probeDial([]string{closed}); err == nil {
			t.Errorf("port without a listener inside: got %q, want a reset", got)
		}
		p.stdin.Close()
		if got := p.line(t); got != "served" {
			t.Errorf("got %q", got)
		}
	})
}

func TestDNSIsAnsweredFromOutside(t *testing.T) {
	resolver := fakeResolver(t)
	asEach(t, func(t *testing.T, who caller) {
		for _, tt := range []struct{ name, network, server string }{
			{name: "resolv.conf"},
			{name: "udp", network: "udp", server: "127.0.0.1:53"},
			{name: "udp6", network: "udp", server: "[::1]:53"},
			{name: "tcp", network: "tcp", server: "127.0.0.1:53"},
			{name: "tcp6", network: "tcp", server: "[::1]:53"},
			{name: "systemd-resolved's stub", network: "udp", server: "127.0.0.53:53"},
			{name: "systemd-resolved's stub over tcp", network: "tcp", server: "127.0.0.53:53"},
			{name: "any server over udp", network: "udp", server: "9.9.9.9:53"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				args := []string{"lookup", "service.test."}
				if tt.server != "" {
					args = append(args, tt.network, tt.server)
				}
				// The first resolver is a closed port: the second is asked at once.
				r := who.probe(t, drive{Resolvers: []netip.AddrPort{closedPort(t), resolver}}, args...)
				wantOutput(t, r, "[203.0.113.9]")
			})
		}
	})
}

func TestDNSFailsAtOnceWithoutAResolver(t *testing.T) {
	r := callers(t)[0].probe(t, drive{Resolvers: []netip.AddrPort{closedPort(t)}}, "lookup", "service.test.", "udp", "127.0.0.1:53")
	wantOutput(t, r, "error: server misbehaving")
}

// closedPort returns a loopback address where nothing listens.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// fakeResolver answers 203.0.113.9 to every A query, over UDP and TCP.
func fakeResolver(t *testing.T) netip.AddrPort {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = udp.WriteToUDPAddrPort(fakeAnswer(b[:n]), from)
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go answerTCP(c)
		}
	}()
	return addr
}

func answerTCP(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	length := make([]byte, 2)
	for {
		if _, err := readFull(r, length); err != nil {
			return
		}
		query := make([]byte, int(length[0])<<8|int(length[1]))
		if _, err := readFull(r, query); err != nil {
			return
		}
		answer := fakeAnswer(query)
		_, _ = c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
	}
}

func fakeAnswer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil
	}
	m.Response, m.Additionals = true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{203, 0, 113, 9}},
			})
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

func TestTwoAtOnceDoNotCollide(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		var running []*piped
		for range 2 {
			d := drive{Argv: []string{testBinary(), "probe", "serve", "8080"}, Publish: []uint16{8080}}
			running = append(running, startPiped(t, who.command(t, d)))
		}
		for _, p := range running {
			addr := strings.TrimPrefix(p.errLine(t), "published ")
			if got := p.line(t); got != "serving" {
				t.Fatalf("got %q", got)
			}
			if got, err := probeDial([]string{addr}); err != nil || got != "from inside" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		for _, p := range running {
			p.stdin.Close()
		}
	})
}

func TestANamespaceInANamespace(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		inner := who.command(t, drive{Argv: []string{testBinary(), "probe", "dial", "198.51.100.7:80"}})
		outer := who.command(t, drive{Argv: inner.Args})
		wantOutput(t, finish(t, outer), "arrived at 198.51.100.7:80")
	})
}

func TestOtherProgramsFindTheirWay(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl")
	}
	resolver := fakeResolver(t)
	asEach(t, func(t *testing.T, who caller) {
		cmd := who.command(t, drive{Resolvers: []netip.AddrPort{resolver}, Argv: []string{curl, "-sS", "--http0.9", "--max-time", "5", "http://service.test:8080/"}})
		wantOutput(t, finish(t, cmd), "arrived at 203.0.113.9:8080")
	})
}
