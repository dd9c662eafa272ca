package resilience

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestForcedOpenStaysUntilClosedOrReset(t *testing.T) {
	for _, action := range []string{"close", "reset"} {
		t.Run(action, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
				const name = "orders@db:80"
				if err := g.Set(name, "open"); err != nil {
					t.Fatal(err)
				}
				g.Set(name, "open") // twice is once
				time.Sleep(time.Hour)
				if got := refuse(t, b, ForcedOpen).RetryAfter; got != 0 {
					t.Errorf("RetryAfter: got %v, want 0: nobody knows", got)
				}
				changed := settings()
				changed.Spec = "v2"
				refuse(t, g.Get(name, changed), ForcedOpen)
				if err := g.Set(name, action); err != nil {
					t.Fatal(err)
				}
				settle(t, b, Success)
				if got := j.String(); got != "closed>forced_open forced_open>closed" {
					t.Errorf("changes: got %q", got)
				}
			})
		})
	}
	bubble(t, func(t *testing.T, g *Group, b *Breaker, _ *journal) {
		if err := g.Set("nobody@x:1", "open"); err == nil {
			t.Error("unknown breaker: got no error")
		}
		if err := g.Set("orders@db:80", "explode"); err == nil {
			t.Error("unknown action: got no error")
		}
	})
}

func TestCloseAndResetCloseAnOpenBreakerWithFreshCounts(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		trip(t, b)
		g.Set("orders@db:80", "close")
		settle(t, b, Failure)
		if got := one(t, g).Counts; got.Requests != 1 {
			t.Errorf("requests: got %d, want 1", got.Requests)
		}
		if got := j.String(); got != "closed>open open>closed" {
			t.Errorf("changes: got %q", got)
		}
	})
}

func TestReloadKeepsStateUnlessTheSpecChanged(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group, b *Breaker, j *journal) {
		trip(t, b)
		same := settings()
		same.Trips = func(Counts) bool { return false }
		refuse(t, g.Get("orders@db:80", same), Open)
		changed := settings()
		changed.Spec = "v2"
		settle(t, g.Get("orders@db:80", changed), Success)
		if got := j.String(); got != "closed>open open>closed" {
			t.Errorf("changes: got %q", got)
		}
	})
}

func TestChangesAreToldInOrderAndOutsideTheLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *Group
		var seen []string
		g = NewGroup(func(c Change) {
			seen = append(seen, string(c.To))
			g.List() // would deadlock under a lock
			if c.To == Open {
				g.Set(c.Name, "reset") // and so would this; its change comes after
			}
		})
		defer g.Close()
		b := g.Get("a@b:1", settings())
		settle(t, b, Failure, Failure, Failure, Failure)
		if want := []string{"open", "closed"}; !slices.Equal(seen, want) {
			t.Errorf("got %v, want %v", seen, want)
		}
	})
}

func TestFullGroupEvictsIdleOnesAndKeepsForcedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(journal)
		g := NewGroup(j.note)
		defer g.Close()
		g.limit = 32
		trip(t, g.Get("open@x:1", settings()))
		g.Get("forced@x:1", settings())
		g.Set("forced@x:1", "open")
		for i := range 1000 {
			time.Sleep(time.Millisecond)
			g.Get(fmt.Sprintf("idle@x:%d", i), settings())
		}
		list := g.List()
		if len(list) > 32 {
			t.Errorf("got %d breakers, want 32 at most", len(list))
		}
		states := map[string]State{}
		for _, s := range list {
			states[s.Name] = s.State
		}
		if states["forced@x:1"] != ForcedOpen || states["open@x:1"] != Open || states["idle@x:999"] != Closed {
			t.Errorf("forced, open and newest breakers: got %v", states)
		}
		for i := range 1000 { // now nothing but open ones: those go too, and say so
			trip(t, g.Get(fmt.Sprintf("bad@x:%d", i), settings()))
		}
		if got := len(g.List()); got > 32 {
			t.Errorf("got %d open breakers, want 32 at most", got)
		}
		opened, closed := 0, 0
		for _, c := range j.changes {
			switch c.To {
			case Open:
				opened++
			case Closed:
				closed++
			}
		}
		if open := len(g.List()) - 1; opened-closed != open {
			t.Errorf("told of %d openings and %d closings, with %d open", opened, closed, open)
		}
	})
}

func TestPanicInTripsLeavesTheBreakerUsable(t *testing.T) {
	s := settings()
	s.Trips = func(Counts) bool { panic("trip") }
	g := NewGroup(nil)
	b := g.Get("a@b:1", s)
	func() {
		defer func() { recover() }()
		allow(t, b).Done(Failure)
	}()
	settle(t, b, Success)
}

// Many goroutines ask, settle twice, list and force at once: for the race
// detector, and for order and balance of what is told.
func TestConcurrentUse(t *testing.T) {
	var last sync.Map
	var wrong atomic.Int64
	g := NewGroup(func(c Change) {
		before, ok := last.Swap(c.Name, c.To)
		if ok && before != c.From {
			wrong.Add(1)
		}
	})
	s := settings()
	s.Open, s.PermitTimeout = time.Millisecond, 2*time.Millisecond
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("r@h:%d", i%3)
				b := g.Get(name, s)
				if p, err := b.Allow(); err == nil && i%7 != 0 {
					p.Done(Result((i + w) % 3))
					p.Done(Failure)
				}
				switch i % 500 {
				case 0:
					g.List()
				case 100:
					g.Set(name, "open")
				case 101:
					g.Set(name, "reset")
				}
			}
		})
	}
	wait.Wait()
	g.Close()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d changes were told out of order", n)
	}
}

func BenchmarkAllowDone(b *testing.B) {
	g := NewGroup(nil)
	s := settings()
	b.ReportAllocs()
	for b.Loop() {
		p, err := g.Get("orders@db:80", s).Allow()
		if err != nil {
			b.Fatal(err)
		}
		p.Done(Success)
	}
}
