package jq

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var testVariables = []string{"$request", "$response", "$body", "$lookup"}

// The place of a problem is marked by « and ».
func TestProblemsHavePlaces(t *testing.T) {
	for _, c := range []struct{ marked, code, message, hint string }{
		{`.email |= «asci_downcase»`, CodeUndefined, "function not defined: asci_downcase/0", "did you mean ascii_downcase?"},
		{`.a | «tst»("x")`, CodeUndefined, "function not defined: tst/1", "did you mean test?"},
		{`«ltrimstr»`, CodeUndefined, "function not defined: ltrimstr/0", "ltrimstr takes 1 arguments, not 0"},
		{`"a \(1 + «foo»)"`, CodeUndefined, "function not defined: foo/0", ""},
		{`{foo: .foo, bar: «foo»}`, CodeUndefined, "function not defined: foo/0", ""},
		{`def foo(x): x; [.foo, foo(1)] # foo` + "\n| «foo»", CodeUndefined, "function not defined: foo/0", "foo takes 1 arguments, not 0"},
		{`(def f: 1; f) | «f»`, CodeUndefined, "function not defined: f/0", ""},
		{`def f: «_match»("a"; null; true); f`, CodeUndefined, "function not defined: _match/3", "did you mean match?"},
		{`$request.a + «$reqest».b`, CodeUndefined, "variable not defined: $reqest", "did you mean $request?"},
		{`(. as $x | $x) + «$x»`, CodeUndefined, "variable not defined: $x", ""},
		{`{«$y»}`, CodeUndefined, "variable not defined: $y", ""},
		{`break «$out»`, CodeUndefined, "label not defined: $out", ""},
		{`.a | «@bsae64»`, CodeUndefined, "format not defined: @bsae64", "did you mean @base64?"},
		{`.a = «env».HOME`, CodeRefused, "env is not for rules", "a rule sees no environment"},
		{`«$ENV».HOME`, CodeRefused, "$ENV is not for rules", "a rule sees no environment"},
		{`[., «input»]`, CodeRefused, "input is not for rules", "a rule has one input"},
		{`. | «debug»`, CodeRefused, "debug is not for rules", "sluice tap shows what a step did"},
		{`«halt_error»("x")`, CodeRefused, "halt_error is not for rules", "error ends a step"},
		{`«import» "a" as a; .`, CodeRefused, "a rule has no modules", ""},
		{`«include» "a"; .`, CodeRefused, "a rule has no modules", ""},
		{`.a | «test»(.pattern)`, CodeRegex, "the regular expression of test is not a literal", `write it as a string, or bind it before: "..." as $re | ...`},
		{`«gsub»("(a"; "b")`, CodeRegex, "not a regular expression: error parsing regexp: missing closing ): \"(a\"", ""},
		{`«test»("a"; "x")`, CodeRegex, "a regular expression has the flags g, i and m", ""},
		{`$body as $re | «test»($re)`, CodeRegex, "the regular expression of test is not a literal", `write it as a string, or bind it before: "..." as $re | ...`},
		{`.a | «)»`, CodeSyntax, `unexpected token ")"`, ""},
		{`.a |«»`, CodeSyntax, "unexpected EOF", ""},
		{`.a == «"x»`, CodeSyntax, "unterminated string literal", ""},
		{`«»`, CodeSyntax, "there is no program", "write . for the input itself"},
		{`«def f: 1;»`, CodeSyntax, "there is no program", "write . for the input itself"},
	} {
		src := strings.NewReplacer("«", "", "»", "").Replace(c.marked)
		start := strings.Index(c.marked, "«")
		want := Problem{start, strings.Index(c.marked, "»") - len("«"), c.code, c.message, c.hint}
		p, problems := Compile(src, testVariables)
		if c.message == "unterminated string literal" { // gojq knows only where it ends
			want.Offset = want.End
		}
		if p != nil || !slices.Equal(problems, []Problem{want}) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.marked, problems, want)
		}
	}
}

func TestAllProblemsAreReported(t *testing.T) {
	src := `foo + $bar | test(.x) | env | foo | "\(bar)"`
	_, problems := Compile(src, nil)
	var got []string
	for _, p := range problems {
		got = append(got, src[p.Offset:p.End])
	}
	if want := []string{"foo", "$bar", "test", "env", "foo", "bar"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestRegexMayBeBound(t *testing.T) {
	for _, src := range []string{
		`"a" as $re | test($re)`, `test(["a", "i"])`, `. as $x | "a" as $re | $x | map(test($re; "i"))`, `test("a"; .flags)`,
	} {
		mustCompile(t, src)
	}
}

func TestReading(t *testing.T) {
	for _, c := range []struct {
		src    string
		all    bool
		fields string
	}{
		{`empty`, false, ``}, {`1`, false, ``}, {`"a"`, false, ``}, {`{}`, false, ``}, {`[]`, false, ``}, {`now`, false, ``}, {`nan`, false, ``},
		{`.`, true, ``}, {`..`, true, ``}, {`.[]`, true, ``}, {`.a`, false, `a`}, {`."a"`, false, `a`}, {`.["a"]`, false, `a`}, {`.a.b`, false, `a`}, {`.[0]`, true, ``}, {`.[1:]`, true, ``}, {`.a?`, false, `a`},
		{`.["a", "b"]`, true, ``}, {`.a[.b]`, false, `a b`}, {`.a[]`, false, `a`},
		{`$request.headers.a == "1"`, false, ``}, {`$body.x`, false, ``}, {`$request | .a`, false, ``}, {`$request | test("a")`, false, ``}, {`$request[.a]`, false, `a`},
		{`. as $x | $x`, true, ``}, {`.a as $x | $x`, false, `a`}, {`$body as $x | .`, true, ``}, {`$body as {a: $x} | $x`, false, ``},
		{`.status >= 500 or (.body.errors | length) > 0`, false, `status body`},
		{`.status >= 500 or .error != null or (.grpc_status | IN("A", "B"))`, false, `status error grpc_status`},
		{`{a: $body}`, false, ``}, {`{a}`, false, `a`}, {`{$body}`, false, ``}, {`{"a"}`, true, ``}, {`{a: .b}`, false, `b`}, {`{(.a): 1}`, false, `a`}, {`[.a]`, false, `a`},
		{`if $body then 1 else 2 end`, false, ``}, {`if $body then 1 end`, true, ``}, {`if .a then 1 else .b end`, false, `a b`}, {`if $body then 1 elif .c then 2 else 3 end`, false, `c`},
		{`select($body)`, true, ``}, {`$body | select(.a)`, false, ``}, {`error`, true, ``}, {`error("x")`, false, ``}, {`error(.a)`, false, `a`},
		{`any($body[]; . == 1)`, false, ``}, {`any(.a[]; . == 1)`, false, `a`}, {`any`, true, ``}, {`first($body[])`, false, ``}, {`limit(1; .a[])`, false, `a`}, {`[range(.a)]`, false, `a`}, {`$body | any(. == 1)`, false, ``},
		{`reduce $body[] as $x (0; . + $x)`, false, ``}, {`reduce .a[] as $x (0; . + $x)`, false, `a`}, {`reduce $body[] as $x (.; . + $x)`, true, ``}, {`[foreach $body[] as $x (0; . + $x; .)]`, false, ``},
		{`"\($body)"`, false, ``}, {`"\(.a)"`, false, `a`}, {`@json`, true, ``}, {`@json "\($body)"`, false, ``}, {`$body | @json`, false, ``},
		{`.a = 1`, true, ``}, {`$body | .a = 1`, false, ``}, {`.a += 1`, true, ``}, {`del(.a)`, true, ``}, {`try $body catch .`, false, ``}, {`try error catch .`, true, ``},
		{`def f: $body; f`, false, ``}, {`def f: .a; f`, false, `a`}, {`def f: .a; 1`, false, ``}, {`def f: .a; $body | f`, false, ``}, {`def f(g): g; f(.a)`, false, `a`}, {`def f(g): $body | g; f(1)`, false, ``}, {`def f($x): $x; f(.a)`, false, `a`}, {`def f: if $body then f else .a end; f`, false, `a`},
		{`label $f | .a, break $f`, false, `a`}, {`-$body`, false, ``}, {`-.a`, false, `a`}, {`.a // "x"`, false, `a`}, {`.a and .b`, false, `a b`}, {`pow($body; 2)`, false, ``}, {`pow(.a; 2)`, false, `a`}, {`IN($body[]; 1)`, false, ``}, {`IN(1)`, true, ``}, {`INDEX($body[]; .id)`, false, ``},
		{`tojson`, true, ``}, {`getpath(["a"])`, true, ``}, {`has("a")`, true, ``}, {`. | .a`, true, ``}, {`(.a)`, false, `a`}, {`.a, .b | .c`, false, `a b`}, {`path(.a)`, true, ``}, {`isempty($body[])`, false, ``}, {`add($body[])`, false, ``},
	} {
		p := mustCompile(t, c.src, testVariables...)
		want := reading{all: c.all, fields: strings.Fields(c.fields)}
		if p.reads.all != want.all || !want.all && !reflect.DeepEqual(append([]string{}, p.reads.fields...), append([]string{}, want.fields...)) {
			t.Errorf("%s: got %+v, want %+v", c.src, p.reads, want)
		}
		if p.ReadsInput() != (c.all || c.fields != "") || p.UsesInputField("zz") != c.all {
			t.Errorf("%s: ReadsInput or UsesInputField is wrong", c.src)
		}
	}
}

// Whatever does not read its input gives the same with any.
func TestNotReadingIsSound(t *testing.T) {
	for _, src := range programs() {
		p, problems := Compile(src, nil)
		if len(problems) > 0 || p.ReadsInput() {
			continue
		}
		a, errA := ours(t, p, map[string]any{"a": 1, "b": []any{"x"}})
		b, errB := ours(t, p, "text")
		if !slices.Equal(a, b) || (errA == nil) != (errB == nil) {
			t.Errorf("%s: got %v %v and %v %v", src, a, errA, b, errB)
		}
	}
}

func TestUses(t *testing.T) {
	for _, c := range []struct {
		src  string
		uses bool
	}{
		{`$body`, true}, {`.body`, false}, {`"$body"`, false}, {`"\($body)"`, true}, {`{$body}`, true}, {`. as $body | $body`, false},
		{`def f($body): $body; f(1)`, false}, {`def f: $body; 1`, true}, {`$body as $body | 1`, true}, {`# $body` + "\n1", false},
	} {
		if p := mustCompile(t, c.src, testVariables...); p.Uses("$body") != c.uses {
			t.Errorf("%s: got %v", c.src, !c.uses)
		}
	}
}

func TestTimeIsTheRunsInstantInUTC(t *testing.T) {
	t.Setenv("TZ", "America/New_York")
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.FixedZone("", 3600))
	for src, want := range map[string]string{
		`now`:                             `1767319445.5`,
		`now | todate`:                    `"2026-01-02T02:04:05Z"`,
		`now | localtime | mktime`:        `1767319445.5`,
		`now | strflocaltime("%H %Z")`:    `"02 UTC"`,
		`now | gmtime | .[3]`:             `2`,
		`now | localtime | .[3]`:          `2`,
		`[now] == [now]`:                  `true`,
		`now | strftime("%Y") | tonumber`: `2026`,
	} {
		var got []string
		err := mustCompile(t, src).Run(t.Context(), nil, nil, Limits{}, now, func(v any) error {
			got = append(got, marshal(v))
			return nil
		})
		if err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %v %v, want %s", src, got, err, want)
		}
	}
}

func TestErrorsShowNoPayload(t *testing.T) {
	secret := strings.Repeat("secret ", 20)
	for src, want := range map[string]string{
		`.a.b`:      "expected an object but got: string",
		`.[0]`:      "expected an array but got: object",
		`.a + 1`:    "cannot add: string",
		`error(.a)`: "error",
		`error("at most 100 a call, not more than that")`: "at most 100 a call, not more than that",
		`error(.)`:            "error",
		`.a | fromjson`:       "fromjson cannot be applied",
		`.a | implode`:        "implode cannot be applied to: string",
		`.a | strptime("%Y")`: "strptime",
		`.a | keys`:           "keys cannot be applied to: string",
		`{(.): 1}`:            "expected a string for object key but got: object",
	} {
		err := mustCompile(t, src).Run(t.Context(), map[string]any{"a": secret}, nil, Limits{}, time.Time{}, func(any) error { return nil })
		var raised *RuntimeError
		if !errors.As(err, &raised) || raised.Msg != want || len(raised.Preview) > maxPreview {
			t.Errorf("%s: got %#v", src, err)
		}
	}
}

func TestPanicsAreContained(t *testing.T) {
	p := mustCompile(t, `[.] | tojson`)
	for range 3 {
		err := p.Run(t.Context(), struct{ Secret string }{"x"}, nil, Limits{}, time.Time{}, func(any) error { return nil })
		var panicked *PanicError
		if !errors.As(err, &panicked) || strings.Contains(err.Error(), "Secret") || len(panicked.Stack) == 0 {
			t.Errorf("got %v", err)
		}
	}
	if got, err := ours(t, p, 1); err != nil || got[0] != `"[1]"` {
		t.Errorf("afterwards: %v %v", got, err)
	}
}

func TestTheErrorOfEmitEndsTheRun(t *testing.T) {
	enough := errors.New("enough")
	count := 0
	err := mustCompile(t, `range(10)`).Run(t.Context(), nil, nil, Limits{}, time.Time{}, func(any) error {
		count++
		return enough
	})
	if !errors.Is(err, enough) || count != 1 {
		t.Errorf("got %v after %d", err, count)
	}
}

func TestConcurrentRunsShareAnInput(t *testing.T) {
	p := mustCompile(t, `.a.b |= . + 1 | del(.c[0]) | .d = (.s | gsub("a"; "b")) | .c |= map(. * 2)`)
	input := map[string]any{"a": map[string]any{"b": 1}, "c": []any{1, 2, 3}, "s": "aaa"}
	done := make(chan error)
	for range 8 {
		go func() {
			for range 200 {
				got, err := ours(t, p, input)
				if err == nil && got[0] != `{"a":{"b":2},"c":[4,6],"d":"bbb","s":"aaa"}` {
					err = errors.New(got[0])
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
