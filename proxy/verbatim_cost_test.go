//go:build !race

// The race detector allocates on its own.

package proxy_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	wire "github.com/sluice-proxy/sluice/proxy/internal/http2"
)

// forgets is an observer that forgets at once.
type forgets struct{}

func (forgets) Observe(proxy.Event) {}

// unaryCalls are the bytes of n gRPC calls, as the caller and the upstream send
// them.
func unaryCalls(k *link, n int) (request, response []byte) {
	for i := range n {
		stream := uint32(2*i + 1)
		request = append(request, k.fromCaller.head(stream, 0, ":method", "POST", ":scheme", "http", ":path", "/shop.v1.Orders/Create",
			":authority", "shop:80", "content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "te", "trailers")...)
		request = wire.AppendData(request, stream, true, make([]byte, 55))
		response = append(response, k.fromUp.head(stream, 0, ":status", "200", "content-type", "application/grpc")...)
		response = wire.AppendData(response, stream, false, make([]byte, 105))
		response = append(response, k.fromUp.head(stream, wire.FlagEndStream, "grpc-status", "0", "grpc-message", "")...)
	}
	return request, response
}

// echoBack reads whole requests of the size given and writes a response of its
// own for each.
func echoBack(k *link, n int, request, response []byte) {
	in := make([]byte, len(request)/n)
	out := len(response) / n
	for i := range n {
		for at := 0; at < len(in); {
			m, err := k.upstream.Read(in[at:])
			if err != nil {
				return
			}
			at += m
		}
		k.upstream.Write(response[i*out : (i+1)*out])
	}
}

// What an exchange allocates is bounded: its record, its id, and its share of
// slabs.
func TestCostOfARelayedCall(t *testing.T) {
	for _, c := range []struct {
		name     string
		observer proxy.Observer
		most     float64
	}{{"watched", forgets{}, 3}, {"unwatched", nil, 0.2}} {
		t.Run(c.name, func(t *testing.T) {
			k := newLink(t, func(config *proxy.Config) { config.Observer = c.observer })
			const n = 2000
			all, answers := unaryCalls(k, n+1)
			// The first has other bytes: it fills the tables.
			first, firstAnswer := unaryCalls(&link{fromCaller: newHpackOut(), fromUp: newHpackOut()}, 1)
			go k.upstream.Write(answers[:len(firstAnswer)])
			pass(t, k.caller, k.upstream, all[:len(first)])
			expectBytes(t, k.caller, answers[:len(firstAnswer)])
			all, answers = all[len(first):], answers[len(firstAnswer):]
			go echoBack(k, n, all, answers)
			var before, after runtime.MemStats
			one, two := len(all)/n, len(answers)/n
			got := make([]byte, two)
			runtime.ReadMemStats(&before)
			began := time.Now()
			for i := range n {
				k.caller.Write(all[i*one : (i+1)*one])
				for at := 0; at < two; {
					m, err := k.caller.Read(got[at:])
					if err != nil {
						t.Fatal(err)
					}
					at += m
				}
			}
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			allocs := float64(after.Mallocs-before.Mallocs) / n
			t.Logf("%.2f allocations, %.0f bytes, %v a call", allocs, float64(after.TotalAlloc-before.TotalAlloc)/n, took/n)
			if allocs > c.most {
				t.Errorf("%.2f allocations a call, want at most %.1f", allocs, c.most)
			}
		})
	}
}
