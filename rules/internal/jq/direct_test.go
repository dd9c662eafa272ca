package jq

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// frames are what programs are put into to make others.
func frames() []string {
	return []string{
		`(A) | (B)`, `[A], [B]`, `[A, B]`, `map(A)`, `.[]? |= (A)`, `.a? |= (A)`, `reduce .[]? as $x (.; A)`, `reduce (A) as $x (null; [., $x] | B)`, `first(A)`, `(A) // (B)`,
		`try (A) | (B)`, `(try (A)), 1`, `try error catch 3`, `if (A) then (B) else . end`, `{a: (A), b: 1}`, `{a: .a?, (B | tostring): 2}`, `[.[]? | select(A)]`, `.[]? += (B)`, `.a? = (B)`, `(A) as $x | (B) | [., $x]`,
		`(A) as [$x, $y] | {x: $x, y: $y}`, `del(.[]? | select(A))`, `[A] | sort_by(B)`, `[A] | group_by(B)`, `label $out | (A), break $out, (B)`, `[label $out | .[]? | if (A) then ., break $out else B end]`,
		`(A) and (B)`, `(A) or (B)`, `[foreach .[]? as $x (0; B; [., $x])]`, `any(A; B)`, `all(A; B)`, `isempty(A)`, `"x\(A)y\(B)"`, `def f($p; g): [$p, g]; f(A; B)`, `def f(g): g | g; f(A)`, `with_entries(.value |= (A))`,
		`(A) == (B)`, `(A) < (B)`, `(A) + (B)`, `[(A)?]`, `.[A]?`, `.[A]? = 1`, `.a[.b]? |= (A)`, `walk(A)`, `walk(B)`, `[range(3) | A]`, `until(true; A)`, `[..] | map(A)?`, `(.a, .b) |= (A)`, `(.[]? | .a?) |= (B)`,
		`.a |= (A) | .b = 1 | del(.c)`, `to_entries | map(A)`, `has(A)?`, `IN(A)`, `IN(A; B)`, `INDEX(A)`, `[A] | add`, `[.[]? | (A) as {a: $q} | $q]`, `-(A)`, `(A) | -.`, `.[1:]? | A`, `.[:-1]? | B`, `last(A)`, `limit(2; A, B)`,
	}
}

// composed is a program made of those that this package knows.
func composed(choose func(n int) int, depth int) string {
	if depth == 0 || choose(4) == 0 {
		list := programs()
		return list[choose(len(list))]
	}
	frame := frames()[choose(len(frames()))]
	return strings.NewReplacer("A", composed(choose, depth-1), "B", composed(choose, depth-1)).Replace(frame)
}

// sameAsGojq compares a direct program with itself when gojq runs it.
func sameAsGojq(t *testing.T, src, text string) (direct bool) {
	t.Helper()
	p, problems := Compile(src, nil)
	if len(problems) > 0 || p.direct == nil {
		return false
	}
	input := decode(t, text)
	before := marshal(input)
	results := func(p *Program) (out []any, err error) {
		limits := Limits{Steps: 200_000, Output: 1 << 16, Time: 10 * time.Second}
		err = p.Run(t.Context(), input, nil, limits, time.Unix(0, 0), func(v any) error {
			out = append(out, v)
			return nil
		})
		return out, err
	}
	got, err := results(p)
	slow := *p
	slow.direct, slow.idle = nil, idleMachines()
	want, wantErr := results(&slow)
	if after := marshal(input); after != before {
		t.Fatalf("%s on %s: changed its input to %s", src, text, after)
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		t.Fatalf("%s on %s: %v\n%s", src, text, err, panicked.Stack)
	}
	if errors.Is(err, ErrBudget) || errors.Is(wantErr, ErrBudget) {
		return true
	}
	if (err != nil) != (wantErr != nil) || marshal(got) != marshal(want) || !sameKinds(got, want) {
		t.Fatalf("%s on %s:\n got %s %v\nwant %s %v", src, text, marshal(got), err, marshal(want), wantErr)
	}
	return true
}

// sameKinds reports whether numbers are of the same Go types.
func sameKinds(a, b any) bool {
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		for i := range a {
			ok = ok && sameKinds(a[i], b[i])
		}
		return ok
	case map[string]any:
		b, ok := b.(map[string]any)
		for k := range a {
			ok = ok && sameKinds(a[k], b[k])
		}
		return ok
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b)
}

func TestDirectProgramsDoWhatGojqDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	count := 0
	for range 4000 {
		src := composed(random.IntN, 2)
		if strings.Contains(src, "999") || len(src) > 400 {
			continue
		}
		if sameAsGojq(t, src, samples()[random.IntN(len(samples())-1)]) {
			count++
		}
	}
	if count < 1000 {
		t.Errorf("only %d programs are direct", count)
	}
}

func FuzzDirect(f *testing.F) {
	for i := range 50 {
		f.Add(uint64(i), `[{"a":1,"b":[2]},"x"]`)
	}
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		if len(text) > 300 || !json.Valid([]byte(text)) {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		sameAsGojq(t, composed(random.IntN, 3), text)
	})
}
