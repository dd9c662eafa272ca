package proxy

import (
	"net"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

type forgetful struct{}

func (forgetful) Observe(Event) {}

// BenchmarkVerbatim is what looking at frames costs, without any system call.
func BenchmarkVerbatim(b *testing.B) {
	fields := []http2.Field{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/shop.v1.Orders/Create"},
		{Name: ":authority", Value: "shop:80"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}
	none := new(net.TCPConn)
	fresh := func() *way {
		p := &Proxy{Config: Config{Observer: forgetful{}}.withDefaults()}
		v := newVerbatim(&conn{p: p, tcp: none}, none, nil)
		v.toUpstream.left = 0
		return &v.toUpstream
	}
	run := func(w *way, frames []byte) {
		w.in = sock.NewReader(none, nil, frames)
		if n, err := w.look(); n != len(frames) || err != nil {
			b.Fatal(n, err)
		}
		w.tell()
	}
	b.Run("message", func(b *testing.B) {
		w := fresh()
		run(w, http2.NewEncoder().AppendHead(nil, 1, fields, false, 16384))
		var frames []byte
		for range 100 {
			frames = http2.AppendData(frames, 1, false, make([]byte, 100))
		}
		b.ReportAllocs()
		for n := 0; n < b.N; n += 100 {
			run(w, frames)
		}
	})
	b.Run("request", func(b *testing.B) {
		w := fresh()
		e := http2.NewEncoder()
		stream := uint32(1)
		var frames []byte
		b.ReportAllocs()
		for n := 0; n < b.N; n += 100 {
			b.StopTimer()
			w.now = time.Now()
			frames = frames[:0]
			for range 100 {
				frames = http2.AppendData(e.AppendHead(frames, stream, fields, false, 16384), stream, true, make([]byte, 55))
				stream += 2
			}
			b.StartTimer()
			run(w, frames)
			for _, s := range w.v.streams { // as if answered
				w.end(s)
				s.ended |= upstreamEnded
				w.end(s)
			}
			w.tell()
		}
	})
}
