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
	for _, head := range []*rules.Head{e.Request.In, e.Response.In} {
		for i := range 8 {
			head.Fields = append(head.Fields, rules.Field{Name: fmt.Sprintf("x-some-header-%d", i), Value: "with some value or other"})
		}
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
	var p packer
	p.event(usual())
	e := packed{data: string(p.buf)}
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
