package proxy_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	wire "github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// startled is an observer that panics when it is told of some exchanges.
type startled struct {
	proxy.Observer
	told *atomic.Int64 // of them
}

func (p startled) Observe(e proxy.Event) {
	if r, ok := e.(*proxy.Record); ok && r.Call.Head.Path == "/panic" {
		p.told.Add(1)
		panic("observer")
	}
	p.Observer.Observe(e)
}

// An observer's panic ends the connection; what else has ended is told all the
// same, and nothing twice.
func TestAnObserverThatPanicsIsToldOnce(t *testing.T) {
	testbed.Leaks(t)
	var told atomic.Int64
	k := newLink(t, func(c *proxy.Config) { c.Observer = startled{c.Observer, &told} })
	pass(t, k.caller, k.upstream, k.fromCaller.get(1, "/panic"))
	pass(t, k.caller, k.upstream, k.fromCaller.get(3, "/ended"))
	pass(t, k.caller, k.upstream, k.fromCaller.get(5, "/open"))
	k.upstream.Write(bytes.Join([][]byte{
		k.fromUp.head(1, wire.FlagEndStream, ":status", "200"),
		k.fromUp.head(3, wire.FlagEndStream, ":status", "200"),
	}, nil))
	if r := k.record("/ended"); r.Error != nil || r.Status != 200 {
		t.Errorf("ended: %+v %v", r, r.Error)
	}
	if r := k.record("/open"); r.Error == nil || r.Error.Reason != "panic" {
		t.Errorf("open: %+v %v", r, r.Error)
	}
	if end := k.closed(); end.Error == nil || end.Error.Reason != "panic" {
		t.Errorf("end: %v", end.Error)
	}
	if n := told.Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
}
