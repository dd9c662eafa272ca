package tap

import "github.com/sluice-proxy/sluice/proxy"

// What is kept beside the packed form weighs, in bytes, about.
const (
	refWeight  = 32
	rareWeight = 1024
	valueTimes = 6 // of a decoded value's text: strings have headers, maps buckets
)

// weightOf estimates what an event that is kept as it is holds on to.
func weightOf(e proxy.Event) int64 {
	weight := int64(rareWeight)
	switch e := e.(type) {
	case *proxy.Reload:
		for i := range e.Problems {
			p := &e.Problems[i]
			weight += 256 + int64(len(p.Source)+len(p.Message)+len(p.Hint))
		}
	case *proxy.Shadowed:
		weight += 128 * int64(len(e.Steps))
		if r := e.Record; r != nil {
			for _, p := range []*proxy.Payload{&r.Request.Body, &r.Request.Sent, &r.Response.Body, &r.Response.Sent} {
				weight += refWeight + valueTimes*int64(len(p.Bytes)) // with what its steps made of it
			}
		}
		for _, m := range e.Messages {
			weight += rareWeight + valueTimes*int64(len(m.In.Bytes))
			for i := range m.Out {
				weight += refWeight + int64(len(m.Out[i].Bytes))
			}
		}
	}
	return weight
}

// omitted stands for a step's body that was not kept.
type omitted struct{}
