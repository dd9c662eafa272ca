package tap

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// usual is an exchange as most are: no rule looked at it, eight header lines
// and a body of 100 bytes either way.
func usual() *proxy.Record {
	e := plainExchange("0f8fad5bd9cb469f", noon)
	e.Request.In.Fields = rules.Fields{
		{Name: "Accept", Value: "application/json"}, {Name: "Accept-Encoding", Value: "gzip, deflate"},
		{Name: "User-Agent", Value: "okhttp/4.12.0"}, {Name: "Content-Type", Value: "application/json"},
		{Name: "Content-Length", Value: "100"}, {Name: "X-Request-Id", Value: "6c84fb90-12c4-11e1-840d-7b25c5ee775a"},
		{Name: "Traceparent", Value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, {Name: "X-Tenant", Value: "acme"},
	}
	e.Response.In.Fields = rules.Fields{
		{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: "100"},
		{Name: "Date", Value: "Mon, 23 Nov 2026 12:00:00 GMT"}, {Name: "Server", Value: "orders/1.4.2"},
		{Name: "Cache-Control", Value: "no-store"}, {Name: "Vary", Value: "Accept-Encoding"},
		{Name: "X-Request-Id", Value: "6c84fb90-12c4-11e1-840d-7b25c5ee775a"}, {Name: "X-Runtime", Value: "0.004211"},
	}
	body := proxy.Payload{Bytes: make([]byte, 100), Size: 100}
	e.Request.Body, e.Response.Body = body, body
	return e
}

func BenchmarkObserveUsual(b *testing.B) {
	tap := New(Config{})
	e := usual()
	b.ReportAllocs()
	for b.Loop() {
		tap.Observe(e)
	}
}

func BenchmarkObserveUsualParallel(b *testing.B) {
	tap := New(Config{})
	b.RunParallel(func(pb *testing.PB) {
		e := usual()
		for pb.Next() {
			tap.Observe(e)
		}
	})
}

func BenchmarkObserveOff(b *testing.B) {
	tap := New(Config{Memory: -1})
	e := usual()
	for b.Loop() {
		tap.Observe(e)
	}
}

func BenchmarkUnpack(b *testing.B) {
	p := packer{words: newLexicon()}
	p.event(usual())
	e := packed{data: string(p.bytes())}
	b.ReportAllocs()
	for b.Loop() {
		e.event()
	}
}

func BenchmarkLastExchanges(b *testing.B) {
	tap := New(Config{})
	for i := range 20000 {
		e := usual()
		e.ID, e.Started = fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)
		tap.Observe(e)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := tap.Exchange(b.Context(), "4000"); !ok {
			b.Fatal("the exchange is gone")
		}
	}
}
