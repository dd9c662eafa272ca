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

// Counts are the requests that finished within the window, while the breaker
// was in its present state: Requests is Successes plus Failures.
type Counts struct {
	Requests, Successes, Failures, ConsecutiveFailures uint32
}

// Settings make a breaker. Zero numbers mean the default beside them.
type Settings struct {
	Window time.Duration // rolling, in ten steps; 10 s
	Open   time.Duration // until it probes; 30 s
	Probes int           // half-open permits, all of which must succeed; 1

	// Trips is asked after every failure while the breaker is closed, with the
	// breaker's lock held: it must be quick and must not call the breaker. Nil
	// means more than five failures in a row.
	Trips func(Counts) bool

	// Spec is what the other settings were made from. A breaker of the same name
	// and another Spec starts anew.
	Spec string

	// PermitTimeout is how long a half-open permit may stay unsettled; after it
	// the probe counts as a failure. Without an end the breaker would neither
	// open nor close again. Zero means the larger of Open and 30 s.
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
	if s.Trips == nil {
		s.Trips = func(c Counts) bool { return c.ConsecutiveFailures > 5 }
	}
	if s.PermitTimeout <= 0 {
		s.PermitTimeout = max(s.Open, 30*time.Second)
	}
	return s
}

// OpenError is why [Breaker.Allow] refused.
type OpenError struct {
	State      State         // Open, ForcedOpen, or HalfOpen with all probes on their way
	RetryAfter time.Duration // until the next probe, zero if it is not known
}

func (e *OpenError) Error() string { return "circuit breaker is " + string(e.State) }

// RetryAfter returns the wait that an [OpenError] names, else zero.
func RetryAfter(err error) time.Duration {
	var open *OpenError
	if errors.As(err, &open) {
		return open.RetryAfter
	}
	return 0
}

// steps is how finely the window rolls.
const steps = 10

type twoStep = gobreaker.TwoStepCircuitBreaker[struct{}]

// Breaker is one circuit breaker of a [Group].
type Breaker struct {
	name  string
	group *Group
	used  atomic.Int64 // Unix nanoseconds of the last Get

	// mu guards what follows and is held around every call of gobreaker, so that
	// its callbacks run under mu too.
	mu         sync.Mutex
	settings   Settings
	two        *twoStep
	generation uint64 // of permits; a change of state makes older ones void
	forced     bool
	since      time.Time // of the present state
	judged     Counts    // that Trips saw last
	probes     map[*Permit]struct{}
	changes    []Change // not told yet
	telling    bool     // by one goroutine at a time, in order
}

// begin starts the breaker anew, closed or, if it is forced, open. Permits that
// are out become void. mu is held, or nobody else knows b yet.
func (b *Breaker) begin() {
	b.void()
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          b.name,
		MaxRequests:   uint32(b.settings.Probes),
		Interval:      b.settings.Window,
		BucketPeriod:  b.settings.Window / steps,
		Timeout:       b.settings.Open,
		ReadyToTrip:   b.trips,
		OnStateChange: b.changed,
		IsExcluded:    func(err error) bool { return errors.Is(err, errIgnored) },
	})
}

func (b *Breaker) trips(c gobreaker.Counts) bool {
	b.judged = countsOf(c)
	return b.settings.Trips(b.judged)
}

// changed is called by gobreaker.
func (b *Breaker) changed(_ string, from, to gobreaker.State) {
	b.void()
	var c Counts
	if from == gobreaker.StateClosed {
		c = b.judged
	}
	b.note(stateOf(from), stateOf(to), c)
}

// void makes every permit that is out void.
func (b *Breaker) void() {
	b.generation++
	for p := range b.probes {
		p.timer.Stop()
	}
	clear(b.probes)
}

// note keeps a change to be told when mu is free.
func (b *Breaker) note(from, to State, c Counts) {
	b.since = time.Now()
	b.changes = append(b.changes, Change{Name: b.name, From: from, To: to, At: b.since, Counts: c})
}

// tell tells the changes that were noted. It is called after every step that
// may change the state, without any lock.
func (b *Breaker) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.telling {
		return // that goroutine tells them, in order
	}
	b.telling = true
	defer func() { b.telling = false }()
	for len(b.changes) > 0 {
		changes := b.changes
		b.changes = nil
		b.tellUnlocked(changes)
	}
}

func (b *Breaker) tellUnlocked(changes []Change) {
	b.mu.Unlock()
	defer b.mu.Lock()
	if b.group.onChange == nil {
		return
	}
	for _, c := range changes {
		b.group.onChange(c)
	}
}

// state is the present one; time alone may have changed it.
func (b *Breaker) state() State {
	state := stateOf(b.two.State())
	if b.forced {
		return ForcedOpen
	}
	return state
}

// Allow asks for a permit. Its error is an [*OpenError].
func (b *Breaker) Allow() (*Permit, error) {
	p, changed, err := b.allow()
	if changed {
		b.tell()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (b *Breaker) allow() (p *Permit, changed bool, err *OpenError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state()
	changed = len(b.changes) > 0
	switch state {
	case Closed:
		return &Permit{b: b, generation: b.generation}, changed, nil
	case HalfOpen:
		done, err := b.two.Allow()
		if err != nil {
			break
		}
		p = &Permit{b: b, generation: b.generation, probe: done}
		p.timer = time.AfterFunc(b.settings.PermitTimeout, p.expire)
		if b.probes == nil {
			b.probes = make(map[*Permit]struct{})
		}
		b.probes[p] = struct{}{}
		return p, changed, nil
	}
	return nil, changed, &OpenError{State: state, RetryAfter: b.retryAfter(state)}
}

// retryAfter is how long a breaker in state stays open.
func (b *Breaker) retryAfter(state State) time.Duration {
	if state != Open {
		return 0
	}
	return max(0, b.settings.Open-time.Since(b.since))
}

// Fail counts a failure of work whose permit has been settled as a success: a
// stream that began well and broke later. It counts only while b is closed;
// [Permit.Fail] also knows whether the state has changed since.
func (b *Breaker) Fail() {
	if b.fail() {
		b.tell()
	}
}

func (b *Breaker) fail() (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state() == Closed {
		b.count(errFailed)
	}
	return len(b.changes) > 0
}

// count counts a result while b is closed. gobreaker puts a result into the
// step of the window in which its request began, and drops it if that is over:
// a failure that takes longer than the window, as timeouts do, would never
// count. So a request begins for gobreaker when it ends.
func (b *Breaker) count(result error) {
	if done, err := b.two.Allow(); err == nil {
		done(result)
	}
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
