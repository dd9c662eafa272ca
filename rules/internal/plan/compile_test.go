package plan

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

func TestWhatHasNoPlanSaysWhy(t *testing.T) {
	for src, want := range map[string]string{
		`.a = 1`: "", `.user.email = "x" | del(.password)`: "", `.a.b |= ascii_downcase`: "", `.total = .price * .count`: "",
		`.items[].price |= . * 2`: "", `.items |= map(select(.ok))`: "", `del(.items[] | select(.ok))`: "", `(.items[] | select(.id == 7) | .price) = 1`: "",
		`if .a == 1 then .b = 2 elif .c then del(.d) else . end`: "", `select(.a > 1) | .b = "\(.a)-\($v.x)"`: "", `{id, name: .user.name}`: "", `.a // "x"`: "", `.`: "",
		`.links.self = "/v1/\($v.id)"`: "", `.tier = $v.customer.tier | del(.debug)`: "", `.a |= (.b = 1 | .c = 2)`: "", `.items |= map({id, price})`: "", `map(.a += 1)`: "", `(.a, .b.c) |= "x"`: "", `.items[]?.a = 1`: "", `.a = (.b | test("^x"; "i"))`: "", `.a |= floor`: "", `if .op == "drop" then empty else .seen = true end`: "", `if .n > 100 then error("too many") else . end`: "",

		`reduce .a[] as $x (0; . + $x)`:      "uses reduce",
		`[foreach .a[] as $x (0; . + $x)]`:   "uses foreach",
		`.a = (try .b catch 1)`:              "uses try",
		`label $out | .a`:                    "uses label",
		`.. |= .`:                            "uses ..",
		`.a = @base64`:                       "uses @base64",
		`def f: 1; f`:                        "defines a function",
		`.a as $x | .b = $x`:                 "binds a variable",
		`.a = (.b | split("x"))`:             "calls split/1",
		`.a = $unknown`:                      "uses $unknown",
		`walk(.)`:                            "calls walk/1",
		`.a = (1, 2)`:                        "yields more than one result",
		`.a = .b[]`:                          "yields more than one result",
		`.a[1:] = [1]`:                       "takes a slice",
		`.a[-1] = 1`:                         "counts from the end of an array",
		`.[.a] = 1`:                          "works out an index",
		`.a, .b`:                             "yields more than one result",
		`(.a, (.b | select(.))) = 1`:         "edits what is no plain path",
		`del(.a[].b, (.a[] | select(.b)))`:   "edits what is no plain path",
		`.a = {} | .a.b = 1`:                 "changes what it has changed before",
		`.a.b = 1 | .c = .a`:                 "looks into what it has changed before",
		`.a[0] = 1 | .a[] += 1`:              "looks at all elements of an array in one way and in another",
		`del(.a[0]) | .a[1] = 2`:             "goes on with an array that it has taken elements out of",
		`.a[].b = 1 | .a |= map(select(.c))`: "changes elements of an array and takes others out",
		`.a | .b = 1`:                        "edits a part of the message to make a value of it",
		`.a |= select(.)`:                    "drops a part of the message with select",
		`del(.)`:                             "deletes the message itself",
		`{(.a): 1}`:                          "makes an object of names that it works out",
		`[.a[] | .b]`:                        "yields more than one result",
		`-.a`:                                "uses -.a",
		`.a |= empty`:                        "drops a part of the message with empty",
	} {
		if _, problems := jq.Compile(src, append(testVariables, "$unknown")); len(problems) > 0 {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		p, why := Compile([]Step{{JQ: src}}, testVariables)
		if why != want || (p == nil) == (want == "") {
			t.Errorf("%s: why %q, want %q", src, why, want)
		}
	}
}

// What most messages are like must not end in doubt.
func TestPlansAreSure(t *testing.T) {
	for _, c := range usual() {
		p, why := Compile([]Step{{JQ: c.src}}, testVariables)
		if p == nil {
			t.Errorf("%s: %s", c.src, why)
			continue
		}
		result, err := json.Codec{}.Edit(nil, p, []byte(c.text), testValues(), codec.Limits{})
		if err != nil || string(result.Data) != c.want {
			t.Errorf("%s on %s:\n got %s (%v) %v\nwant %s", c.src, c.text, result.Data, result.Outcome, err, c.want)
		}
		var n tally
		differ(t, json.Codec{}, []Step{{JQ: c.src}}, []byte(c.text), &n)
	}
}

func TestWhatIsOddIsLeftToTheProgram(t *testing.T) {
	for _, c := range []struct{ src, text string }{
		{`.a.b = 1`, `{"a":1}`}, {`.a = 1`, `[]`}, {`.a = 1`, `{"a":0,"a":2}`}, {`.a = 1`, `{"a":0,"\u0061":2}`}, {`.c = {x: .a}`, `{"a":{},"c":{"x":1}}`}, {`.c = .a + [1]`, `{"a":[2]}`}, {`.c = any(.a[]; .x)`, `{"a":{"b":{"x":1},"a":0}}`},
		{`.a += 1`, `{"a":"x"}`}, {`.a += 1`, `{"a":9223372036854775807}`}, {`.a /= 0`, `{"a":1}`}, {`.a[] = 1`, `{}`}, {`.a[5] = 1`, `{"a":[]}`},
		{`.a[].b = 1`, `{"a":[{"b":2},{"b": 1}]}`}, {`.a |= ascii_downcase`, `{"a":1}`}, {`.a = "\(.b)"`, `{"b":1.5}`}, {`.c = .a`, `{"a":{},"c":{"x":1}}`},
		{`.a += .a` + strings.Repeat(` | .a += .a`, 30), `{"a":"xxxxxxxx"}`},
	} {
		p, why := Compile([]Step{{JQ: c.src}}, testVariables)
		if p == nil {
			t.Errorf("%s: %s", c.src, why)
			continue
		}
		result, err := json.Codec{}.Edit(nil, p, []byte(c.text), testValues(), codec.Limits{})
		if err != nil || result.Outcome != plan.Unsure {
			t.Errorf("%s on %s: got %s (%v) %v", c.src, c.text, result.Data, result.Outcome, err)
		}
	}
}

func TestRunsAllocateTheirResult(t *testing.T) {
	text := orders(4 << 10)
	for _, src := range []string{`.user.email = "x" | del(.password)`, `.items[].sku = "x"`, `if .user.id == 7 then .user.email |= ascii_upcase else . end`, `.items |= map(select(.id > 3))`} {
		p, why := Compile([]Step{{JQ: src}}, nil)
		if p == nil {
			t.Fatal(why)
		}
		run := func() {
			result, err := json.Codec{}.Edit(nil, p, text, nil, codec.Limits{})
			if err != nil || result.Outcome != plan.Changed {
				t.Fatal(result.Outcome, err)
			}
		}
		if n := codectest.Allocs(run); n > 1 {
			t.Errorf("%s: %v allocations, want the new text alone", src, n)
		}
	}
}
