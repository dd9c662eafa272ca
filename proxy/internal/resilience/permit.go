package resilience

import (
	"errors"
	"sync/atomic"
	"time"
)

// Result is how permitted work ended.
type Result uint8

// The results. Ignored work counts neither as a success nor as a failure.
const (
	Success Result = iota
	Failure
	Ignored
)

// errFailed and errIgnored are Failure and Ignored in gobreaker's terms.
var (
	errFailed  = errors.New("failed")
	errIgnored = errors.New("ignored")
)

// Permit is leave to do one piece of work. It must be settled with Done; until
// then a half-open breaker counts it among its probes.
type Permit struct {
	b          *Breaker
	generation uint64
	settled    atomic.Bool
	probe      func(error) // gobreaker's, nil if the breaker was closed
	timer      *time.Timer // of a probe
}

// Done settles the permit. Later calls do nothing, and neither does a call that
// comes after the breaker has changed its state.
func (p *Permit) Done(r Result) {
	if !p.settled.CompareAndSwap(false, true) {
		return
	}
	switch r {
	case Success:
		p.settle(nil)
	case Failure:
		p.settle(errFailed)
	default:
		p.settle(errIgnored)
	}
}

// Fail counts a failure after Done: a stream that began well and broke later.
// Before Done it is Done(Failure). It does nothing once the breaker has changed
// its state.
func (p *Permit) Fail() {
	p.settled.Store(true)
	p.settle(errFailed)
}

// expire settles a probe that nobody has settled in time.
func (p *Permit) expire() { p.Done(Failure) }

func (p *Permit) settle(result error) {
	if p.count(result) {
		p.b.tell()
	}
}

func (p *Permit) count(result error) (changed bool) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.probe != nil {
		p.timer.Stop()
		delete(b.probes, p)
	}
	switch {
	case p.generation != b.generation || b.forced:
	case p.probe != nil:
		p.probe(result)
	case !errors.Is(result, errIgnored):
		b.count(result)
	}
	return len(b.changes) > 0
}
