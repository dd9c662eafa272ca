package tap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

func mustQuery(t *testing.T, raw string) *Query {
	t.Helper()
	form, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuery(form, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func readAll(t *testing.T, tap *Tap, query string) *collect {
	t.Helper()
	var c collect
	if err := tap.Read(t.Context(), mustQuery(t, query), &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func ids(t *testing.T, c *collect) []string {
	t.Helper()
	var ids []string
	for _, text := range c.events {
		var e struct {
			ID, Type string
			Count    int
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if e.Type == "dropped" {
			e.ID = fmt.Sprintf("dropped %d", e.Count)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func fill(tap *Tap, from, to int) {
	for i := from; i < to; i++ {
		tap.Observe(plainExchange(fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)))
	}
}

func TestRingForgetsTheOldestByCount(t *testing.T) {
	tap := New(Config{Events: 3})
	fill(tap, 0, 5)
	if got, want := fmt.Sprint(ids(t, readAll(t, tap, ""))), "[2 3 4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRingForgetsTheOldestByBytes(t *testing.T) {
	tap := New(Config{Memory: 64 * codec.KiB})
	for i := range 100 {
		e := plainExchange(fmt.Sprint(i), noon)
		e.Response.Body = proxy.Payload{Bytes: make([]byte, 6000), Size: 6000}
		tap.Observe(e)
	}
	got := ids(t, readAll(t, tap, ""))
	if len(got) < 7 || len(got) > 10 || got[len(got)-1] != "99" {
		t.Errorf("got %v, want the last 9 or so", got)
	}
	if tap.ring.bytes > tap.ring.most {
		t.Errorf("holds %d bytes, want at most %d", tap.ring.bytes, tap.ring.most)
	}
}

func TestAnEventBeyondTheWholeMemoryIsNotKept(t *testing.T) {
	tap := New(Config{Memory: 8 * codec.KiB})
	e := plainExchange("huge", noon)
	e.Response.Body = proxy.Payload{Bytes: make([]byte, 20000), Size: 20000}
	tap.Observe(e)
	if got := ids(t, readAll(t, tap, "")); len(got) != 0 || tap.ring.bytes != 0 {
		t.Errorf("got %v and %d bytes, want nothing", got, tap.ring.bytes)
	}
}

func TestAHugeStepBodyIsLeftOutAndSaysSo(t *testing.T) {
	tap := New(Config{Memory: codec.MiB})
	e := edited()
	e.Request.Body.Size = 1 << 20
	tap.Observe(e)
	c := readAll(t, tap, "")
	if len(c.events) != 1 {
		t.Fatalf("got %d events, want 1", len(c.events))
	}
	var got struct{ Steps []map[string]any }
	if err := json.Unmarshal([]byte(c.events[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Steps[0]["truncated"] != true || got.Steps[0]["body"] != nil {
		t.Errorf("got %v, want a step without its body", got.Steps[0])
	}
	if e.Request.Steps[0].Body == nil || e.Request.Steps[0].Body == (omitted{}) {
		t.Error("the observed event was changed")
	}
}

func TestLimitGivesTheNewest(t *testing.T) {
	tap := New(Config{})
	fill(tap, 0, 200)
	for query, want := range map[string]string{
		"limit=3":                              "[197 198 199]",
		"limit=2&where=.id|tonumber<100":       "[98 99]",
		"limit=500&since=2026-11-23T12:03:17Z": "[197 198 199]",
		"route=none":                           "[]",
	} {
		if got := fmt.Sprint(ids(t, readAll(t, tap, query))); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestSinceCountsFromTheEndOfAnExchange(t *testing.T) {
	tap := New(Config{})
	e := plainExchange("long", noon)
	e.Duration = 59 * time.Minute
	tap.Observe(e)
	if got := ids(t, readAll(t, tap, "since=2m")); len(got) != 1 {
		t.Errorf("got %v, want the exchange that ended a minute ago", got)
	}
	if got := ids(t, readAll(t, tap, "since=30s")); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestFollowGivesThePastAndThenWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New(Config{})
		fill(tap, 0, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var c collect
		done := make(chan error)
		go func() { done <- tap.Read(ctx, mustQuery(t, "follow=true"), &c) }()
		synctest.Wait()
		if got := fmt.Sprint(ids(t, &c)); got != "[0 1]" {
			t.Errorf("got %s of the past, want [0 1]", got)
		}
		fill(tap, 2, 4)
		synctest.Wait()
		if got := fmt.Sprint(ids(t, &c)); got != "[0 1 2 3]" {
			t.Errorf("got %s, want [0 1 2 3]", got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if len(tap.ring.wakes) != 0 {
			t.Error("a reader that left is still woken")
		}
	})
}

func TestFollowEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New(Config{})
		fill(tap, 0, 2)
		var c collect
		done := make(chan error)
		go func() { done <- tap.Read(t.Context(), mustQuery(t, "follow&limit=3"), &c) }()
		synctest.Wait()
		fill(tap, 2, 9)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(ids(t, &c)); got != "[0 1 2]" {
			t.Errorf("got %s, want [0 1 2]", got)
		}
	})
}

func TestASlowReaderLosesEventsAndNeverSlowsTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New(Config{Events: 10})
		stuck, blocked := make(chan struct{}), false
		c := collect{}
		c.idle = func() error {
			if len(c.events) > 0 && !blocked {
				blocked = true
				<-stuck
			}
			return nil
		}
		done := make(chan error)
		go func() { done <- tap.Read(t.Context(), mustQuery(t, "follow&limit=11"), &c) }()
		synctest.Wait()
		fill(tap, 0, 1)
		synctest.Wait() // the reader is stuck now
		fill(tap, 1, 101)
		close(stuck)
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := "[0 dropped 90 91 92 93 94 95 96 97 98 99 100]"
		if got := fmt.Sprint(ids(t, &c)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := tap.Dropped(); got != 90 {
			t.Errorf("got %d dropped in all, want 90", got)
		}
	})
}

func TestManyObserveAndReadAtOnce(t *testing.T) {
	tap := New(Config{Events: 64})
	var observers, readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		observers.Go(func() { fill(tap, 0, 500) })
		readers.Go(func() { _ = tap.Read(ctx, mustQuery(t, "follow=true&where=.status==200"), &collect{}) })
	}
	observers.Wait()
	cancel()
	readers.Wait()
}

func TestObserveDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	tap := New(Config{})
	e := edited()
	if n := testing.AllocsPerRun(1000, func() { tap.Observe(e) }); n != 0 {
		t.Errorf("got %v allocations an event, want 0", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	tap := New(Config{})
	e := edited()
	for range 12 { // a browser's head
		e.Call.Head.Fields = append(e.Call.Head.Fields, rules.Field{Name: "x-some-header", Value: "with some value or other"})
	}
	b.ReportAllocs()
	for b.Loop() {
		tap.Observe(e)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	tap := New(Config{})
	e := edited()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tap.Observe(e)
		}
	})
}
