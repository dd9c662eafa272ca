package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/iptables"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// runOptions is the command line of run. What it names wins over sluice.yaml.
type runOptions struct {
	config string
	rules  string
	listen string
	upstream,
	direction string
	transparent bool
	logLevel    string
}

func newRunCmd() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Run the sidecar",
		Long: `Run the sidecar. With redirect rules ('sluice iptables apply') it takes outbound connections on :15001 and inbound ones on
:15006. With --listen and --upstream it is an explicit reverse proxy that needs no redirect.`,
		Example: `  sluice run --rules ./rules
  sluice run --listen 127.0.0.1:8080 --upstream 127.0.0.1:9000 --rules ./rules`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runSidecar(cmd, o) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.config, "config", "c", "", "sluice.yaml; default: ./sluice.yaml if it is there")
	flags.StringVar(&o.rules, "rules", "", "directory of rule files, watched")
	flags.StringVar(&o.listen, "listen", "", "address of an explicit reverse proxy")
	flags.StringVar(&o.upstream, "upstream", "", "host:port that --listen stands for")
	flags.StringVar(&o.direction, "direction", "inbound", "direction of --listen: inbound or outbound")
	flags.BoolVar(&o.transparent, "tproxy", false, "keep the caller's address on inbound connections; goes with 'sluice iptables apply --mode tproxy' and needs CAP_NET_ADMIN")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func runSidecar(cmd *cobra.Command, o runOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageError(fmt.Errorf("--log-level: %q is none of debug, info, warn, error", o.logLevel))
	}
	cfg, err := o.load(cmd)
	if err != nil {
		return err
	}
	mark, err := chooseMark(cfg, o.transparent)
	if err != nil {
		return err
	}
	// Signals are caught before anything is open, so that none is lost.
	ctx, interrupt, stop := onSignals(cmd.Context())
	defer stop()
	listeners, err := openListeners(ctx, cfg, o.transparent)
	if err != nil {
		return err
	}
	s, err := newSidecar(cfg, sidecarOptions{Listeners: listeners, Mark: mark, Stderr: cmd.ErrOrStderr(), Level: level})
	if err != nil {
		return err
	}
	for _, l := range listeners {
		s.log.Info("listening", "name", l.Name, "address", l.Net.Addr().String(), "direction", string(l.Direction), "upstream", l.Upstream)
	}
	return s.serve(ctx, interrupt)
}

// load reads sluice.yaml, if there is one, and puts the flags over it.
func (o *runOptions) load(cmd *cobra.Command) (config.Config, error) {
	cfg := config.Default()
	name, must := o.config, true
	if name == "" {
		name, must = "sluice.yaml", false
	}
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
	case err != nil:
		return cfg, &exitError{Code: exitData, Err: err}
	default:
		var problems []rules.Problem
		cfg, problems = config.Parse(name, text)
		if len(problems) > 0 {
			_ = writeProblems(cmd.ErrOrStderr(), problems)
		}
		for _, p := range problems {
			if p.Severity == rules.Error {
				return cfg, &exitError{Code: exitData}
			}
		}
	}
	if o.rules != "" {
		cfg.Rules = o.rules
	}
	if (o.listen == "") != (o.upstream == "") {
		return cfg, usageError(errors.New("--listen and --upstream go together"))
	}
	if o.listen != "" {
		explicit, err := config.NewExplicit(o.listen, o.upstream, o.direction)
		if err != nil {
			return cfg, usageError(err)
		}
		cfg.Listeners = config.Listeners{Explicit: []config.Explicit{explicit}}
	}
	if o.transparent && cfg.Listeners.Inbound.Port == 0 {
		return cfg, usageError(errors.New("--tproxy is for the inbound listener, and there is none"))
	}
	cfg.Admin.Socket = usableSocket(cfg.Admin.Socket)
	return cfg, nil
}

// openListeners opens every listener of cfg, or none.
func openListeners(ctx context.Context, cfg config.Config, transparent bool) (_ []proxy.Listener, err error) {
	var listeners []proxy.Listener
	defer func() {
		if err != nil {
			closeListeners(listeners)
		}
	}()
	open := func(name, address string, direction rules.Direction, upstream string, transparent bool) error {
		l, err := proxy.Listen(ctx, address, transparent)
		if err != nil {
			return fmt.Errorf("listener %s: %w", name, err)
		}
		listeners = append(listeners, proxy.Listener{Name: name, Net: l, Direction: direction, Upstream: upstream, Transparent: transparent})
		return nil
	}
	if a := cfg.Listeners.Outbound; a.Port != 0 {
		if err := open("outbound", a.String(), rules.Outbound, "", false); err != nil {
			return nil, err
		}
	}
	if a := cfg.Listeners.Inbound; a.Port != 0 {
		if err := open("inbound", a.String(), rules.Inbound, "", transparent); err != nil {
			return nil, err
		}
	}
	for _, e := range cfg.Listeners.Explicit {
		if err := open(e.Listen.String(), e.Listen.String(), e.Direction, e.Upstream, false); err != nil {
			return nil, err
		}
	}
	return listeners, nil
}

func closeListeners(listeners []proxy.Listener) {
	for _, l := range listeners {
		l.Net.Close()
	}
}

// chooseMark marks upstream sockets where this process may, so that the
// redirect lets them pass. Where it may not, its uid or gid has to be the one
// that the redirect lets pass; as root nothing would, and every connection
// would come back. TPROXY's rules go by the mark alone.
func chooseMark(cfg config.Config, transparent bool) (uint32, error) {
	if cfg.Listeners.Outbound.Port == 0 && !transparent {
		return 0, nil
	}
	err := proxy.CheckMark(iptables.DefaultMark)
	switch {
	case err == nil:
		return iptables.DefaultMark, nil
	case transparent && errors.Is(err, syscall.EPERM):
		return 0, fmt.Errorf("--tproxy dials the service in the caller's name, which needs CAP_NET_ADMIN: "+
			"grant it (capabilities: add: [NET_ADMIN] to a container; to another user than root as an ambient capability), "+
			"or redirect without --mode tproxy: %w", syscall.EPERM)
	case transparent:
		return 0, fmt.Errorf("--tproxy: %w", err)
	case os.Geteuid() == 0:
		return 0, fmt.Errorf("run as root without CAP_NET_ADMIN cannot keep its own connections out of the redirect: run it as uid %s, or give it CAP_NET_ADMIN: %w",
			iptables.DefaultBypassID, err)
	}
	return 0, nil
}

// onSignals returns a context that the first SIGTERM or SIGINT ends, and a
// channel that the second one closes.
func onSignals(parent context.Context) (ctx context.Context, second <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	again, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(again)
		for range 2 {
			select {
			case <-signals:
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, again, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
