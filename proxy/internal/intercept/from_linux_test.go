package intercept

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

// In this namespace everything that 192.0.2.1 and 2001:db8::1 answer stays, as
// the marks of TPROXY's rules achieve it elsewhere.
func TestDialFrom(t *testing.T) {
	needRoot(t, "ip")
	if os.Getenv(child) != t.Name() {
		rerun(t, t.Name(), &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
		return
	}
	sh(t, `ip link set lo up
		ip addr add 192.0.2.1/32 dev lo; ip -6 addr add 2001:db8::1/128 dev lo nodad
		ip rule add from 192.0.2.1 lookup 100; ip route add local default dev lo table 100
		ip -6 rule add from 2001:db8::1 lookup 100; ip -6 route add local default dev lo table 100`)
	t.Run("upstream sees the caller", testFromIsSeen)
	t.Run("link-local caller", testFromLinkLocal)
	t.Run("closed port", testFromClosedPort)
	t.Run("taken ports", testTaken)
	t.Run("many at once", testManyFrom)
}

func testFromIsSeen(t *testing.T) {
	l := listen(t, ":0", Options{})
	for _, test := range []struct{ from, to, seen string }{
		{"203.0.113.7", "192.0.2.1", "203.0.113.7"},
		{"::ffff:203.0.113.7", "192.0.2.1", "203.0.113.7"},
		{"2001:db8:7::7", "2001:db8::1", "2001:db8:7::7"},
	} {
		var d Dialer
		to := netip.AddrPortFrom(netip.MustParseAddr(test.to), port(l))
		c, err := d.DialFrom(t.Context(), to.String(), netip.MustParseAddr(test.from))
		if err != nil {
			t.Errorf("from %s: %v", test.from, err)
			continue
		}
		seen := unmap(accept(t, l).RemoteAddr().(*net.TCPAddr).AddrPort())
		if seen.Addr().String() != test.seen || seen.Port() < minPort || seen.Port() > maxPort {
			t.Errorf("from %s: upstream sees %v, want %s and a port of %d to %d", test.from, seen, test.seen, minPort, maxPort)
		}
		if !d.IsOutgoing(seen, to) {
			t.Errorf("from %s: its own connection is not known again", test.from)
		}
		if other := netip.AddrPortFrom(seen.Addr(), seen.Port()+1); d.IsOutgoing(other, to) {
			t.Errorf("from %s: the caller's connection passes for its own", test.from)
		}
		c.Close()
	}
}

func testFromLinkLocal(t *testing.T) {
	l := listen(t, "[2001:db8::1]:0", Options{})
	var d Dialer
	c, err := d.DialFrom(t.Context(), l.Addr().String(), netip.MustParseAddr("fe80::7%lo"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if seen := accept(t, l).RemoteAddr().(*net.TCPAddr); !seen.IP.Equal(net.ParseIP("2001:db8::1")) {
		t.Errorf("upstream sees %v, want our own address", seen)
	}
}

func testFromClosedPort(t *testing.T) {
	var d Dialer
	for from, to := range map[string]string{"203.0.113.7": "192.0.2.1:9", "2001:db8:7::7": "[2001:db8::1]:9"} {
		if _, err := d.DialFrom(t.Context(), to, netip.MustParseAddr(from)); Classify(err) != Refused {
			t.Errorf("closed port: got %q of %v", Classify(err), err)
		}
	}
	for _, from := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.MustParseAddr("2001:db8:7::7")} {
		if c, err := d.DialFrom(t.Context(), "192.0.2.1:9", from); err == nil || Classify(err) == Refused {
			t.Errorf("from %v to IPv4: got %v and %v, want an error before it connects", from, c, err)
		}
	}
	if n := len(d.outgoing.pending); n != 0 {
		t.Errorf("%d announcements are left after all dials have returned", n)
	}
}

// A caller's own connection has the same two addresses at the service as one in
// its name with the same port would have.
func testTaken(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "2001:db8::1"} {
		for _, on := range []string{host, ""} { // also a dual-stack listener
			l := listen(t, net.JoinHostPort(on, "0"), Options{})
			to := netip.AddrPortFrom(netip.MustParseAddr(host), port(l))
			caller, err := net.Dial("tcp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			peer := unmap(caller.LocalAddr().(*net.TCPAddr).AddrPort())
			if !isTaken(to, peer) { // even before accept
				t.Errorf("%v: a caller's port %d is free", to, peer.Port())
			}
			if free := netip.AddrPortFrom(peer.Addr(), peer.Port()-1); isTaken(to, free) {
				t.Errorf("%v: port %d is taken", to, free.Port())
			}
			if nobody := netip.AddrPortFrom(to.Addr(), to.Port()^1); isTaken(nobody, peer) {
				t.Errorf("%v: taken, where nobody listens", nobody)
			}
			accept(t, l)
			caller.Close()
		}
	}
}

func testManyFrom(t *testing.T) {
	l := listen(t, "192.0.2.1:0", Options{})
	var d Dialer
	const conns = 200
	failed := make(chan error, conns)
	for range conns {
		go dialAndHold(t, &d, l.Addr().String(), failed)
	}
	seen := make(map[string]bool)
	for range conns {
		seen[accept(t, l).RemoteAddr().String()] = true
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != conns {
		t.Errorf("%d connections came from %d addresses", conns, len(seen))
	}
}

func dialAndHold(t *testing.T, d *Dialer, to string, failed chan<- error) {
	c, err := d.DialFrom(t.Context(), to, netip.MustParseAddr("203.0.113.7"))
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	failed <- err
}

func TestChoosePortTriesEachOnce(t *testing.T) {
	tried := make(map[uint16]bool)
	err := choosePort(func(port uint16) (bool, error) {
		if port < minPort || port > maxPort || tried[port] {
			t.Errorf("tries port %d, out of range or again", port)
		}
		tried[port] = true
		return false, nil
	})
	if !errors.Is(err, syscall.EADDRNOTAVAIL) || len(tried) != maxTries {
		t.Errorf("got %v after %d ports, want EADDRNOTAVAIL after %d", err, len(tried), maxTries)
	}
	broken := errors.New("broken")
	if err := choosePort(func(uint16) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the try", err)
	}
}

func TestDialFromWithoutThePrivilegeIsAClearError(t *testing.T) {
	if os.Getenv(child) != t.Name() {
		attr := &syscall.SysProcAttr{}
		if os.Getuid() == 0 {
			attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		}
		rerun(t, t.Name(), attr)
		return
	}
	var d Dialer
	_, err := d.DialFrom(t.Context(), "127.0.0.1:9", netip.MustParseAddr("203.0.113.7"))
	if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("got %v, want one that names CAP_NET_ADMIN", err)
	}
}
