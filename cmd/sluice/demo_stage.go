package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/demo"
	"github.com/sluice-proxy/sluice/iptables/rootless"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// demoStage is what the demo plays on: the shop, a customer beside Sluice and
// one behind it, and the sidecar.
//
//	outside ────────────────────────────▶ shop
//	inside (own namespace) ──▶ sidecar ──▶ shop     outbound
//	another terminal ────────▶ sidecar ──▶ shop     inbound, as a sidecar of the shop's would have it
type demoStage struct {
	dir    string // holds everything that is written
	socket string // of the admin API

	shopHTTP, shopGRPC           string // host:port
	publishedHTTP, publishedGRPC string // the same through Sluice

	outside, inside *customer
	breakers        breakerLog
	served          chan error // how the sidecar ended; closed

	cleanup []func() // last one first
}

// breakerLog passes on the state changes of breakers. It is an observer like
// any other.
type breakerLog chan *proxy.BreakerChange

var _ proxy.Observer = breakerLog(nil)

// Observe never blocks: the demo changes fewer states than fit.
func (l breakerLog) Observe(e proxy.Event) {
	if change, ok := e.(*proxy.BreakerChange); ok {
		select {
		case l <- change:
		default:
		}
	}
}

// newDemoStage starts everything. Whatever it returns has to be closed.
func newDemoStage(ctx context.Context) (*demoStage, error) {
	s := &demoStage{breakers: make(breakerLog, 64), served: make(chan error, 1)}
	for _, step := range []func(context.Context) error{s.makeDir, s.startShop, s.startOutside, s.startInside} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// close ends everything and removes what was written.
func (s *demoStage) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}

func (s *demoStage) atEnd(f func()) { s.cleanup = append(s.cleanup, f) }

func (s *demoStage) rules() string { return filepath.Join(s.dir, "rules") }

func (s *demoStage) makeDir(context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
		return err
	}
	s.atEnd(func() { _ = os.RemoveAll(s.dir) })
	s.socket = filepath.Join(s.dir, "admin.sock")
	return demo.WriteRules(s.rules())
}

func (s *demoStage) startShop(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	s.atEnd(func() { hold.Close() })
	addresses, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer addresses.Close()
	shop, err := startProgram(self, stdin, stdout, "shop", "--until-eof")
	stdout.Close()
	if err != nil {
		return err
	}
	s.atEnd(func() { hold.Close(); shop.wait() })
	_ = addresses.SetReadDeadline(time.Now().Add(answerBudget))
	defer context.AfterFunc(ctx, func() { _ = addresses.SetReadDeadline(time.Unix(1, 0)) })()
	s.shopHTTP, s.shopGRPC, err = readAddresses(addresses)
	return err
}

// client is the command line of a customer, the same on both sides.
func (s *demoStage) client() []string {
	return []string{"shop", "client", "--http", "http://" + s.shopHTTP, "--grpc", s.shopGRPC}
}

func (s *demoStage) startOutside(context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, stdin, stdout, err := newCustomer()
	if err != nil {
		return err
	}
	defer stdin.Close()
	defer stdout.Close()
	s.outside = c
	s.atEnd(c.close)
	program, err := startProgram(self, stdin, stdout, s.client()...)
	if err != nil {
		return err
	}
	s.atEnd(func() { c.close(); program.wait() })
	return nil
}

// startInside is what exec does, with listeners in front of the shop beside
// those of the namespace.
func (s *demoStage) startInside(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, stdin, stdout, err := newCustomer()
	if err != nil {
		return err
	}
	s.inside = c
	s.atEnd(func() { c.close(); stdin.Close(); stdout.Close() })
	ports, err := s.hostPorts()
	if err != nil {
		return err
	}
	ns, err := rootless.Start(ctx, rootless.Config{
		Argv: append([]string{self}, s.client()...), HostPorts: ports, Stdin: stdin, Stdout: stdout,
	})
	if err != nil {
		return err
	}
	s.atEnd(func() { ns.Close() })
	sidecar, err := s.newSidecar(ctx, ns)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	go s.serve(running, sidecar)
	s.atEnd(func() {
		stop()
		if err := <-s.served; err != nil {
			fmt.Fprintln(os.Stderr, "sluice: demo: the sidecar ended:", err)
		}
	})
	ended := make(chan struct{})
	go runCustomer(running, ns, ended)
	s.atEnd(func() { stop(); <-ended })
	return nil
}

func (s *demoStage) serve(ctx context.Context, sidecar *sidecar) {
	defer close(s.served)
	s.served <- sidecar.serve(ctx, nil)
}

// runCustomer runs the customer until its input ends, or ctx does. An early
// end shows in the first command that it does not answer.
func runCustomer(ctx context.Context, ns *rootless.Namespace, ended chan<- struct{}) {
	defer close(ended)
	_, _ = ns.Run(ctx)
}

// hostPorts are the shop's: the customer means the host's localhost.
func (s *demoStage) hostPorts() ([]uint16, error) {
	var ports []uint16
	for _, address := range []string{s.shopHTTP, s.shopGRPC} {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("the shop's address: %w", err)
		}
		ports = append(ports, a.Port())
	}
	return ports, nil
}

func (s *demoStage) newSidecar(ctx context.Context, ns *rootless.Namespace) (*sidecar, error) {
	listeners := execListeners(ns, nil)
	for shop, published := range map[string]*string{s.shopHTTP: &s.publishedHTTP, s.shopGRPC: &s.publishedGRPC} {
		l, err := proxy.Listen(ctx, "127.0.0.1:0", false)
		if err != nil {
			closeListeners(listeners)
			return nil, err
		}
		*published = l.Addr().String()
		listeners = append(listeners, proxy.Listener{Name: *published, Net: l, Direction: rules.Inbound, Upstream: shop})
	}
	return newSidecar(execConfig(s.rules(), s.socket), sidecarOptions{
		Listeners: listeners,
		Stderr:    os.Stderr,
		Level:     slog.LevelError, // what a breaker does, the demo itself tells
		Command:   []string{"sluice", "demo"},
		Observers: []proxy.Observer{s.breakers},
	})
}
