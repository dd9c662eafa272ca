package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child names the environment variable that tells the test binary that it is
// alone in its own network namespace, or has few descriptors.
const child = "SLUICE_TEST_CHILD"

// rerun runs one test again in a process of its own, of a copy of this binary
// that any user may run.
func rerun(t *testing.T, test string, attr *syscall.SysProcAttr) {
	t.Helper()
	dir, err := os.MkdirTemp("", "intercept")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, binary, 0o755)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, "-test.run", "^"+test+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), child+"="+test)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+test)) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func needRoot(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: a network namespace with redirect rules")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func nft(t *testing.T, rules string) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, out, rules)
	}
}

func TestKernel(t *testing.T) {
	needRoot(t, "nft", "ip")
	if os.Getenv(child) != t.Name() {
		rerun(t, t.Name(), &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
		return
	}
	sh(t, `ip link set lo up
		ip addr add 192.0.2.1/32 dev lo; ip -6 addr add 2001:db8::1/128 dev lo nodad
		ip route add default dev lo; ip -6 route add default dev lo`)
	t.Run("redirect", testRedirect)
	t.Run("loop", testLoop)
	t.Run("tproxy", testTransparent)
	t.Run("mark", testMark)
}

const redirectTo = `table inet t {
	chain o { type nat hook output priority -100;
		meta mark 1337 accept
		tcp dport 80 redirect to :%d
	}
}`

func listen(t *testing.T, addr string, o Options) *net.TCPListener {
	t.Helper()
	l, err := Listen(t.Context(), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func port(l net.Listener) uint16 { return l.Addr().(*net.TCPAddr).AddrPort().Port() }

func expectDestinations(t *testing.T, l *net.TCPListener, destinations ...string) {
	t.Helper()
	for _, destination := range destinations {
		c, err := net.DialTimeout("tcp", destination, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OriginalDestination(accept(t, l))
		if err != nil || got.String() != destination {
			t.Errorf("got %v and %v, want %s", got, err, destination)
		}
		c.Close()
	}
}

func testRedirect(t *testing.T) {
	l := listen(t, ":0", Options{})
	nft(t, fmt.Sprintf(redirectTo, port(l)))
	expectDestinations(t, l, "203.0.113.7:80", "192.0.2.1:80", "127.0.0.1:80", "[2001:db8::7]:80", "[::1]:80")
	l4 := listen(t, "0.0.0.0:0", Options{ReusePort: true})
	nft(t, fmt.Sprintf(redirectTo, port(l4)))
	expectDestinations(t, l4, "203.0.113.7:80")

	for _, direct := range []string{"127.0.0.1", "192.0.2.1", "::1"} { // conntrack knows them, unchanged
		c, err := net.Dial("tcp", net.JoinHostPort(direct, fmt.Sprint(port(l))))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OriginalDestination(accept(t, l)); !errors.Is(err, ErrNotRedirected) {
			t.Errorf("direct connection to %s: got %v and %v, want ErrNotRedirected", direct, got, err)
		}
		c.Close()
	}
}

// Without a mark every dial of Sluice's comes back to it. The loop ends at the
// first connection, whichever end notices.
func testLoop(t *testing.T) {
	for _, destination := range []string{"203.0.113.7:80", "192.0.2.1:80", "127.0.0.1:80", "[2001:db8::7]:80"} {
		l := listen(t, ":0", Options{})
		nft(t, fmt.Sprintf(redirectTo, port(l)))
		var d Dialer
		const rounds = 100
		var mu sync.Mutex
		dials, loops := 0, 0
		dial := func() (*net.TCPConn, error) {
			mu.Lock()
			dials++
			mu.Unlock()
			c, err := d.Dial(t.Context(), destination)
			if errors.Is(err, ErrLoop) {
				mu.Lock()
				loops++
				mu.Unlock()
			}
			return c, err
		}
		var wait sync.WaitGroup
		serve := func(c *net.TCPConn) {
			defer Reset(c)
			to, err := OriginalDestination(c)
			if err != nil {
				t.Error(err)
				return
			}
			if d.IsOutgoing(unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort()), to) {
				mu.Lock()
				loops++
				mu.Unlock()
				return
			}
			if up, err := dial(); err == nil {
				up.Read(make([]byte, 1)) // until the other end refuses
				up.Close()
			}
		}
		wait.Go(func() {
			AcceptLoop(t.Context(), l, nil, func(c net.Conn) { wait.Go(func() { serve(c.(*net.TCPConn)) }) })
		})
		for range rounds {
			if c, err := dial(); err == nil {
				c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Read(make([]byte, 1)); Classify(err) != WasReset {
					t.Errorf("%s: got %v, want a reset", destination, err)
				}
				c.Close()
			}
		}
		l.Close()
		wait.Wait()
		t.Logf("%s: %d rounds, %d dials, %d times noticed", destination, rounds, dials, loops)
		if dials > 2*rounds || loops < rounds {
			t.Errorf("%s: %d rounds made %d dials and were noticed %d times", destination, rounds, dials, loops)
		}
	}
}

func testTransparent(t *testing.T) {
	sh(t, `ip rule add fwmark 1 lookup 100; ip route add local default dev lo table 100
		ip -6 rule add fwmark 1 lookup 100; ip -6 route add local default dev lo table 100`)
	for _, track := range []string{"", "notrack"} {
		l := listen(t, ":0", Options{Transparent: true})
		nft(t, fmt.Sprintf(`table inet t {
			chain raw { type filter hook output priority -300; tcp dport 80 %[1]s; }
			chain back { type filter hook prerouting priority -300; tcp sport 80 %[1]s; tcp dport 80 %[1]s; }
			chain o { type route hook output priority -150; tcp dport 80 meta mark set 1; }
			chain p { type filter hook prerouting priority -150;
				meta mark 1 meta nfproto ipv4 tcp dport 80 tproxy ip to :%[2]d
				meta mark 1 meta nfproto ipv6 tcp dport 80 tproxy ip6 to :%[2]d
			}
		}`, or(track, "counter"), port(l)))
		expectDestinations(t, l, "203.0.113.7:80", "[2001:db8::7]:80")
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func testMark(t *testing.T) {
	l := listen(t, ":0", Options{})
	server := listen(t, "192.0.2.1:80", Options{})
	nft(t, fmt.Sprintf(redirectTo, port(l)))
	d := Dialer{Mark: 1337}
	if err := d.CheckMark(); err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial(t.Context(), "192.0.2.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := accept(t, server).LocalAddr().String(); got != "192.0.2.1:80" {
		t.Errorf("marked connection arrived at %s", got)
	}
	if NewOwn(l.Addr()).IsOwn(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port(l))) != true {
		t.Error("an address of this namespace: got false")
	}
	nft(t, "")
}

func TestMarkWithoutThePrivilegeIsAClearError(t *testing.T) {
	if os.Getenv(child) != t.Name() {
		attr := &syscall.SysProcAttr{}
		if os.Getuid() == 0 {
			attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		}
		rerun(t, t.Name(), attr)
		return
	}
	d := Dialer{Mark: 1}
	for _, err := range []error{d.CheckMark(), second(d.Dial(t.Context(), "127.0.0.1:9")), second(Listen(t.Context(), "127.0.0.1:0", Options{Transparent: true}))} {
		if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("got %v, want one that names CAP_NET_ADMIN", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAcceptLoopSurvivesRunningOutOfDescriptors(t *testing.T) {
	if os.Getenv(child) != t.Name() {
		rerun(t, t.Name(), nil)
		return
	}
	l := listen(t, "127.0.0.1:0", Options{})
	const callers = 20
	for range callers { // waiting in the backlog
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	few := syscall.Rlimit{Cur: uint64(len(open) + 5), Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, callers)
	failed := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		AcceptLoop(ctx, l, func(err error, _ time.Duration) { failed <- err }, func(c net.Conn) { conns <- c })
	})
	if err := <-failed; !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v, want EMFILE", err)
	}
	if n := len(conns); n == 0 || n == callers {
		t.Errorf("accepted before: got %d of %d", n, callers)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for range callers {
		select {
		case c := <-conns:
			defer c.Close()
		case <-time.After(10 * time.Second):
			t.Fatal("not all callers were accepted")
		}
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("back after %v, want 2s at most", took)
	}
	cancel()
	wait.Wait()
}
