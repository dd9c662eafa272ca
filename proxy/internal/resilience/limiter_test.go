package resilience

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLimiterLetsABurstAndThenItsRateThrough(t *testing.T) {
	l := new(Limiters).Get("a", "", 100*time.Millisecond, 3)
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		key   string
		wait  time.Duration
	}{
		{0, "a", 0}, {0, "a", 0}, {0, "a", 0},
		{0, "a", 100 * time.Millisecond}, {0, "b", 0},
		{40 * time.Millisecond, "a", 60 * time.Millisecond},
		{60 * time.Millisecond, "a", 0}, {0, "a", 100 * time.Millisecond},
		{200 * time.Millisecond, "a", 0}, {0, "a", 0}, {0, "a", 100 * time.Millisecond},
		{time.Hour, "a", 0}, {0, "a", 0}, {0, "a", 0}, {0, "a", 100 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if wait, ok := l.Allow(step.key, now); wait != step.wait || ok != (step.wait == 0) {
			t.Errorf("%v later, %s: got %v %v, want %v", step.after, step.key, wait, ok, step.wait)
		}
	}
}

func TestLimiterKeepsItsStateWhileItsSpecIsTheSame(t *testing.T) {
	var g Limiters
	now := time.Now()
	g.Get("a", "1", time.Hour, 1).Allow("k", now)
	if _, ok := g.Get("a", "1", time.Hour, 1).Allow("k", now); ok {
		t.Error("the same spec has begun anew")
	}
	if _, ok := g.Get("a", "2", time.Hour, 1).Allow("k", now); !ok {
		t.Error("another spec has the state of the old one")
	}
	if _, ok := g.Get("b", "1", time.Hour, 1).Allow("k", now); !ok {
		t.Error("another name has the state of the first")
	}
}

// Callers choose keys: what is remembered of them is bounded, in number and in
// length, and a key that is in use is not forgotten for others.
func TestLimiterForgetsKeysThatAreNotUsed(t *testing.T) {
	g := Limiters{keys: 100}
	l := g.Get("a", "", time.Hour, 1)
	now := time.Now()
	l.Allow("mine", now)
	for i := range 10_000 {
		l.Allow(strings.Repeat("x", 1<<10)+fmt.Sprint(i), now)
		if _, ok := l.Allow("mine", now); ok {
			t.Fatalf("forgotten after %d others", i)
		}
	}
	if len(l.byKey) > 100 || l.used.Len() != len(l.byKey) {
		t.Errorf("%d keys, %d in the list", len(l.byKey), l.used.Len())
	}
	for key := range l.byKey {
		if len(key) > longKey {
			t.Fatalf("a key of %d bytes is kept", len(key))
		}
	}
	for i := range 300 { // full again, they go without being too many
		l.Allow(fmt.Sprint(i), now.Add(2*time.Hour))
	}
	l.Allow("last", now.Add(24*time.Hour))
	for i := range 300 {
		l.Allow(fmt.Sprint("again", i), now.Add(48*time.Hour+time.Duration(i)*2*time.Hour))
	}
	if len(l.byKey) > 3 {
		t.Errorf("%d keys are remembered whose buckets are full", len(l.byKey))
	}
}

func TestLimitersAreBounded(t *testing.T) {
	var g Limiters
	for i := range maxLimiters + 10 {
		g.Get(fmt.Sprint(i), "", time.Second, 1)
	}
	if len(g.byName) > maxLimiters {
		t.Errorf("%d limiters", len(g.byName))
	}
}

func TestLimiterIsForManyAtOnce(t *testing.T) {
	l := new(Limiters).Get("a", "", time.Hour, 50)
	var allowed atomic.Int64
	var all sync.WaitGroup
	now := time.Now()
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, ok := l.Allow("k", now); ok {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if allowed.Load() != 50 {
		t.Errorf("%d passed, want 50", allowed.Load())
	}
}
