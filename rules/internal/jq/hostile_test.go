package jq

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// nest returns n arrays around v.
func nest(v any, n int) any {
	for range n {
		v = []any{v}
	}
	return v
}

// many returns an array of n values.
func many(n int, f func(int) any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = f(i)
	}
	return list
}

func number1(int) any { return 1 }

// A harmless rule and a body that is not. Each ends in a right answer or in a
// typed error, in bounded memory.
func TestHostileBodies(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	text := strings.Repeat("a", mib)
	digits := strings.Repeat("7", mib)
	object := make(map[string]any)
	for i := range 50_000 {
		object[string(rune('a'+i%26))+digits[:8]+string(rune(i))] = i
	}
	for _, c := range []struct {
		name, program string
		body          any
		ends          bool // must end with a result
	}{
		{"gsub of 100 KB", `gsub("a"; "b") | length`, text[:100*kib], true},
		{"gsub of 1 MB", `gsub("a"; "b") | length`, text, false},
		{"gsub of a class", `gsub("[ab]"; "b") | length`, text[:100*kib], true},
		{"gsub of nothing", `gsub(""; "-") | length`, text, false},
		{"gsub that looks far ahead", `gsub("a(.*b)?"; "x")`, text, false},
		{"gsub with captures", `gsub("(?<x>a)"; .x + .x)`, text, false},
		{"sub of the last", `sub("b"; "c")`, text, true},
		{"test", `test("b")`, text, true},
		{"test of a wide expression", `test("(a|b|ab|[a-f]{1,40}){1,20}z")`, text, false},
		{"match", `[match("a"; "g")] | length`, text, false},
		{"scan", `[scan("a")] | length`, text, false},
		{"scan of far ahead", `[scan("a|a.*b")] | length`, text[:100*kib], false},
		{"splits", `[splits("a")] | length`, text, false},
		{"capture", `[capture("(?<x>a)"; "g")] | length`, text, false},
		{"split", `split("a") | length`, text, false},
		{"split into characters", `split("") | length`, text, false},
		{"division", `. / "a" | length`, text, false},
		{"indices that overlap", `indices("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab") | length`, text, true},
		{"indices of itself", `indices(.[:524288]) | length`, text, true},
		{"index in an array", `. as $x | index($x[0:5000])`, many(100_000, number1), true},
		{"indices in an array", `. as $x | indices($x[0:5000]) | length`, many(100_000, number1), false},
		{"tonumber", `tonumber`, digits, false},
		{"a long number compared", `. == 1`, json.Number(digits), false},
		{"a long number added", `. + 1`, json.Number(digits), false},
		{"a long number sorted", `[., 1] | sort`, json.Number(digits), false},
		{"a long number's root", `sqrt`, json.Number(digits), false},
		{"a long number as index", `[1][$x]`, json.Number(digits), false},
		{"a long number as a range", `[range(.)]`, json.Number(digits), false},
		{"a long number in JSON", `fromjson + 1`, digits, false},
		{"a number that grows", `reduce range(60) as $i (.; . * .)`, 7, false},
		{"a huge index", `.[$x] = 1`, 500_000_000, false},
		{"a huge index in a path", `setpath([$x]; 1)`, 500_000_000, false},
		{"a huge index to add to", `null | .[$x] += 1`, 4_000_000_000, false},
		{"a huge slice", `[1] | .[$x:] = [1]`, 4_000_000_000, true},
		{"a huge repetition", `"x" * . | length`, 1_000_000_000, false},
		{"a huge range", `[range(.)] | length`, 1_000_000_000, false},
		{"a range to infinity", `last(range(infinite))`, nil, false},
		{"a string that doubles", `reduce range(40) as $i ("ab"; . + .) | length`, nil, false},
		{"a string that doubles by interpolation", `reduce range(40) as $i ("ab"; "\(.)\(.)") | length`, nil, false},
		{"a string that doubles by join", `reduce range(40) as $i ("ab"; [., .] | join("")) | length`, nil, false},
		{"a string that doubles by add", `reduce range(40) as $i ("ab"; [., .] | add) | length`, nil, false},
		{"an array that doubles", `reduce range(40) as $i ([1]; . + .) | length`, nil, false},
		{"a tree that doubles", `reduce range(60) as $i (1; [., .])`, nil, false},
		{"a tree that doubles, as text", `reduce range(60) as $i (1; [., .]) | tojson | length`, nil, false},
		{"a tree that doubles, compared", `reduce range(60) as $i (1; [., .]) | . == .`, nil, false},
		{"a tree that doubles, flattened", `reduce range(60) as $i (1; [., .]) | flatten | length`, nil, false},
		{"a tree that doubles, contained", `reduce range(60) as $i (1; [., .]) | contains(.)`, nil, false},
		{"a tree that doubles, sorted", `reduce range(60) as $i (1; [., .]) | unique | length`, nil, false},
		{"a tree that doubles, merged", `reduce range(60) as $i ({}; {a: ., b: .}) | . * .`, nil, false},
		{"a tree that doubles, walked", `reduce range(60) as $i (1; [., .]) | [..] | length`, nil, false},
		{"a tree that doubles, in base 64", `reduce range(60) as $i (1; [., .]) | @base64 | length`, nil, false},
		{"transpose", `transpose | length`, []any{many(100_000, number1), many(100_000, number1), []any{}}, true},
		{"transpose of a triangle", `transpose | length`, append(many(50_000, func(int) any { return []any{} }), many(50_000, number1)), false},
		{"combinations", `[combinations] | length`, many(40, func(int) any { return []any{1, 2} }), false},
		{"combinations of one each", `[combinations] | length`, many(100_000, func(int) any { return []any{1} }), false},
		{"sort", `sort | length`, many(100_000, func(i int) any { return text[:i%1000] }), true},
		{"sort of long ones", `sort | length`, many(100_000, func(i int) any { return text }), false},
		{"unique", `unique | length`, many(100_000, func(i int) any { return i * 7919 % 100_003 }), true},
		{"group_by", `group_by(. % 10) | length`, many(50_000, func(i int) any { return i }), true},
		{"min_by", `min_by(-.)`, many(50_000, func(i int) any { return i }), true},
		{"subtraction", `. - ["b"] | length`, many(100_000, func(int) any { return "a" }), true},
		{"subtraction of many", `. as $x | . - $x | length`, many(100_000, func(i int) any { return text[:i%50] + "x" }), true},
		{"subtraction of numbers", `. as $x | . - $x | length`, many(100_000, func(i int) any { return i }), false},
		{"contains", `. as $x | contains($x)`, many(20_000, func(i int) any { return i }), false},
		{"inside", `. as $x | inside($x)`, many(20_000, func(i int) any { return i }), false},
		{"update of all", `.[] |= . + 1 | length`, many(50_000, number1), true},
		{"assignment to all", `.[].a = 1 | length`, many(50_000, func(int) any { return map[string]any{"b": 1} }), true},
		{"deletion of all", `del(.[]) | length`, many(100_000, number1), true},
		{"deletion of some", `del(.[] | select(. == 1)) | length`, many(50_000, func(i int) any { return i % 2 }), true},
		{"map_values", `map_values(empty) | length`, many(50_000, number1), true},
		{"an object built up", `reduce range(100000) as $i ({}; .["k\($i)"] = $i) | length`, nil, false},
		{"an object built by INDEX", `INDEX(.) | length`, many(50_000, func(i int) any { return i }), true},
		{"an object of entries", `with_entries(.) | length`, object, true},
		{"a stream", `[tostream] | fromstream(.[]) | length`, many(20_000, number1), true},
		{"pick", `pick(.[]) | length`, many(50_000, number1), true},
		{"walk", `walk(.) | length`, many(50_000, number1), true},
		{"any that stops early", `. as $x | map(any($x[]; true)) | length`, many(20_000, number1), false},
		{"first of all, often", `. as $x | map(first($x[])) | length`, many(20_000, number1), false},
		{"characters by index", `. as $x | [range($x | length) | $x[.:. + 1]] | length`, text, false},
		{"keys, often", `. as $x | [range(100000) | $x | keys | length] | length`, object, false},
		{"length, often", `. as $x | [range(100000) | $x | length] | length`, text, false},
		{"implode", `implode | length`, many(100_000, func(int) any { return 0x10ffff }), true},
		{"explode", `explode | length`, text, true},
		{"tojson", `tojson | length`, text, true},
		{"tojson of controls", `tojson | length`, strings.Repeat("\x01", 2*mib), true},
		{"@uri", `@uri | length`, strings.Repeat("ä", 2*mib), false},
		{"@base64d", `@base64d | length`, text, true},
		{"@csv", `@csv | length`, many(100_000, func(int) any { return `"` }), true},
		{"join", `join(.[0]) | length`, many(50_000, func(int) any { return text[:kib] }), false},
		{"add of strings", `add | length`, many(100_000, func(int) any { return "abc" }), true},
		{"add of arrays", `add | length`, many(100_000, func(int) any { return []any{1} }), true},
		{"add of objects", `add | length`, many(100_000, func(i int) any { return map[string]any{text[:i%100]: 1} }), true},
		{"fromjson", `fromjson | length`, "[" + strings.Repeat("[],", mib/3) + "[]]", true},
		{"fromjson, deep", `fromjson`, strings.Repeat("[", 100_000), false},
		{"a deep value flattened", `flatten`, nest(1, 100_000), false},
		{"a deep value compared", `. == .`, nest(1, 100_000), false},
		{"a deep value as text", `tojson | length`, nest(1, 100_000), false},
		{"a deep value that is made", `reduce range(400000) as $i (1; [.])`, nil, false},
		{"a long path", `setpath([range(100000) | "a"]; 1)`, nil, false},
		{"a long path from outside", `setpath(.; 1)`, many(100_000, number1), false},
		{"a date", `fromdate`, text, false},
		{"a format from outside", `0 | strftime($x)`, strings.Repeat("%1024Y", 10_000), false},
		{"an error of everything", `error`, object, false},
		{"an error often caught", `. as $x | [range(300000) | try ($x | implode) catch 1] | length`, many(1000, func(int) any { return "x" }), false},
		{"limit of nothing", `[limit(3; repeat(empty))]`, nil, false},
		{"an endless loop", `until(false; .)`, nil, false},
		{"an endless recursion", `def f: f; f`, nil, false},
		{"an endless recursion that grows", `def f: 1 + f; f`, nil, false},
		{"an endless generator", `[repeat(1)]`, nil, false},
		{"a budget that is caught", `try ("x" * 1e9) catch "caught"`, nil, false},
		{"a budget that is passed over", `("x" * 1e9)? // "passed over"`, nil, false},
		{"Bessel functions", `[range(1000) | jn(1e9; 1e9)] | length`, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustCompile(t, c.program, "$x")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			results := 0
			err := p.Run(t.Context(), c.body, []any{c.body}, Limits{Time: time.Minute}, time.Unix(0, 0), func(any) error {
				results++
				return nil
			})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			var budget *BudgetError
			var raised *RuntimeError
			switch {
			case err == nil && results == 0:
				t.Error("neither a result nor an error")
			case err != nil && !errors.As(err, &budget) && !errors.As(err, &raised):
				t.Errorf("got an error of no type: %v", err)
			case c.ends && err != nil:
				t.Errorf("got %v", err)
			case budget != nil && budget.Which == BudgetTime:
				t.Error("only the clock has ended it")
			case raised != nil && len(raised.Preview) > maxPreview:
				t.Errorf("a preview of %d bytes", len(raised.Preview))
			}
			if strings.Contains(c.name, "caught") && strings.HasPrefix(c.name, "a budget") && !errors.Is(err, ErrBudget) {
				t.Errorf("the program has caught its budget: %v", err)
			}
			if limit := 10 * time.Second; took > limit { // some 60 ms; machines differ, and the race detector slows
				t.Errorf("took %v", took)
			}
			if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 700 {
				t.Errorf("allocated %d MiB", made)
			}
			t.Logf("%v, %d MiB, %v", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20, err)
		})
	}
}

func TestTheClockIsABackstop(t *testing.T) {
	p := mustCompile(t, `last(range(1e18))`)
	err := p.Run(t.Context(), nil, nil, Limits{Steps: 1 << 60, Time: 20 * time.Millisecond}, time.Time{}, func(any) error { return nil })
	var budget *BudgetError
	if !errors.As(err, &budget) || budget.Which != BudgetTime {
		t.Errorf("got %v", err)
	}
}

func TestACancelledContextEndsTheRun(t *testing.T) {
	p := mustCompile(t, `range(1e18)`)
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Run(ctx, nil, nil, Limits{}, time.Time{}, func(any) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestStepsAreTheSameEachTime(t *testing.T) {
	p := mustCompile(t, `[.[] | tostring | test("1")] | sort | length`)
	body := many(100, func(i int) any { return i })
	least := func() int64 { // that are enough
		low, high := int64(1), int64(1_000_000)
		for low < high {
			middle := (low + high) / 2
			if err := p.Run(t.Context(), body, nil, Limits{Steps: middle}, time.Time{}, func(any) error { return nil }); err == nil {
				high = middle
			} else if !errors.Is(err, ErrBudget) {
				t.Fatal(err)
			} else {
				low = middle + 1
			}
		}
		return low
	}
	if a, b := least(), least(); a != b {
		t.Errorf("got %d and %d", a, b)
	}
}
