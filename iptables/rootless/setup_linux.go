package rootless

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// setupError carries the step to the report.
type setupError struct {
	step string
	err  error
}

func (e *setupError) Error() string { return e.step + ": " + e.err.Error() }
func (e *setupError) Unwrap() error { return e.err }

// namedSocket is a socket made inside and passed to the parent.
type namedSocket struct {
	name string
	file *os.File
}

// The names of the sockets that setUp makes.
const (
	socketOutbound = "outbound"
	socketDNSUDP   = "dns-udp"
	socketDNSTCP   = "dns-tcp"
)

// setUp makes the fresh namespaces a place to run a command in, and returns
// the listeners for the parent. It runs once, in PID 1.
func setUp(s *setup) (_ []namedSocket, err error) {
	var link int
	steps := []struct {
		name string
		do   func() error
	}{
		{"keep mounts private", keepMountsPrivate},
		{"point /etc/resolv.conf to the relay", func() error { return mountResolvConf(s.ResolvConf) }},
		{stepProc, mountProc},
		{"bring lo up", func() (err error) { link, err = linkUp(); return err }},
		{"route IPv4 over lo", func() error { return routeEverything(link, insideV4) }},
		{"route IPv6 over lo", func() error {
			if !s.IPv6 {
				return nil
			}
			if err := routeEverything(link, insideV6); err != nil {
				return err
			}
			return awaitLocalRoute(insideV6)
		}},
		{"open low ports to the command", openLowPorts},
		{stepRedirect, func() error { return redirect(plan(s.HostPorts)) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return nil, &setupError{step.name, err}
		}
	}
	sockets, err := listenInside()
	if err != nil {
		return nil, &setupError{"listen inside the namespace", err}
	}
	return sockets, nil
}

// keepMountsPrivate stops our mounts from reaching the host, while the host's
// later ones (a USB stick) still reach us.
func keepMountsPrivate() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
}

// mountResolvConf covers /etc/resolv.conf with content, from a tmpfs that only
// this mount holds. Without such a file there is nothing to do: resolvers then
// ask 127.0.0.1, which is where the relay is.
func mountResolvConf(content []byte) (err error) {
	const target = "/etc/resolv.conf"
	if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// Any directory does as the place to reach the tmpfs by; /proc is there on
	// every system, and nothing reads it until the fresh one is mounted.
	const place = "/proc"
	if err := unix.Mount("tmpfs", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=0755"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(place, unix.MNT_DETACH)) }()
	source := place + "/resolv.conf"
	if err := os.WriteFile(source, content, 0o644); err != nil {
		return err
	}
	return unix.Mount(source, target, "", unix.MS_BIND, "")
}

func mountProc() error {
	return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// openLowPorts lets the command listen on port 80, whoever runs it: the
// network is its own. A kernel without the sysctl (before 4.11) keeps its rule.
func openLowPorts() error {
	err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// listenInside opens the outbound and DNS listeners on 127.0.0.1 and, where
// there is IPv6, ::1. DNS needs the two addresses: a wildcard UDP socket would
// answer from the wrong one.
func listenInside() ([]namedSocket, error) {
	addrs := []string{"127.0.0.1"}
	if hasLoopbackV6() {
		addrs = append(addrs, "::1")
	}
	var sockets []namedSocket
	for _, addr := range addrs {
		for _, name := range []string{socketOutbound, socketDNSTCP, socketDNSUDP} {
			file, err := listenFile(name, addr)
			if err != nil {
				return nil, err
			}
			sockets = append(sockets, namedSocket{name, file})
		}
	}
	return sockets, nil
}

// listenFile opens one listener. MPTCP stays off: SO_ORIGINAL_DST and splice
// need plain TCP.
func listenFile(name, addr string) (*os.File, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	port := dnsPort
	if name == socketOutbound {
		port = outboundPort
	}
	address := net.JoinHostPort(addr, strconv.Itoa(port))
	var socket interface {
		File() (*os.File, error)
		Close() error
	}
	if name == socketDNSUDP {
		conn, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return nil, err
		}
		socket = conn.(*net.UDPConn)
	} else {
		listener, err := config.Listen(context.Background(), "tcp", address)
		if err != nil {
			return nil, err
		}
		socket = listener.(*net.TCPListener)
	}
	defer socket.Close()
	return socket.File()
}

func hasLoopbackV6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}) == nil
}

// socketInside makes a TCP socket of the namespace, for the parent to connect.
func socketInside(family int) (int, error) {
	if family != syscall.AF_INET && family != syscall.AF_INET6 {
		return -1, fmt.Errorf("address family %d", family)
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}
