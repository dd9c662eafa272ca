package tap

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// explainedBody bounds the body of a step that is explained.
const explainedBody = codec.MiB

// Explanation renders an explanation as JSON. It is an exchange as the package
// comment has it, without what only happens on a wire, and with these members:
//
//	{"type": "explanation", ...,
//	 "params": {"id": "7"},
//	 "candidates": [{"route": "..", "file": "..", "line": 1, "pattern": "GET /v1/orders/{id}",
//	                 "fate": "passed", "why": "headers.x-tenant", "want": "acme", "got": "other"}],
//	 "request": HALF, "response": HALF,    with "way": "in_place", or "by_value" and "why"
//	 "messages": [..],                     of streams, as message events
//	 "breaker": {"name": "route@host:port", "state": "closed"},
//	 "answer": {"status": 403, "grpc_status": "..", "message": "..", "error": "route/step; reason"}}
//
// The fates are those of [rules.Fate]; "body" of a step is there also where it
// ran in place.
func (c Config) Explanation(ctx context.Context, e *proxy.Explanation) []byte {
	c.Body = explainedBody
	r := newRenderer(c.withDefaults())
	return appendJSON(nil, r.explanation(ctx, e))
}

func (r *renderer) explanation(ctx context.Context, e *proxy.Explanation) object {
	o := object{{"type", "explanation"}}
	for _, m := range r.exchange(ctx, &remembered{Record: *e.Record}) {
		switch m.key {
		case "type", "id", "time", "conn", "lane", "duration_ms", "attempts", "breaker":
			continue
		case "request":
			m.value = withWay(m.value, e.Request)
		case "response":
			m.value = withWay(m.value, e.Response)
		}
		o = append(o, m)
		if m.key == "route" {
			params := object{}
			for _, name := range slices.Sorted(maps.Keys(e.Params)) {
				params.add(name, e.Params[name])
			}
			o.add("params", params)
			o.add("candidates", r.candidates(e.Candidates))
		}
	}
	if len(e.Messages) > 0 {
		messages := make([]object, len(e.Messages))
		for i := range messages {
			messages[i] = r.message(e.Messages[i])
		}
		o.add("messages", messages)
	}
	if b := e.Record.Breaker; b != "" {
		breaker := object{{"name", b}}
		breaker.addIf("state", e.Breaker.State)
		o.add("breaker", breaker)
	}
	if a := e.Answer; a != nil {
		o.add("answer", answered(a))
	}
	return o
}

func withWay(half any, way proxy.Way) any {
	o, ok := half.(object)
	switch {
	case !ok:
		return half
	case way.InPlace:
		o.add("way", "in_place")
	case way.Why != "":
		o.add("way", "by_value")
		o.add("why", way.Why)
	}
	return o
}

func (r *renderer) candidates(list []rules.Candidate) []object {
	candidates := make([]object, len(list))
	for i := range list {
		c := &list[i]
		at := c.Route.Position()
		o := object{{"route", c.Route.Name()}, {"file", at.File}, {"line", at.Line}}
		o.addIf("pattern", c.Pattern)
		o.add("fate", string(c.Fate))
		o.addIf("why", c.Why)
		if name, ok := strings.CutPrefix(c.Why, "headers."); ok && (r.secret[name] || c.Route.Redact().HidesHeader(name)) {
			c.Want, c.Got = redacted, redacted
		}
		if c.Want != "" || c.Got != "" {
			o.add("want", c.Want)
			o.add("got", c.Got)
		}
		candidates[i] = o
	}
	return candidates
}
