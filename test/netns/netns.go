//go:build linux

package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a network namespace with loopback up. It goes away with its test.
type Host struct {
	// Name is the namespace's name for `ip netns`, unique on this machine.
	Name string
}

// serial makes names unique within the process; the pid does it beyond.
var serial atomic.Int64

// commandLimit bounds every command that sets something up.
const commandLimit = 20 * time.Second

// New makes a host. The label is for people; a few letters.
func New(t testing.TB, label string) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command: makes network namespaces")
	}
	h := &Host{Name: fmt.Sprintf("sluice-%d-%d-%s", os.Getpid(), serial.Add(1), label)}
	if out, err := exec.Command("ip", "netns", "add", h.Name).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not permitted") {
			t.Skipf("needs CAP_SYS_ADMIN: ip netns add: %s", out)
		}
		t.Fatalf("ip netns add %s: %v: %s", h.Name, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", h.Name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del %s: %v: %s", h.Name, err, out)
		}
	})
	h.Run(t, "ip", "link", "set", "lo", "up")
	return h
}

// Connect joins two hosts by a veth pair. Addresses are CIDRs separated by
// spaces, usable at once (no duplicate address detection).
func Connect(t testing.TB, a *Host, aAddresses string, b *Host, bAddresses string) {
	t.Helper()
	n := serial.Add(1)
	aDevice, bDevice := fmt.Sprintf("veth%da", n), fmt.Sprintf("veth%db", n)
	a.Run(t, "ip", "link", "add", aDevice, "type", "veth", "peer", "name", bDevice, "netns", b.Name)
	// Both up before either has an address: an address that comes before its
	// link leaves the first IPv6 packet waiting a second for its neighbour.
	a.Run(t, "ip", "link", "set", aDevice, "up")
	b.Run(t, "ip", "link", "set", bDevice, "up")
	a.addresses(t, aDevice, aAddresses)
	b.addresses(t, bDevice, bAddresses)
}

func (h *Host) addresses(t testing.TB, device, addresses string) {
	t.Helper()
	for _, address := range strings.Fields(addresses) {
		args := []string{"addr", "add", address, "dev", device}
		if strings.Contains(address, ":") {
			args = append(args, "nodad")
		}
		h.Run(t, "ip", args...)
	}
}

// Cmd is a command to run inside the host.
func (h *Host) Cmd(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.Name, name}, args...)...)
}

// Run runs a command inside the host and answers its standard output. Failure
// ends the test.
func (h *Host) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := h.Cmd(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("in %s: %s %s: %v\n%s%s", h.Name, name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// As is who makes a socket. The zero value is root, unmarked.
type As struct {
	UID, GID uint32
	Mark     int    // SO_MARK; needs UID 0
	Local    string // local address to bind to, also a foreign one if Transparent
	// Transparent sets IP_TRANSPARENT; needs UID 0.
	Transparent bool
}

// Do runs f on a thread of its own inside the host's namespace. Sockets that f
// makes belong there for good. A process that f starts must not ask for a
// signal on its parent's death: the thread ends with f.
func (h *Host) Do(f func() error) error {
	return h.DoAs(As{}, f)
}

// DoAs is Do under another user and group.
func (h *Host) DoAs(as As, f func() error) error {
	done := make(chan error, 1)
	go h.inside(as, f, done)
	return <-done
}

// inside never unlocks its thread, which therefore dies with the goroutine and
// takes namespace and identity with it.
func (h *Host) inside(as As, f func() error, done chan<- error) {
	runtime.LockOSThread()
	done <- func() error {
		namespace, err := os.Open(filepath.Join("/run/netns", h.Name))
		if err != nil {
			return fmt.Errorf("enter %s: %w", h.Name, err)
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", h.Name, err)
		}
		if err := become(as.UID, as.GID); err != nil {
			return err
		}
		return f()
	}()
}

// become changes this thread only; package syscall would change the process.
func become(uid, gid uint32) error {
	if gid != 0 {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
			return fmt.Errorf("become gid %d: %w", gid, errno)
		}
	}
	if uid != 0 {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			return fmt.Errorf("become uid %d: %w", uid, errno)
		}
	}
	return nil
}

// Dial connects from inside the host. The address is a literal: names would be
// resolved outside.
func (h *Host) Dial(ctx context.Context, network, address string, as As) (conn net.Conn, err error) {
	dialer := net.Dialer{Control: as.control}
	if as.Local != "" {
		if dialer.LocalAddr, err = net.ResolveTCPAddr("tcp", as.Local); err != nil {
			return nil, err
		}
	}
	err = h.DoAs(as, func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens inside the host, on tcp; the test closes it at its end. An
// address without a host (":80") is both families.
func (h *Host) Listen(t testing.TB, address string, as As) *net.TCPListener {
	t.Helper()
	config := net.ListenConfig{Control: as.control}
	var listener net.Listener
	err := h.DoAs(as, func() (err error) {
		listener, err = config.Listen(context.Background(), "tcp", address)
		return err
	})
	if err != nil {
		t.Fatalf("listen in %s: %v", h.Name, err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener)
}

// ListenPacket is Listen for udp.
func (h *Host) ListenPacket(t testing.TB, address string, as As) *net.UDPConn {
	t.Helper()
	config := net.ListenConfig{Control: as.control}
	var conn net.PacketConn
	err := h.DoAs(as, func() (err error) {
		conn, err = config.ListenPacket(context.Background(), "udp", address)
		return err
	})
	if err != nil {
		t.Fatalf("listen in %s: %v", h.Name, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

// control sets the socket's options before it binds.
func (as As) control(network, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		if as.Mark != 0 {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, as.Mark)
		}
		if err == nil && as.Transparent {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
		}
		if err == nil && as.Transparent && strings.HasSuffix(network, "6") {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
		}
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
