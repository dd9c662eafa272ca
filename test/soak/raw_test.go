package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

const greeting = "hello\n"

// startRaw runs the upstream of raw TCP. It greets, half of the time before it
// was spoken to, reads a line that tells its fault, and echoes.
func startRaw(t *testing.T) string {
	l := testbed.Loopback(t)
	var count atomic.Uint64
	testbed.ServeConns(t, l, func(c *net.TCPConn) {
		first := count.Add(1)%2 == 0
		if first {
			_, _ = io.WriteString(c, greeting)
		}
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if !first {
			_, _ = io.WriteString(c, greeting)
		}
		var f, at int
		_, _ = fmt.Sscanf(line, "RAW %d %d", &f, &at)
		echoBytes(c, r, fault(f), at)
	})
	return l.Addr().String()
}

// rawCaller speaks a protocol that Sluice does not know.
type rawCaller struct{ rig *rig }

func (c *rawCaller) move() {}

func (c *rawCaller) run(ctx context.Context, i *instance, o *op) error {
	if o.fault == upstreamResets {
		o.fault, o.at = upstreamCuts, 0
	}
	tcp, err := connect(ctx, i.raw)
	if err != nil {
		return err
	}
	defer tcp.Close()
	if _, err := fmt.Fprintf(tcp, "RAW %d %d\n", o.fault, o.at); err != nil {
		return err
	}
	r := bufio.NewReader(tcp)
	switch said, err := r.ReadString('\n'); {
	case err != nil && o.fault == upstreamCuts && testbed.IsReset(err):
		return nil // it took the greeting with it
	case err != nil:
		return fmt.Errorf("greeting: %w", err)
	case said != greeting:
		return fmt.Errorf("greeting: %w: %.80q", errCorrupt, said)
	}
	return echoed(tcp, r, o)
}

// refusedCaller asks where nobody listens.
type refusedCaller struct{ rig *rig }

func (c *refusedCaller) move() {}

func (c *refusedCaller) run(ctx context.Context, i *instance, o *op) error {
	tcp, err := net.Dial("tcp", i.refused)
	if testbed.IsReset(err) || *direct && errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer tcp.Close()
	deadline, _ := ctx.Deadline()
	tcp.SetDeadline(deadline)
	if _, err := io.WriteString(tcp, "GET /other HTTP/1.1\r\nHost: soak\r\n\r\n"); err != nil {
		return ignoreGone(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(tcp), nil)
	switch {
	case testbed.IsReset(err):
		return nil
	case err != nil:
		return fmt.Errorf("want a reset: %w", err)
	}
	defer resp.Body.Close()
	// The set may change after it was decided to wait for the head.
	if resp.StatusCode == http.StatusBadGateway && resp.Header.Get("X-Sluice-Error") != "" {
		return nil
	}
	return errors.New("want a reset, got " + resp.Status)
}
