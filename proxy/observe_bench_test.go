package proxy

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

// BenchmarkObserved is what describing an exchange to observers costs: a GET that
// is answered with 100 B of JSON, which passes.
func BenchmarkObserved(b *testing.B) {
	p := &Proxy{watched: true}
	p.Capture = 16 << 10
	p.Codecs = codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}})
	x := &exchange{p: p}
	x.request.in = &rules.Head{Method: "GET", Path: "/orders/7", Fields: rules.Fields{
		{Name: "User-Agent", Value: "bench/1.0"}, {Name: "Accept", Value: "*/*"}, {Name: "X-Request-Id", Value: "7"},
	}}
	x.response.in = &rules.Head{Status: 200, Fields: rules.Fields{
		{Name: "Server", Value: "bench"}, {Name: "Date", Value: "Mon, 23 Nov 2026 12:00:00 GMT"},
		{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: "100"},
	}}
	x.request.out, x.response.out = x.request.in, x.response.in
	x.request.body = body{x: x, stream: http.NoBody}
	x.response.body = body{x: x}
	var room capture
	data := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		x.response.body.seen = p.lentCapture(&room)
		x.response.body.seen.add(data)
		x.complete()
	}
}
