package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/shop"
)

// newShopCmd is the program that the demo and the README put beside Sluice. It
// is in the same binary only so that a newcomer needs no second one.
func newShopCmd() *cobra.Command {
	var httpAddress, grpcAddress string
	var untilEOF bool
	cmd := &cobra.Command{
		Use:   "shop",
		Short: "Serve a small shop that knows nothing of Sluice: HTTP with JSON, and gRPC with reflection",
		Long: `Serve a small shop that knows nothing of Sluice: HTTP with JSON, and gRPC with reflection. It prints a line "http ADDR"
or "grpc ADDR" for each side that it serves. Without flags it serves both, on free ports of 127.0.0.1.`,
		Example: "  sluice shop --http 127.0.0.1:18080",
		Hidden:  true,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if untilEOF {
				go endWithInput(cmd.InOrStdin(), stop)
			}
			if httpAddress == "" && grpcAddress == "" {
				httpAddress, grpcAddress = "127.0.0.1:0", "127.0.0.1:0"
			}
			return runShop(ctx, cmd.OutOrStdout(), httpAddress, grpcAddress)
		},
	}
	cmd.Flags().StringVar(&httpAddress, "http", "", "address of the HTTP side")
	cmd.Flags().StringVar(&grpcAddress, "grpc", "", "address of the gRPC side")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "end when standard input does")
	cmd.AddCommand(newShopClientCmd())
	return cmd
}

// endWithInput calls end when in ends: whoever started this process is gone.
func endWithInput(in io.Reader, end func()) {
	_, _ = io.Copy(io.Discard, in)
	end()
}

func runShop(ctx context.Context, out io.Writer, httpAddress, grpcAddress string) error {
	var listeners [2]net.Listener
	for i, side := range []struct{ name, address string }{{"http", httpAddress}, {"grpc", grpcAddress}} {
		if side.address == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", side.address)
		if err != nil {
			if listeners[0] != nil {
				listeners[0].Close()
			}
			return err
		}
		listeners[i] = l
		fmt.Fprintln(out, side.name, l.Addr())
	}
	return shop.Serve(ctx, listeners[0], listeners[1])
}

func newShopClientCmd() *cobra.Command {
	var c shop.Client
	cmd := &cobra.Command{
		Use:   "client [COMMAND [ARG...]]",
		Short: "Be the shop's customer",
		Long: `Be the shop's customer: run one command, or one for each line of standard input, each followed by an empty line.

  order ID          the order over HTTP
  place JSON        places an order over HTTP
  rates N [PAUSE]   asks for the rates N times, with PAUSE in between
  fail on|off|N     makes the rates fail, recover, or fail N times
  get ID            the order over gRPC
  watch ID N        N updates of an order, a server stream
  upload ID...      uploads orders, a client stream
  chat TEXT...      says each text and prints the answers, both ways`,
		Example: "  sluice shop client --http http://127.0.0.1:18080 order 7",
		Args: usageArgs(func(_ *cobra.Command, _ []string) error {
			if c.HTTP == "" && c.GRPC == "" {
				return errors.New("shop client: name a shop with --http or --grpc")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Out = cmd.OutOrStdout()
			if len(args) == 0 {
				return c.Converse(cmd.Context(), cmd.InOrStdin())
			}
			return c.Do(cmd.Context(), args...)
		},
	}
	cmd.Flags().StringVar(&c.HTTP, "http", "", "URL of the HTTP side")
	cmd.Flags().StringVar(&c.GRPC, "grpc", "", "HOST:PORT of the gRPC side")
	return cmd
}
