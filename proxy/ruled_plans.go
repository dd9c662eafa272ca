package proxy

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// This file says which calls are planned2s.

// planOf is what was found out about calls with some head.
type planOf struct {
	route  *rules.Route
	method *protobuf.Method // nil: they are no planned2s
	until  time.Time
}

// planFresh is how long nobody finds it out again.
const planFresh = time.Second

// plans reports whether calls with this head may be planned2s of the route, and
// their method.
func (r *ruled) plans(route *rules.Route, head *http2.Head, seen *seenHead) *protobuf.Method {
	if seen.kind != callGRPC || !route.OnlyPlans() {
		return nil
	}
	if now := r.caller.Now(); seen.plan.route != route || !now.Before(seen.plan.until) {
		seen.plan = planOf{route, r.planned(route, head, seen), now.Add(planFresh)}
		if seen.plan.method == nil {
			seen.plan = planOf{} // it may be known the next time
		}
	}
	return seen.plan.method
}

func (r *ruled) planned(route *rules.Route, head *http2.Head, seen *seenHead) *protobuf.Method {
	if !readsCalls(route, seen.head) || !plainCall2(head, seen) {
		return nil
	}
	m := r.methods.find(r, seen)
	if m == nil || m.ClientStreaming || m.ServerStreaming {
		return nil
	}
	for _, each := range []struct {
		steps  *rules.Steps
		format codec.Codec
	}{{route.Request(), m.Input}, {route.Response(), m.Output}} {
		if each.steps != nil && !each.steps.RunsOn(each.format) {
			return nil
		}
	}
	return m
}

// plainCall2 reports whether the head of a call leaves as it came.
func plainCall2(head *http2.Head, seen *seenHead) bool {
	for i := range head.Fields {
		switch f := &head.Fields[i]; f.Name {
		case "content-length", "expect":
			return false
		case "grpc-timeout":
			if _, ok := grpcTimeout(f.Value); !ok {
				return false
			}
		case "grpc-accept-encoding":
			if !allKnown(f.Value) {
				return false
			}
		}
	}
	return checkBinary2(seen.head) == nil
}

// methods2 are the methods that were called on a connection, by their paths. It
// is for the goroutine that reads the caller.
type methods2 map[string]method2

type method2 struct {
	*protobuf.Method
	until time.Time
}

const methodsAtMost = 64

// noPatience is over.
var noPatience = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// find returns the method that a head names, nil if that is not known yet. Nobody
// waits for it here.
func (all *methods2) find(r *ruled, seen *seenHead) (m *protobuf.Method) {
	path, now := seen.head.Path, r.caller.Now()
	if m := (*all)[path]; m.Method != nil && now.Before(m.until) {
		return m.Method
	}
	if r.c.p.Methods == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			m = nil // it will be asked again by who ends one call for it, not all of them
		}
	}()
	m, err := r.c.p.Methods.Find(noPatience, r.c.p.server(r.c.listener, r.c.address(), seen.head.Host), seen.service, seen.method)
	if err != nil {
		return nil
	}
	if len(*all) >= methodsAtMost || *all == nil {
		*all = make(methods2)
	}
	(*all)[path] = method2{m, now.Add(planFresh)}
	return m
}
