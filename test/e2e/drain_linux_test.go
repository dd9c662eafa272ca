package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// Promise: nothing is dropped on change. SIGTERM under load fails no request,
// and a killed sidecar leaves the pod closed, not open.

func TestTerminationFailsNoRequest(t *testing.T) {
	p := newPod(t)
	p.rule("all", `
match: {http: POST /orders}
request:
  - jq: .seen = true
`)
	p.start()
	ctx, stopLoad := context.WithCancel(t.Context())
	var done atomic.Int64
	var load sync.WaitGroup
	work := func(name string, call func() error) {
		load.Go(func() {
			for ctx.Err() == nil {
				if err := call(); err != nil {
					t.Errorf("%s after %d exchanges: %v", name, done.Load(), err)
					return
				}
				done.Add(1)
			}
		})
	}
	for _, h2 := range []bool{false, true} {
		in, out := p.client(p.peer, netns.As{}, h2), p.client(p.Host, service, h2)
		work(fmt.Sprintf("inbound h2=%v", h2), func() error { return postOnce(in, "10.79.0.2:8080") })
		work(fmt.Sprintf("outbound h2=%v", h2), func() error { return postOnce(out, "[fd79::1]:8080") })
	}
	grpc := pb.NewTestServiceClient(p.dialGRPC(p.peer, netns.As{}, "10.79.0.2:9090"))
	work("gRPC", func() error {
		_, err := grpc.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseSize: 10})
		return err
	})
	atLeast := func(n int64) {
		t.Helper()
		testbed.Eventually(t, 30*time.Second, func() error {
			if got := done.Load(); got < n {
				return fmt.Errorf("%d exchanges, want %d", got, n)
			}
			return nil
		})
	}
	atLeast(200)
	if err := p.run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Draining says so, while the application lives on.
	testbed.Eventually(t, 5*time.Second, func() error { return p.get("/healthz/ready", http.StatusServiceUnavailable) })
	atLeast(done.Load() + 500)
	stopLoad()
	load.Wait()
	p.awaitExit()
	t.Logf("%d exchanges", done.Load())
}

func TestKilledSidecarLeavesPodClosed(t *testing.T) {
	p := newPod(t)
	p.start()
	client := p.client(p.peer, netns.As{}, false)
	if err := postOnce(client, "10.79.0.2:8080"); err != nil {
		t.Fatal(err)
	}
	if err := p.run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.exited // killed, as it says
	if err := postOnce(p.client(p.peer, netns.As{}, false), "10.79.0.2:8080"); err == nil {
		t.Error("a request reached the service past the killed sidecar")
	}
	p.start()
	if err := postOnce(p.client(p.peer, netns.As{}, false), "10.79.0.2:8080"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	p.stop()
	p.Run(t, sluice(t), "iptables", "remove")
	if err := postOnce(p.client(p.peer, netns.As{}, false), "10.79.0.2:8080"); err != nil {
		t.Errorf("without redirect: %v", err)
	}
}

func postOnce(client *http.Client, address string) error {
	resp, err := client.Post("http://"+address+"/orders", "application/json", strings.NewReader(`{"n": 1}`))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return nil
}
