package intercept

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// Options are the choices of [Listen]. The zero value is an ordinary listener.
type Options struct {
	// Transparent accepts connections to any address, which TPROXY needs. It
	// needs CAP_NET_ADMIN.
	Transparent bool

	// ReusePort lets a second process listen on the same address, for a
	// replacement without a gap.
	ReusePort bool
}

// Listen listens on addr, [host]:port; without a host on IPv4 and IPv6. It never
// uses Multipath TCP, which knows no original destination.
func Listen(ctx context.Context, addr string, o Options) (*net.TCPListener, error) {
	config := net.ListenConfig{
		Control: func(network, _ string, c syscall.RawConn) error {
			return setListen(c, o, strings.HasSuffix(network, "6"))
		},
	}
	config.SetMultipathTCP(false)
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func transparentError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("listen transparently: %w: IP_TRANSPARENT needs CAP_NET_ADMIN; grant it, or redirect with REDIRECT instead of TPROXY", err)
	}
	return fmt.Errorf("listen transparently: %w", err)
}

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
	reportGap  = time.Second // between two calls of onError
	maxAborts  = 16          // aborted connections in a row that are passed over at once
)

// AcceptLoop accepts connections until ctx ends or l is closed, and then returns
// nil; it closes l when ctx ends. handle must not block: it gives the connection to a
// goroutine of the caller's.
//
// No error of Accept ends the loop: running out of descriptors or memory is
// waited out, from 5 ms doubling to 1 s, while open connections go on.
// onError, which may be nil, is told of the first error and then of one a
// second at most, with the wait that follows.
func AcceptLoop(ctx context.Context, l net.Listener, onError func(err error, backoff time.Duration), handle func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var (
		backoff  time.Duration
		aborts   int
		reported time.Time
	)
	for {
		c, err := l.Accept()
		if err == nil {
			backoff, aborts = 0, 0
			handle(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, syscall.ECONNABORTED) && aborts < maxAborts {
			aborts++ // that caller is gone, the next one may be waiting
			continue
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		if now := time.Now(); onError != nil && (reported.IsZero() || now.Sub(reported) >= reportGap) {
			reported = now
			onError(err, backoff)
		}
		if !sleep(ctx, backoff) {
			return nil
		}
	}
}

// sleep waits for d, or reports false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
