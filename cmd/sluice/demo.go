package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/demo"
	"github.com/sluice-proxy/sluice/iptables/rootless"
)

// demoBudget bounds the demo, which takes some two seconds.
const demoBudget = 60 * time.Second

func newDemoCmd() *cobra.Command {
	var stay bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See Sluice change, guard and show real traffic, in one terminal",
		Long: `See Sluice change, guard and show real traffic: a small shop that knows nothing of it, and the shop's customer in a network
namespace of its own. No root, no network, no other program; it ends by itself after some seconds. What it prints really
passed the wire, and when something is not as it should be it says so and exits with 1.`,
		Example: "  sluice demo\n  sluice demo --stay",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), stay)
		},
	}
	cmd.Flags().BoolVar(&stay, "stay", false, "keep all of it running, for three things to try in another terminal, until Ctrl-C")
	return cmd
}

// demoPlay is one run of the demo.
type demoPlay struct {
	demo.Printer
	*demoStage
	started time.Time
}

// runDemo plays the scenes in order. Ctrl-C and a reader that has seen enough
// end it early; what was started is ended then, too, and what was written is
// removed.
func runDemo(parent context.Context, out io.Writer, stay bool) error {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer surviveClosedPipes()()
	bounded, done := context.WithTimeout(ctx, demoBudget)
	defer done()

	play := demoPlay{Printer: demo.Printer{Out: watchedWriter{out, cancel}, Colour: coloured(out)}, started: time.Now()}
	var err error
	play.demoStage, err = newDemoStage(bounded)
	defer play.close()
	if err != nil {
		return demoError(ctx, fmt.Errorf("set the stage: %w", err))
	}
	for _, scene := range []func(context.Context) error{play.introduce, play.json, play.grpc, play.breaker, play.tap} {
		if err := scene(bounded); err != nil {
			return demoError(ctx, err)
		}
	}
	play.Space()
	play.Say("All of this passed the wire, in %.1f s.", time.Since(play.started).Seconds())
	if stay {
		return play.stay(ctx)
	}
	play.Say("Next: sluice demo --stay, to try it yourself, or sluice exec -- COMMAND, for a program of your own.")
	return nil
}

// surviveClosedPipes lets a write to a standard output that nobody reads any
// more fail, instead of ending this process before it has cleaned up.
func surviveClosedPipes() (restore func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// watchedWriter tells of the first write that fails.
type watchedWriter struct {
	io.Writer
	failed func(error)
}

func (w watchedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		w.failed(err)
	}
	return n, err
}

// demoError tells an early end, which may show first as a program that ended,
// from a failure.
func demoError(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
		return withoutNamespaces(fmt.Errorf("demo: %w", err))
	}
	if errors.Is(context.Cause(ctx), syscall.EPIPE) {
		return &exitError{Code: 128 + int(syscall.SIGPIPE)}
	}
	return &exitError{Code: 128 + int(syscall.SIGINT), Err: errors.New("demo: interrupted; everything is cleaned up")}
}

// withoutNamespaces adds what works where there are no user namespaces.
func withoutNamespaces(err error) error {
	var setup *rootless.SetupError
	if !errors.As(err, &setup) && !errors.Is(err, rootless.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w\nwithout namespaces, Sluice still is a reverse proxy: sluice run --rules DIR --listen ADDR --upstream ADDR", err)
}

func (p *demoPlay) introduce(context.Context) error {
	p.Title("A shop and its customer, who know nothing of Sluice")
	p.Pair("shop", "http "+p.shopHTTP+", grpc "+p.shopGRPC)
	p.Pair("customer", "in a network namespace of its own, no root: all its TCP goes through Sluice")
	return nil
}

// bigID is an order id that a float64 cannot hold.
const bigID = "9007199254740993"

// both asks the same of the same shop, without Sluice and through it.
func (p *demoPlay) both(ctx context.Context, command string) (before, after answer, err error) {
	if before, err = p.outside.ask(ctx, command); err != nil {
		return before, after, fmt.Errorf("without Sluice: %w", err)
	}
	if after, err = p.inside.ask(ctx, command); err != nil {
		return before, after, fmt.Errorf("through Sluice: %w", err)
	}
	return before, after, nil
}

func (p *demoPlay) json(ctx context.Context) error {
	p.Title("1. A JSON answer, before and after a rule")
	if err := p.Rule(demo.Orders); err != nil {
		return err
	}
	before, after, err := p.both(ctx, "order "+bigID)
	if err != nil {
		return err
	}
	p.Space()
	p.Say("%s", before.call)
	if err := p.Changed(before.body(), after.body()); err != nil {
		return fmt.Errorf("%s: %w", before.call, err)
	}
	return errors.Join(
		want("before the rule", before.text, "200 ", bigID, `"email":"ada@example.com"`, `"number":"4111111111111111"`, `"internal":`),
		want("after the rule", after.text, "200 ", bigID, `"email":"***"`, `"number":"**** 1111"`),
		wantNot("after the rule", after.text, "internal"),
	)
}

func (p *demoPlay) grpc(ctx context.Context) error {
	p.Title("2. A gRPC message, before and after a rule")
	if err := p.Rule(demo.OrdersGRPC); err != nil {
		return err
	}
	before, after, err := p.both(ctx, "get "+bigID)
	if err != nil {
		return err
	}
	p.Space()
	p.Say("%s, whose field names the shop's own reflection told: no descriptors were given", before.call)
	if err := p.Changed(before.text, after.text); err != nil {
		return fmt.Errorf("%s: %w", before.call, err)
	}
	return errors.Join(
		want("before the rule", before.text, bigID, `"customer_email":"ada@example.com"`, `"card_number":"4111111111111111"`, `"internal_note":`),
		want("after the rule", after.text, bigID, `"customer_email":"***"`, `"card_number":"**** 1111"`, `"status":"STATUS_PAID"`),
		wantNot("after the rule", after.text, "internal_note"),
	)
}

// want reports what is missing in text.
func want(when, text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("%s: the answer lacks %s: %s", when, part, text)
		}
	}
	return nil
}

func wantNot(when, text, part string) error {
	if strings.Contains(text, part) {
		return fmt.Errorf("%s: the answer still has %s: %s", when, part, text)
	}
	return nil
}
