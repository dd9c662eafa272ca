package jq

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

func FuzzCompile(f *testing.F) {
	for _, src := range programs() {
		f.Add(src)
	}
	for _, src := range []string{`.a |`, `foo + $bar`, `"\(foo)`, `test(.x)`, `import "a" as $a; .`, `def f: 1;`, `{$x`, "# \\\n", `reduce . as [$a] (0;1)`} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 500 {
			return
		}
		p, problems := Compile(src, []string{"$body"})
		if (p == nil) == (len(problems) == 0) {
			t.Fatalf("%q: neither a program nor a problem", src)
		}
		for _, problem := range problems {
			if problem.Offset < 0 || problem.Offset > problem.End || problem.End > len(src) {
				t.Fatalf("%q: a place outside: %+v", src, problem)
			}
		}
		if p == nil {
			return
		}
		if query, err := gojq.Parse(src); err == nil {
			if _, err := gojq.Compile(query, gojq.WithVariables([]string{"$body"})); err != nil {
				t.Fatalf("%q: compiles, but gojq says %v", src, err)
			}
		}
	})
}

// FuzzRun compares with gojq where that comes to an end, and asks of the rest
// that it ends.
func FuzzRun(f *testing.F) {
	for i, src := range programs() {
		f.Add(src, samples()[i%len(samples())])
	}
	unlike := regexp.MustCompile(`catch|now|local|error|tojson|@|tostring|\\\(|nan|[0-9]{4}|\[\[|input|builtins|jn|yn`)
	f.Fuzz(func(t *testing.T, src, text string) {
		var input any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if len(src) > 300 || len(text) > 300 || d.Decode(&input) != nil {
			return
		}
		p, problems := Compile(src, nil)
		if len(problems) > 0 {
			return
		}
		before := marshal(input)
		var got []string
		err := p.Run(t.Context(), input, nil, Limits{Steps: 20_000, Output: 1 << 16, Time: time.Second}, time.Unix(0, 0), func(v any) error {
			got = append(got, marshal(v))
			return nil
		})
		if after := marshal(input); after != before {
			t.Fatalf("%q on %s: changed its input to %s", src, text, after)
		}
		var panicked *PanicError
		if errors.As(err, &panicked) {
			t.Fatalf("%q on %s: %v\n%s", src, text, err, panicked.Stack)
		}
		if errors.Is(err, ErrBudget) || unlike.MatchString(src) {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		query, _ := gojq.Parse(src)
		code, _ := gojq.Compile(query)
		var want []string
		var wantErr error
		for results := code.RunWithContext(ctx, decode(t, text)); ; {
			v, ok := results.Next()
			if !ok {
				break
			}
			if wantErr, ok = v.(error); ok {
				break
			}
			want = append(want, marshal(v))
		}
		if ctx.Err() != nil || wantErr != nil && strings.Contains(wantErr.Error(), "indexing") || err != nil && strings.Contains(err.Error(), "no index") {
			return
		}
		if (err != nil) != (wantErr != nil) || !slices.Equal(got, want) {
			t.Fatalf("%q on %s:\n got %v %v\nwant %v %v", src, text, got, err, want, wantErr)
		}
	})
}

// The matches of every expression are those of gojq.
func FuzzRegex(f *testing.F) {
	for _, re := range []string{`a`, `a*`, `a*?`, ``, `a|ab`, `(a)(b)?`, `\b`, `^`, `$`, `(?m)^a`, `[ab]+`, `[^a]`, `(?i)A`, `.`, `a(.*b)?`, `\Ba`, `(?:a|b*)`, `ä+`, `\s*`, `x*$`} {
		for _, s := range []string{``, `a`, `aab`, `ba aab`, "a\nab", `ää a`, `bbb`, "a\xffb", ` x `} {
			f.Add(re, s)
		}
	}
	f.Fuzz(func(t *testing.T, re, s string) {
		if len(re) > 40 || len(s) > 60 {
			return
		}
		if _, err := regexp.Compile(re); err != nil {
			return
		}
		text, err := gojq.Marshal(re)
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range []string{`[match(RE; "g")]`, `[match(RE; "gim")]`, `[scan(RE)]`, `[splits(RE)]`, `gsub(RE; "-")`, `gsub(RE; "<\(.)>")`, `test(RE)`, `sub(RE; "-")`} {
			src = strings.ReplaceAll(src, "RE", string(text))
			p, problems := Compile(src, nil)
			if len(problems) > 0 {
				return
			}
			got, gotErr := ours(t, p, s)
			want, wantErr := stock(t, src, s)
			if (gotErr != nil) != (wantErr != nil) || !slices.Equal(got, want) {
				t.Fatalf("%s on %q:\n got %v %v\nwant %v %v", src, s, got, gotErr, want, wantErr)
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Compile(`.user.email |= gsub("@.*"; "") | del(.password) | .items |= map(select(.n > 1))`, nil)
	}
}
