// Package resilience keeps circuit breakers by name, on gobreaker's two-step
// breaker: ask before the work, tell afterwards.
package resilience

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// State is where a breaker stands.
type State string

// The states. A forced breaker stays open until somebody closes or resets it.
const (
	Closed     State = "closed"
	Open       State = "open"
	HalfOpen   State = "half_open"
	ForcedOpen State = "forced_open"
)

// Result is how permitted work ended.
type Result uint8

// The results. Ignored work counts neither as a success nor as a failure.
const (
	Success Result = iota
	Failure
	Ignored
)

// Counts are the finished requests of the window: Requests is Successes plus
// Failures.
type Counts struct {
	Requests, Successes, Failures, ConsecutiveFailures uint32
}

// Settings make a breaker. Zero numbers mean the default beside them.
type Settings struct {
	Window time.Duration     // rolling; 10 s
	Open   time.Duration     // until it probes; 30 s
	Probes int               // half-open permits, all of which must succeed; 1
	Trips  func(Counts) bool // asked after every failure; must be quick: gobreaker's lock is held
	Spec   string            // a breaker of the same name and another Spec starts anew

	// PermitTimeout is how long a half-open permit may stay unsettled. After it
	// the probe counts as a failure: without an end, the breaker would neither
	// open nor close again. 0: the larger of Open and 30 s.
	PermitTimeout time.Duration
}

func (s Settings) withDefaults() Settings {
	if s.Window <= 0 {
		s.Window = 10 * time.Second
	}
	if s.Open <= 0 {
		s.Open = 30 * time.Second
	}
	if s.Probes <= 0 {
		s.Probes = 1
	}
	if s.PermitTimeout <= 0 {
		s.PermitTimeout = max(s.Open, 30*time.Second)
	}
	return s
}

// OpenError is why [Breaker.Allow] refused.
type OpenError struct {
	RetryAfter time.Duration // until the next probe, zero if it is not known
}

func (e *OpenError) Error() string { return "circuit breaker is open" }

// RetryAfter returns the wait that an [OpenError] names, else zero.
func RetryAfter(err error) time.Duration {
	var open *OpenError
	if errors.As(err, &open) {
		return open.RetryAfter
	}
	return 0
}

// buckets is how finely the window rolls.
const buckets = 10

var (
	errFailed  = errors.New("failed")
	errIgnored = errors.New("ignored")
)

// Breaker is one circuit breaker of a [Group].
type Breaker struct {
	name     string
	settings Settings
	group    *Group
	used     atomic.Int64 // Unix nanoseconds of the last Allow

	mu     sync.Mutex // guards what follows; may be taken under gobreaker's lock, so gobreaker is never called with it held
	two    *gobreaker.TwoStepCircuitBreaker[struct{}]
	forced bool
	since  time.Time // of the present state
	opened time.Time // when it last opened
}

func newBreaker(g *Group, name string, s Settings) *Breaker {
	b := &Breaker{name: name, settings: s, group: g, since: time.Now()}
	b.two = b.fresh()
	return b
}

// fresh is a closed gobreaker. Its callbacks run under its lock, so they only
// take notes.
func (b *Breaker) fresh() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         b.name,
		MaxRequests:  uint32(b.settings.Probes),
		Interval:     b.settings.Window,
		BucketPeriod: b.settings.Window / buckets,
		Timeout:      b.settings.Open,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			seen := countsOf(c)
			if !b.settings.Trips(seen) {
				return false
			}
			b.group.note(func(n *notes) { n.counts[b] = seen })
			return true
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			b.group.changed(b, stateOf(from), stateOf(to))
		},
		IsSuccessful: func(err error) bool { return err == nil },
		IsExcluded:   func(err error) bool { return err == errIgnored },
	})
}

// Allow asks for a permit. Its error is an [*OpenError].
func (b *Breaker) Allow() (*Permit, error) {
	now := time.Now()
	b.used.Store(now.UnixNano())
	b.mu.Lock()
	two, forced := b.two, b.forced
	b.mu.Unlock()
	if forced {
		return nil, &OpenError{}
	}
	done, err := two.Allow()
	state := two.State()
	b.group.deliver()
	if err != nil {
		return nil, &OpenError{RetryAfter: b.retryAfter(now)}
	}
	p := &Permit{group: b.group, done: done}
	if state == gobreaker.StateHalfOpen {
		p.timer = time.AfterFunc(b.settings.PermitTimeout, p.expire)
	}
	return p, nil
}

func (b *Breaker) retryAfter(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.opened.Add(b.settings.Open).Sub(now))
}

// Permit is leave to do one piece of work. It must be settled with Done.
type Permit struct {
	group *Group
	done  func(error)
	timer *time.Timer
	once  sync.Once
}

// Done settles the permit. Later calls do nothing, and neither does a call that
// comes after the breaker has changed its state.
func (p *Permit) Done(r Result) {
	p.once.Do(func() {
		if p.timer != nil {
			p.timer.Stop()
		}
		switch r {
		case Success:
			p.done(nil)
		case Failure:
			p.done(errFailed)
		default:
			p.done(errIgnored)
		}
		p.group.deliver()
	})
}

func (p *Permit) expire() { p.Done(Failure) }

// Fail counts a failure of work whose permit has been settled as a success: a
// stream that began well and broke later.
func (b *Breaker) Fail() {
	b.mu.Lock()
	two, forced := b.two, b.forced
	b.mu.Unlock()
	if forced || two.State() != gobreaker.StateClosed {
		b.group.deliver()
		return
	}
	if done, err := two.Allow(); err == nil {
		done(errFailed)
	}
	b.group.deliver()
}

func countsOf(c gobreaker.Counts) Counts {
	return Counts{
		Requests:            c.TotalSuccesses + c.TotalFailures,
		Successes:           c.TotalSuccesses,
		Failures:            c.TotalFailures,
		ConsecutiveFailures: c.ConsecutiveFailures,
	}
}

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	}
	return Closed
}
