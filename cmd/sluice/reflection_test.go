package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// How a service answers when it is asked about itself.
const (
	describes int32 = iota
	absent
	hangs
)

// serveCalls runs a gRPC service until the test ends.
func serveCalls(t *testing.T, how *atomic.Int32) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		switch how.Load() {
		case absent:
			return status.Error(codes.Unimplemented, "unknown service")
		case hangs:
			<-stream.Context().Done()
			return nil
		}
		return handle(srv, stream)
	}))
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

// throughSidecar runs a sidecar in front of upstream and gives do a connection
// through it.
func throughSidecar(t *testing.T, cfg config.Config, upstream string, do func(*grpc.ClientConn)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSidecar(cfg, sidecarOptions{
		Listeners: []proxy.Listener{{Name: "test", Net: l, Direction: rules.Inbound, Upstream: upstream}}, Stderr: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, nil) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	do(conn)
	conn.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A sidecar that starts again while the service does not describe itself knows
// what it knew before.
func TestSidecarKnowsDescriptorsOverARestart(t *testing.T) {
	dir := t.TempDir()
	cfg := execConfig(filepath.Join(dir, "rules"), "")
	cfg.Reflection = config.Reflection{Cache: filepath.Join(dir, "cache"), Private: true}
	rule := "route: r\nmatch: {grpc: grpc.health.v1.Health/Check}\nresponse: [{jq: '.status = \"NOT_SERVING\"'}]\n"
	if err := os.Mkdir(cfg.Rules, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Rules, "r.yaml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(conn *grpc.ClientConn) (healthpb.HealthCheckResponse_ServingStatus, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		return r.GetStatus(), err
	}
	var how atomic.Int32
	address := serveCalls(t, &how)
	for _, life := range []struct {
		name   string
		how    int32
		spoil  bool
		edited bool
	}{
		{"described", describes, false, true},
		{"absent", absent, false, true},
		{"hung", hangs, false, true},
		{"absent, and the cache is damaged", absent, true, false},
		{"described again", describes, false, true},
		{"absent again", absent, false, true},
	} {
		how.Store(life.how)
		if life.spoil {
			files, err := filepath.Glob(filepath.Join(cfg.Reflection.Cache, "*"+cacheSuffix))
			if err != nil || len(files) != 1 {
				t.Fatalf("cached: %v, %v", files, err)
			}
			if err := os.Truncate(files[0], 100); err != nil {
				t.Fatal(err)
			}
		}
		throughSidecar(t, cfg, address, func(conn *grpc.ClientConn) {
			got, err := check(conn)
			if edited := got == healthpb.HealthCheckResponse_NOT_SERVING; edited != life.edited || edited != (err == nil) {
				t.Errorf("%s: got %v, %v, want edited=%v, else refused", life.name, got, err, life.edited)
			}
			stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: reflection from outside: got %v, want UNIMPLEMENTED", life.name, err)
			}
		})
	}
}
