package rootless

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary plays every part: the tests, the parent (a driver process,
// so that it can be another user, have a terminal, be killed), PID 1, and the
// command (a probe).
func TestMain(m *testing.M) {
	MaybeHelper()
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		os.Exit(probe(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "driver" {
		os.Exit(driver(os.Args[2]))
	}
	os.Exit(runTests(m))
}

// testBinary is a copy of the test binary that every user may execute; go test's
// own is in a directory of one user.
const binaryEnv = "ROOTLESS_TEST_BINARY"

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rootless-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sluice-test")
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		panic(err)
	}
	os.Setenv(binaryEnv, path)
	// A race-built binary waits for a second before it exits with 0.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	return m.Run()
}

func testBinary() string { return os.Getenv(binaryEnv) }

// drive is what a driver does, passed to it as JSON.
type drive struct {
	Argv      []string
	HostPorts []uint16
	Publish   []uint16 // ports inside; the driver announces the outer address
	Resolvers []netip.AddrPort
}

// driver is `sluice exec` reduced to the namespace: outbound connections are
// told where they were going, or, to a host port, spliced to it.
func driver(arg string) int {
	var d drive
	if err := json.Unmarshal([]byte(arg), &d); err != nil {
		panic(err)
	}
	ctx := context.Background()
	ns, err := Start(ctx, Config{Argv: d.Argv, HostPorts: d.HostPorts, Resolvers: d.Resolvers})
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		return ExitFailed
	}
	defer ns.Close()
	for _, l := range ns.Outbound() {
		go acceptEach(l, func(c *net.TCPConn) { driveOutbound(ns, c) })
	}
	for _, port := range d.Publish {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "published %s\n", l.Addr())
		inside := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		go acceptEach(l.(*net.TCPListener), func(c *net.TCPConn) { drivePublished(ns, c, inside) })
	}
	LetGoOfStdio()
	code, err := ns.Run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
	}
	return code
}

func acceptEach(l *net.TCPListener, serve func(*net.TCPConn)) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		go serve(c)
	}
}

func driveOutbound(ns *Namespace, c *net.TCPConn) {
	defer c.Close()
	defer func() {
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}()
	dst, err := ns.Destination(c)
	switch {
	case err != nil:
		fmt.Fprintf(c, "refused: %v\n", err)
	case slices.Contains(ns.config.HostPorts, dst.Port()):
		up, err := net.Dial("tcp", dst.String())
		if err != nil {
			_ = c.SetLinger(0)
			return
		}
		splice(c, up.(*net.TCPConn))
	default:
		fmt.Fprintf(c, "arrived at %s\n", dst)
	}
}

func drivePublished(ns *Namespace, c *net.TCPConn, inside netip.AddrPort) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	up, err := ns.DialInside(ctx, inside)
	if err != nil {
		_ = c.SetLinger(0)
		return
	}
	splice(c, up)
}

func splice(a, b *net.TCPConn) {
	defer b.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(a, b); _ = a.CloseWrite() })
	_, _ = io.Copy(b, a)
	_ = b.CloseWrite()
	wg.Wait()
}

// caller is a user that the tests run as.
type caller struct {
	name string
	cred *syscall.Credential // nil: the user of the tests
}

func (c caller) uid() int {
	if c.cred == nil {
		return os.Geteuid()
	}
	return int(c.cred.Uid)
}

// callers returns the user of the tests and, when that is root, an ordinary one.
func callers(t *testing.T) []caller {
	t.Helper()
	if os.Geteuid() != 0 {
		return []caller{{name: "ordinary user"}}
	}
	return []caller{
		{name: "root"},
		{name: "ordinary user", cred: &syscall.Credential{Uid: 65534, Gid: 65534}},
	}
}

// asEach runs the test once for each caller.
func asEach(t *testing.T, test func(t *testing.T, who caller)) {
	for _, who := range callers(t) {
		t.Run(who.name, func(t *testing.T) { test(t, who) })
	}
}

// command returns a driver process that is not started, killed when the test
// ends or takes too long.
func (c caller) command(t *testing.T, d drive) *exec.Cmd {
	t.Helper()
	arg, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testBinary(), "driver", string(arg))
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	return cmd
}

// result is what a finished driver left.
type result struct {
	code           int
	stdout, stderr string
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatalf("driver: %v\n%s", err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// run runs a shell script inside.
func (c caller) run(t *testing.T, script string) result {
	t.Helper()
	return finish(t, c.command(t, drive{Argv: []string{"sh", "-c", script}}))
}

// probe runs a probe inside.
func (c caller) probe(t *testing.T, d drive, args ...string) result {
	t.Helper()
	d.Argv = append([]string{testBinary(), "probe"}, args...)
	return finish(t, c.command(t, d))
}

func wantOutput(t *testing.T, r result, want string) {
	t.Helper()
	if got := strings.TrimSpace(r.stdout); r.code != 0 || got != want {
		t.Errorf("got exit code %d, output %q, stderr %q; want 0, %q", r.code, got, r.stderr, want)
	}
}

// eventually polls for a condition that other processes bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
