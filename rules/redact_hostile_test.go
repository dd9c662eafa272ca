package rules_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// What a hostile body can make of looking for what to hide ends within the bounds
// of one program, 5,000,000 steps and 128 MiB, however deep and wide it is and
// however many paths there are.
func TestHidingAHostileBodyIsBounded(t *testing.T) {
	var deep any = func() []any {
		wide := make([]any, 60_000)
		for i := range wide {
			wide[i] = []any{}
		}
		return wide
	}()
	for range 400 {
		deep = []any{deep}
	}
	var wide any
	if err := json.Unmarshal([]byte("["+strings.Repeat(`{"pin":1},`, 20_000)+"{}]"), &wide); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		paths string
		body  any
	}{
		"deep": {"'.. | .pin?'", deep}, "wide": {"'.. | .pin?'", wide}, "each": {"'.[].pin'", wide}, "chosen": {"'.. | select(. == 1)'", wide},
		"twice": {"'..|..|.pin?'", wide}, "many": {strings.Repeat("'.. | .pin?', ", 20) + ".a?", deep},
	} {
		t.Run(name, func(t *testing.T) {
			r := redactOf(t, "redact: {body: ["+test.paths+"]}\n")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			v, err := r.Value(t.Context(), test.body, instant)
			runtime.ReadMemStats(&after)
			if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 128 {
				t.Errorf("%d MiB allocated, %v", made, err)
			}
			if err == nil && v == nil {
				t.Error("nothing is left")
			}
		})
	}
}
