package programs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

// What a run may take. The time is that of a machine on which little else runs: what
// decides is the heap, and that no run goes on.
const (
	maxHeap = 128 << 20
	maxTime = 250 * time.Millisecond
	hanging = 40 * maxTime
)

// result is how a case went in one way.
type result struct {
	cost
	name, way, end string
}

// TestHostileProgramsEndInTime runs each case in one of the ways, and with
// SLUICE_HOSTILE=all in each.
func TestHostileProgramsEndInTime(t *testing.T) {
	all := os.Getenv("SLUICE_HOSTILE") == "all"
	var results []result
	message := messageCodec(t)
	for i, c := range cases() {
		if !all && testing.Short() && i%8 != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			p := payload{text: []byte(c.body())}
			var err error
			took := measure(func() { p.value, _, err = json.Codec{}.Decode(p.text, codec.Limits{}) })
			results = append(results, checked(t, c.name, "decoding", took, err))
			if err != nil {
				return
			}
			if p.message, err = message.Encode(nil, map[string]any{"body": p.value}); err != nil {
				p.message = nil
			}
			for j, w := range ways() {
				if !all && (i+j)%len(ways()) > 0 {
					continue
				}
				run := w.run(t, c.program, p)
				if run == nil {
					continue
				}
				took := measure(func() { err = run() })
				results = append(results, checked(t, c.name, w.name, took, err))
			}
		})
	}
	table(t, results)
}

// checked is the result, if it is within what a run may take and of a type.
func checked(t *testing.T, name, way string, took cost, err error) result {
	r := result{took, name, way, "a result"}
	var step *rules.StepError
	var limit *codec.LimitError
	var express *codec.ExpressError
	switch {
	case errors.As(err, &step):
		if r.end = fmt.Sprintf("%s: %.40v", step.Reason, step.Err); strings.Contains(r.end, "budget of time") {
			t.Errorf("%s: only the clock has ended it", way)
		}
		if step.Reason == rules.ReasonPanic {
			t.Errorf("%s: %v", way, step.Err)
		}
	case errors.As(err, &limit):
		r.end = limit.Error()
	case errors.As(err, &express):
		r.end = "no field can be so"
	case err != nil:
		t.Errorf("%s: an error of no type: %v", way, err)
	}
	if r.peak > maxHeap {
		t.Errorf("%s: the heap has grown by %d MiB", way, r.peak>>20)
	}
	if r.took > hanging {
		t.Errorf("%s: took %v", way, r.took)
	}
	return r
}

// table shows the results that took the longest, and those with the largest heap.
func table(t *testing.T, results []result) {
	const shown = 5
	late := 0
	for _, r := range results {
		if r.took > maxTime {
			late++
		}
	}
	t.Logf("%d runs, %d of them over %v", len(results), late, maxTime)
	byTime := func(a, b result) int { return cmp.Compare(b.took, a.took) }
	byHeap := func(a, b result) int { return cmp.Compare(b.heap(), a.heap()) }
	for _, order := range []func(a, b result) int{byTime, byHeap} {
		slices.SortStableFunc(results, order)
		seen := make(map[string]int)
		for _, r := range results {
			if seen[r.way]++; seen[r.way] <= shown {
				t.Log(r)
			}
		}
	}
}

// heap is what the run has had of the heap at most.
func (r result) heap() uint64 {
	if r.peak > 0 {
		return r.peak
	}
	return r.made
}

func (r result) String() string {
	return fmt.Sprintf("%-36s %-28s %4d ms %4d MiB  %s", r.way, r.name, r.took.Milliseconds(), r.heap()>>20, r.end)
}
