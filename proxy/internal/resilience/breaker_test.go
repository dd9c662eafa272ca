package resilience

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// halfOfFour trips when at least four requests finished and half of them failed.
func halfOfFour(c Counts) bool { return c.Requests >= 4 && 2*c.Failures >= c.Requests }

func settings() Settings {
	return Settings{
		Window: 10 * time.Second, Open: 30 * time.Second, Probes: 2, Trips: halfOfFour, Spec: "v1",
		PermitTimeout: 5 * time.Second,
	}
}

// journal notes changes as `closed>open` and so on.
type journal struct {
	mu      sync.Mutex
	changes []Change
}

func (j *journal) note(c Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changes = append(j.changes, c)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, c := range j.changes {
		fmt.Fprintf(&b, "%s>%s ", c.From, c.To)
	}
	return strings.TrimSpace(b.String())
}

func allow(t *testing.T, b *Breaker) *Permit {
	t.Helper()
	p, err := b.Allow()
	if err != nil {
		t.Fatalf("Allow: got %v, want a permit", err)
	}
	return p
}

func refuse(t *testing.T, b *Breaker, state State) *OpenError {
	t.Helper()
	_, err := b.Allow()
	var open *OpenError
	if !errors.As(err, &open) || open.State != state {
		t.Fatalf("Allow: got error %v, want one for state %s", err, state)
	}
	return open
}

func settle(t *testing.T, b *Breaker, results ...Result) {
	t.Helper()
	for _, r := range results {
		allow(t, b).Done(r)
	}
}

func trip(t *testing.T, b *Breaker) {
	t.Helper()
	settle(t, b, Failure, Failure, Failure, Failure)
	refuse(t, b, Open)
}

func one(t *testing.T, g *Group) Snapshot {
	t.Helper()
	list := g.List()
	if len(list) != 1 {
		t.Fatalf("List: got %d breakers, want 1", len(list))
	}
	return list[0]
}

// bubble runs f under fake time with a group of one breaker.
func bubble(t *testing.T, f func(t *testing.T, g *Group, b *Breaker, j *journal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		g := NewGroup(j.note)
		defer g.Close()
		f(t, g, g.Get("orders@db:80", settings()), j)
	})
}

func TestTripsOnCountsOfFinishedRequests(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		for range 10 {
			allow(t, b) // not finished: counts as nothing
		}
		settle(t, b, Ignored, Ignored, Success, Success, Failure)
		if got, want := one(t, g).Counts, (Counts{Requests: 3, Successes: 2, Failures: 1, ConsecutiveFailures: 1}); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
		settle(t, b, Failure)
		if got := refuse(t, b, Open).RetryAfter; got != 30*time.Second {
			t.Errorf("RetryAfter: got %v, want 30s", got)
		}
		if got := j.String(); got != "closed>open" {
			t.Errorf("changes: got %q", got)
		}
		if got, want := j.changes[0].Counts, (Counts{Requests: 4, Successes: 2, Failures: 2, ConsecutiveFailures: 2}); got != want {
			t.Errorf("counts of the change: got %+v, want %+v", got, want)
		}
	})
}

func TestWindowRolls(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		settle(t, b, Failure, Failure, Failure)
		time.Sleep(6 * time.Second)
		settle(t, b, Success)
		if got := one(t, g).Counts.Requests; got != 4 {
			t.Errorf("requests within the window: got %d, want 4", got)
		}
		time.Sleep(6 * time.Second)
		if got := one(t, g).Counts; got != (Counts{Requests: 1, Successes: 1}) {
			t.Errorf("counts after the failures left: got %+v, want one success", got)
		}
		settle(t, b, Failure, Success)
		if got := j.String(); got != "" {
			t.Errorf("changes: got %q, want none", got)
		}
	})
}

func TestResultCountsWhenItComesEvenAfterMoreThanTheWindow(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
		permits := []*Permit{allow(t, b), allow(t, b), allow(t, b), allow(t, b)}
		time.Sleep(15 * time.Second) // a timeout longer than the window
		for _, p := range permits {
			p.Done(Failure)
		}
		refuse(t, b, Open)
	})
}

func TestHalfOpenAdmitsProbesAndClosesOnTheirSuccess(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		trip(t, b)
		time.Sleep(29 * time.Second)
		if got := refuse(t, b, Open).RetryAfter; got != time.Second {
			t.Errorf("RetryAfter: got %v, want 1s", got)
		}
		time.Sleep(time.Second + 1)
		first, second := allow(t, b), allow(t, b)
		refuse(t, b, HalfOpen)
		first.Done(Ignored) // says nothing: its place is free again
		third := allow(t, b)
		refuse(t, b, HalfOpen)
		second.Done(Success)
		refuse(t, b, HalfOpen)
		third.Done(Success)
		settle(t, b, Success)
		if got := j.String(); got != "closed>open open>half_open half_open>closed" {
			t.Errorf("changes: got %q", got)
		}
	})
}

func TestFailedProbeOpensAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		trip(t, b)
		time.Sleep(31 * time.Second)
		other := allow(t, b)
		settle(t, b, Failure)
		if got := refuse(t, b, Open).RetryAfter; got != 30*time.Second {
			t.Errorf("RetryAfter: got %v, want 30s", got)
		}
		other.Done(Success) // void
		refuse(t, b, Open)
		if got := j.String(); got != "closed>open open>half_open half_open>open" {
			t.Errorf("changes: got %q", got)
		}
	})
}

func TestProbeThatIsNeverSettledFailsAtItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		trip(t, b)
		time.Sleep(31 * time.Second)
		lost := allow(t, b)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := one(t, g).State; got != Open {
			t.Fatalf("state: got %s, want open", got)
		}
		lost.Done(Success)
		time.Sleep(31 * time.Second)
		if got := one(t, g).State; got != HalfOpen {
			t.Errorf("state: got %s, want half_open, whatever the lost probe said later", got)
		}
	})
}

func TestPermitSettlesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
		p := allow(t, b)
		p.Done(Success)
		p.Done(Failure)
		p.Done(Ignored)
		if got := one(t, g).Counts; got != (Counts{Requests: 1, Successes: 1}) {
			t.Errorf("counts: got %+v, want one success", got)
		}
	})
}

func TestStreamMayFailAfterItsSuccess(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
			p := allow(t, b)
			p.Done(Success)
			p.Fail()
			b.Fail()
			if got := one(t, g).Counts; got.Failures != 2 || got.Requests != 3 {
				t.Errorf("counts: got %+v, want two failures of three", got)
			}
		})
	})
	t.Run("half-open", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
			trip(t, b)
			time.Sleep(31 * time.Second)
			p := allow(t, b)
			p.Done(Success)
			p.Fail()
			refuse(t, b, Open)
		})
	})
	t.Run("after a change", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
			p := allow(t, b)
			p.Done(Success)
			g.Set("orders@db:80", "reset")
			p.Fail()
			if got := one(t, g).Counts; got != (Counts{}) {
				t.Errorf("counts: got %+v, want none", got)
			}
		})
	})
}

func TestLateResultsOfAnEarlierStateAreVoid(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		early := allow(t, b)
		trip(t, b)
		early.Done(Success)
		time.Sleep(31 * time.Second)
		settle(t, b, Success, Success)
		for range 4 {
			early.Fail()
		}
		if got := one(t, g); got.State != Closed || got.Counts != (Counts{}) {
			t.Errorf("got %+v, want closed and no counts", got)
		}
	})
}
