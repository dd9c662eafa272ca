package rootless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Namespace is a running namespace as the parent sees it. Its methods may be
// called from several goroutines, Run once.
type Namespace struct {
	config   Config
	received chan os.Signal // set by Run
	process  *process
	orders   *control
	outbound []*net.TCPListener
	dns      *relay

	closeOnce sync.Once
	closeErr  error

	socketMu sync.Mutex
	sockets  *control // guarded by socketMu: one request at a time
}

// setupBudget is the longest wait for the namespace to be set up. It takes some
// 20 ms on an idle machine.
const setupBudget = 30 * time.Second

// Start makes the namespace, ready but empty: when it returns, Outbound
// listens and DNS is answered. The command begins with Run. ctx bounds Start
// only. The caller must Close the namespace. An error is a *SetupError when
// the system refused.
func Start(ctx context.Context, config Config) (*Namespace, error) {
	if len(config.Argv) == 0 || config.Argv[0] == "" {
		return nil, errors.New("no command to run")
	}
	if config.Dir != "" {
		if _, err := os.Stat(config.Dir); err != nil {
			return nil, fmt.Errorf("enter the working directory: %w", err)
		}
	}
	namespace, back, err := mapsFor(os.Geteuid(), os.Getegid())
	if err != nil {
		return nil, fmt.Errorf("read the caller's id maps: %w", err)
	}
	ns := &Namespace{config: config}
	if err := ns.startProcess(namespace); err != nil {
		return nil, err
	}
	if err := ns.setUp(ctx, back); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

func (ns *Namespace) startProcess(maps idMaps) error {
	orders, ordersFD, err := newControlPair()
	if err != nil {
		return err
	}
	defer unix.Close(ordersFD)
	sockets, socketsFD, err := newControlPair()
	if err != nil {
		orders.Close()
		return err
	}
	defer unix.Close(socketsFD)
	ns.orders, ns.sockets = orders, sockets
	ns.process, err = startProcess(ns.config, maps, ordersFD, socketsFD)
	if err != nil {
		orders.Close()
		sockets.Close()
		return diagnose(stepClone, err, readTrimmed)
	}
	return nil
}

func (ns *Namespace) setUp(ctx context.Context, back idMaps) error {
	deadline := time.Now().Add(setupBudget)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	ns.orders.setDeadline(deadline)
	defer ns.orders.setDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { ns.orders.setDeadline(time.Unix(1, 0)) })()
	err := ns.orders.send(order{Setup: &setup{
		IPv6:       hostHasIPv6(),
		ResolvConf: insideResolvConf(hostResolvConf()),
		HostPorts:  ns.config.HostPorts,
		Back:       back,
	}})
	if err != nil {
		return fmt.Errorf("set the namespace up: %w", err)
	}
	var ready report
	files, err := ns.orders.receive(&ready)
	defer closeAll(files)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("set the namespace up: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("set the namespace up: %w", ns.why(err))
	case ready.err() != nil:
		return diagnose(ready.Step, ready.err(), readTrimmed)
	}
	return ns.adopt(ready.Sockets, files)
}

// why replaces the end of the control socket by what became of PID 1.
func (ns *Namespace) why(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		return err
	}
	return fmt.Errorf("its first process ended before it should: %s", ns.process.kill())
}

// adopt turns the sockets made inside into listeners of this process.
func (ns *Namespace) adopt(names []string, files []*os.File) error {
	if len(names) != len(files) {
		return fmt.Errorf("the namespace passed %d sockets of %d", len(files), len(names))
	}
	var udp []*net.UDPConn
	var tcp []*net.TCPListener
	err := func() error {
		for i, name := range names {
			if name == socketDNSUDP {
				conn, err := net.FilePacketConn(files[i])
				if err != nil {
					return fmt.Errorf("take %s from the namespace: %w", name, err)
				}
				udp = append(udp, conn.(*net.UDPConn))
				continue
			}
			listener, err := net.FileListener(files[i])
			if err != nil {
				return fmt.Errorf("take %s from the namespace: %w", name, err)
			}
			if name == socketDNSTCP {
				tcp = append(tcp, listener.(*net.TCPListener))
			} else {
				ns.outbound = append(ns.outbound, listener.(*net.TCPListener))
			}
		}
		return nil
	}()
	ns.dns = startRelay(ns.config.Resolvers, udp, tcp) // even then: it owns them
	return err
}

// Outbound returns the listeners on which the command's connections arrive,
// one for IPv4 and, where the kernel has it, one for IPv6. Destination tells
// where each wanted to go. Close closes them; the caller may do so before.
func (ns *Namespace) Outbound() []*net.TCPListener { return slices.Clone(ns.outbound) }

// ErrNotRedirected says that a connection was made to the listener itself, or
// to a loopback address that is not the host's to answer. It must be refused:
// its destination would mean another place outside.
var ErrNotRedirected = errors.New("the connection was not redirected: its destination is inside the namespace")

// Destination returns where the command wanted to connect to when conn, which
// was accepted from Outbound, arrived.
func (ns *Namespace) Destination(conn *net.TCPConn) (netip.AddrPort, error) {
	dst, err := originalDestination(conn)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read the original destination: %w", err)
	}
	if dst.Addr().IsLoopback() && !slices.Contains(ns.config.HostPorts, dst.Port()) {
		return netip.AddrPort{}, ErrNotRedirected
	}
	return dst, nil
}

// socketBudget bounds the wait for a socket from PID 1, which takes
// microseconds while PID 1 is well.
const socketBudget = 5 * time.Second

// DialInside connects to addr as a process inside the namespace would: to
// 127.0.0.1:8080 for the command's own port 8080.
func (ns *Namespace) DialInside(ctx context.Context, addr netip.AddrPort) (*net.TCPConn, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	inside, err := ns.socketInside(int(family(addr.Addr())))
	if err != nil {
		return nil, fmt.Errorf("get a socket from the namespace: %w", err)
	}
	defer inside.Close()
	// The dialler's own socket belongs to the host's network: the one from
	// inside takes its place before it is connected.
	dialer := net.Dialer{ControlContext: replaceBy(inside)}
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	conn, err := dialer.DialContext(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// socketInside asks PID 1 for a TCP socket. A failed exchange would leave a
// late answer for the next one, so it ends the line.
func (ns *Namespace) socketInside(family int) (*os.File, error) {
	ns.socketMu.Lock()
	defer ns.socketMu.Unlock()
	ns.sockets.setDeadline(time.Now().Add(socketBudget))
	var answer report
	err := ns.sockets.send(order{Socket: family})
	var files []*os.File
	if err == nil {
		files, err = ns.sockets.receive(&answer)
	}
	if err != nil {
		ns.sockets.Close()
		return nil, err
	}
	if err := answer.err(); err != nil {
		closeAll(files)
		return nil, err
	}
	if len(files) != 1 {
		closeAll(files)
		return nil, fmt.Errorf("the namespace passed %d sockets", len(files))
	}
	return files[0], nil
}

// Run runs the command to its end and returns its exit code, 128+n when signal
// n ended it. With an error the code is ExitNotFound, ExitNotExecutable or
// ExitFailed, and no command of that name ran or its end is not known. Signals
// that this process receives go to the command, and until Close do nothing
// else: a Ctrl-C may reach this process after it has ended the command. When
// ctx ends, the namespace is killed.
func (ns *Namespace) Run(ctx context.Context) (int, error) {
	defer holdTerminal()()
	received := make(chan os.Signal, 64)
	if list := caught(); len(list) > 0 {
		signal.Notify(received, list...)
	}
	ns.received = received
	defer context.AfterFunc(ctx, func() { ns.process.kill() })()

	if err := ns.orders.send(order{Run: true}); err != nil {
		return ExitFailed, fmt.Errorf("run the command: %w", err)
	}
	ended := make(chan struct{})
	var forwarding sync.WaitGroup
	forwarding.Go(func() { ns.forwardSignals(received, ended) })
	defer forwarding.Wait()
	defer close(ended)

	var last report
	_, err := ns.orders.receive(&last)
	switch {
	case ctx.Err() != nil:
		return ExitFailed, context.Cause(ctx)
	case err != nil:
		return ExitFailed, fmt.Errorf("run the command: %w", ns.why(err))
	case last.Exit == nil:
		return ExitFailed, errors.New("run the command: the namespace sent no exit code")
	case last.Step == stepNested:
		return *last.Exit, diagnose(last.Step, last.err(), readTrimmed)
	case last.Step != "":
		return *last.Exit, fmt.Errorf("%s: %w", last.Step, last.err())
	}
	return *last.Exit, nil
}

// forwardSignals passes signals on until the command has ended.
func (ns *Namespace) forwardSignals(received <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case s := <-received:
			_ = ns.orders.send(order{Signal: s.(unix.Signal)})
		case <-ended:
			return
		}
	}
}

// Close ends every process of the namespace, waits for them, and closes the
// listeners. It must not be called while Run runs: end Run's context instead. Connections already accepted stay open, without a peer.
func (ns *Namespace) Close() error {
	ns.closeOnce.Do(func() {
		for _, l := range ns.outbound {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				ns.closeErr = errors.Join(ns.closeErr, err)
			}
		}
		if ns.dns != nil {
			ns.dns.Close()
		}
		ns.orders.Close()
		ns.process.kill()
		ns.socketMu.Lock()
		ns.sockets.Close()
		ns.socketMu.Unlock()
		if ns.received != nil {
			signal.Stop(ns.received)
		}
	})
	return ns.closeErr
}
