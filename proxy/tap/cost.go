package tap

import (
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// What things weigh, in bytes, about. A decoded value weighs several times its
// text: every string has a header, every map its buckets.
const (
	eventCost  = 1024
	fieldCost  = 48
	stepCost   = 128
	valueTimes = 6
)

// costOf estimates the memory that e holds on to, without walking values.
func costOf(e proxy.Event) int64 {
	switch e := e.(type) {
	case *proxy.Record:
		cost := int64(eventCost)
		if e.Call != nil {
			cost += headCost(e.Call.Head)
		}
		return cost + halfCost(&e.Request) + halfCost(&e.Response)
	case *proxy.Message:
		cost := int64(eventCost/2) + int64(len(e.In.Bytes))
		for i := range e.Out {
			cost += int64(len(e.Out[i].Bytes))
		}
		return cost + stepsCost(e.Steps, e.In.Size)
	case *proxy.Reload:
		cost := int64(eventCost)
		for i := range e.Problems {
			p := &e.Problems[i]
			cost += 256 + int64(len(p.Source)+len(p.Message)+len(p.Hint))
		}
		return cost
	}
	return eventCost / 2
}

func halfCost(h *proxy.Half) int64 {
	cost := int64(len(h.Body.Bytes) + len(h.Sent.Bytes))
	cost += headCost(h.In)
	if h.Out != h.In {
		cost += headCost(h.Out)
	}
	return cost + fieldsCost(h.Trailers) + stepsCost(h.Steps, h.Body.Size)
}

func headCost(h *rules.Head) int64 {
	if h == nil {
		return 0
	}
	return int64(len(h.Path)+len(h.Query)) + fieldsCost(h.Fields)
}

func fieldsCost(f rules.Fields) int64 {
	cost := int64(len(f)) * fieldCost
	for i := range f {
		cost += int64(len(f[i].Value))
	}
	return cost
}

// stepsCost takes the first body for a whole value and each further one for
// a difference, since the results of steps share what they did not change.
func stepsCost(steps []rules.StepReport, size int64) int64 {
	cost := int64(len(steps)) * stepCost
	first := true
	for i := range steps {
		if steps[i].Head != nil {
			cost += headCost(steps[i].Head)
		}
		if steps[i].Body == nil {
			continue
		}
		if first {
			cost += valueTimes * size
			first = false
		} else {
			cost += size
		}
	}
	return cost
}

// omitted stands for a step's body that was not kept.
type omitted struct{}

// lighten returns e without its steps' bodies, and what it weighs then.
func lighten(e proxy.Event, cost int64) (proxy.Event, int64) {
	switch old := e.(type) {
	case *proxy.Record:
		light := *old
		light.Request.Steps = withoutBodies(old.Request.Steps)
		light.Response.Steps = withoutBodies(old.Response.Steps)
		e = &light
		cost = costOf(e) - stepsCost(light.Request.Steps, light.Request.Body.Size) - stepsCost(light.Response.Steps, light.Response.Body.Size)
		return e, cost + int64(len(light.Request.Steps)+len(light.Response.Steps))*stepCost
	case *proxy.Message:
		light := *old
		light.Steps = withoutBodies(old.Steps)
		return &light, costOf(&light) - stepsCost(light.Steps, light.In.Size) + int64(len(light.Steps))*stepCost
	}
	return e, cost
}

func withoutBodies(steps []rules.StepReport) []rules.StepReport {
	light := make([]rules.StepReport, len(steps))
	copy(light, steps)
	for i := range light {
		if light[i].Body != nil {
			light[i].Body = omitted{}
		}
	}
	return light
}
