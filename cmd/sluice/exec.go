package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/iptables/rootless"
	"github.com/sluice-proxy/sluice/proxy"
)

// execOptions is the command line of exec.
type execOptions struct {
	rules     string // a directory; empty: no rules
	publish   []publication
	hostPorts []uint16
	argv      []string
	observers []proxy.Observer // beside the usual ones
}

func newExecCmd() *cobra.Command {
	var o execOptions
	var publish, hostPorts []string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG...]",
		Short: "Run a command with all its TCP going through Sluice, without root",
		Long: `Run a command in its own user and network namespace, without root. All its outbound TCP, and its DNS, goes through
Sluice; other UDP is rejected at once. Inside, 127.0.0.1 is the command's own: -p lets others in, --host-port lets it out.
Meanwhile, in another terminal, "sluice tap" shows what passes, and "sluice status", "routes" and "breakers" how it is.

Signals, terminal and exit code are the command's. Sluice's own failures are 125, a rule file with problems 65; 126 is a
command that cannot be executed, 127 one that is not found, 128+n one that signal n ended.`,
		Example: `  sluice exec -- curl http://example.org/
  sluice exec --rules ./rules -p 8080 -- ./shop
  sluice exec --host-port 5432 -- ./shop        # the laptop's own database`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return execUsage(errors.New("exec: name a command: sluice exec -- COMMAND"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.argv = args
			if o.publish, err = parsePublications(publish); err != nil {
				return execUsage(err)
			}
			if o.hostPorts, err = parseHostPorts(hostPorts, o.publish); err != nil {
				return execUsage(err)
			}
			return runExec(cmd.Context(), o)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return execUsage(err) })
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command belongs to it
	flags.StringVar(&o.rules, "rules", "", "rule files are in `DIR`, watched")
	flags.StringArrayVarP(&publish, "publish", "p", nil, "publish the command's port through Sluice as `[ADDR:]PORT[:PORT]`: outer address (127.0.0.1), outer port, inner port (the same)")
	flags.StringArrayVar(&hostPorts, "host-port", nil, "let 127.0.0.1:`PORT` inside reach the host's own 127.0.0.1:PORT")
	return cmd
}

// execFailure marks err as exec's own failure, not the command's.
func execFailure(err error) error { return &exitError{Code: rootless.ExitFailed, Err: err} }

// execUsage is an execFailure that a look at the help would have prevented.
func execUsage(err error) error {
	return execFailure(fmt.Errorf("%w\nRun 'sluice exec --help' for usage", err))
}

// published is a port of the host that stands for one of the command's.
type published struct {
	publication
	listener net.Listener
}

// runExec makes the namespace, serves it, and runs the command in it to its
// end. The outer ports are bound first: a busy one should cost nothing.
func runExec(ctx context.Context, o execOptions) error {
	ports, err := listenPublished(ctx, o.publish)
	if err != nil {
		return execFailure(err)
	}
	defer closePublished(ports)
	ns, err := rootless.Start(ctx, rootless.Config{Argv: o.argv, HostPorts: o.hostPorts})
	if err != nil {
		return execFailure(err)
	}
	defer ns.Close()

	s, err := newExecSidecar(ns, o, ports)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	served := make(chan struct{})
	go keepServing(ctx, cancel, served, func() error { return s.serve(ctx, nil) })
	rootless.LetGoOfStdio()
	code, err := ns.Run(ctx)
	cancel(nil)
	<-served
	if err != nil || code != 0 {
		return &exitError{Code: code, Err: err}
	}
	return nil
}

// keepServing ends the command when serving fails: it would hang otherwise.
func keepServing(ctx context.Context, cancel context.CancelCauseFunc, served chan<- struct{}, serve func() error) {
	defer close(served)
	if err := serve(); err != nil && ctx.Err() == nil {
		cancel(err)
	}
}

func listenPublished(ctx context.Context, publications []publication) ([]published, error) {
	var ports []published
	var config net.ListenConfig
	config.SetMultipathTCP(false) // splice needs plain TCP
	for _, p := range publications {
		l, err := config.Listen(ctx, "tcp", p.outer.String())
		if err != nil {
			closePublished(ports)
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("%w\nhint: choose another port outside, as in -p 18080:%d", err, p.inner)
			}
			return nil, fmt.Errorf("publish port %d: %w", p.inner, err)
		}
		ports = append(ports, published{p, l})
	}
	return ports, nil
}

func closePublished(ports []published) {
	for _, p := range slices.Backward(ports) {
		p.listener.Close()
	}
}
