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
	if e, ok := e.(*proxy.Reload); ok {
		for i := range e.Problems {
			p := &e.Problems[i]
			weight += 256 + int64(len(p.Source)+len(p.Message)+len(p.Hint))
		}
	}
	return weight
}

// omitted stands for a step's body that was not kept.
type omitted struct{}
