// Package shop is a small shop, HTTP with JSON and gRPC with reflection, that
// the demo puts beside Sluice: an ordinary program that knows nothing of it,
// run as a process of its own. Its client is as ordinary.
//
// Nothing is generated: the gRPC side compiles its .proto text when it starts
// and works on dynamic messages, so that the shop can be changed in one place.
package shop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// BigID is an order id that a float64 cannot hold: whoever reads it as one
// answers with 9007199254740992.
const BigID int64 = 1<<53 + 1

// headTimeout bounds how long the shop waits for a request's head.
const headTimeout = 10 * time.Second

// Serve answers HTTP on httpListener and gRPC on grpcListener until ctx ends,
// then closes both and returns nil. A nil listener leaves its side out. Serve
// owns the listeners.
func Serve(ctx context.Context, httpListener, grpcListener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	if httpListener != nil {
		group.Go(func() error { return serveHTTP(ctx, httpListener) })
	}
	if grpcListener != nil {
		group.Go(func() error { return serveGRPC(ctx, grpcListener) })
	}
	return group.Wait()
}

func serveHTTP(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: newHandler(), ReadHeaderTimeout: headTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

func serveGRPC(ctx context.Context, listener net.Listener) error {
	server, err := newGRPCServer(context.WithoutCancel(ctx)) // an end while it compiles is still a clean end
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve grpc: %w", err)
	}
	return nil
}
