//go:build linux

package traffic

import (
	"net"
	"os"
	"testing"
	"time"
)

// backend serves on loopback until the test ends.
func backend(t *testing.T) map[Protocol]string {
	t.Helper()
	listeners, addresses := map[Protocol]net.Listener{}, map[Protocol]string{}
	for _, p := range Protocols {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[p], addresses[p] = l, l.Addr().String()
	}
	end, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Backend(listeners, end) }()
	t.Cleanup(func() {
		hold.Close()
		if err := <-done; err != nil {
			t.Errorf("backend: %v", err)
		}
		end.Close()
	})
	return addresses
}

// With no proxy between them the two ends have to agree on every kind.
func TestLoadAndBackendAgree(t *testing.T) {
	addresses := backend(t)
	tests := map[string]Spec{
		"get":      {Kind: Get, Conns: 8},
		"post":     {Kind: Post, Conns: 8},
		"download": {Kind: Download, Conns: 4},
		"raw":      {Kind: Raw, Conns: 2},
		"unary":    {Kind: Unary, Conns: 2, Streams: 8},
		"paced":    {Kind: Unary, Conns: 2, Rate: 500},
		"bidi":     {Kind: Bidi, Conns: 2, Streams: 4, InFlight: 16},
		"idle":     {Kind: Idle, Conns: 50},
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			spec.Address = addresses[spec.Kind.Protocol()]
			spec.Warm, spec.For, spec.PIDs = 20*time.Millisecond, 200*time.Millisecond, []int{os.Getpid()}
			got, err := Load(spec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Errors != 0 {
				t.Fatalf("%d errors: %s", got.Errors, got.Error)
			}
			if got.Count < 20 || got.RSS == 0 {
				t.Errorf("got %+v", got)
			}
			if name == "paced" && (got.Count < 90 || got.Count > 110) {
				t.Errorf("got %v requests in 200 ms, want 100", got.Count)
			}
			if latency := spec.Kind != Raw && spec.Kind != Idle; latency && (got.P50 == 0 || got.P50 > got.P99) {
				t.Errorf("got p50 %v, p99 %v", got.P50, got.P99)
			}
		})
	}
}
