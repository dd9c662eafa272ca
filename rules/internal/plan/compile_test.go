package plan

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

func TestWhatHasNoPlanSaysWhy(t *testing.T) {
	for src, want := range map[string]string{
		`.a = 1`: "", `.user.email = "x" | del(.password)`: "", `.a.b |= ascii_downcase`: "", `.total = .price * .count`: "",
		`.items[].price |= . * 2`: "", `.items |= map(select(.ok))`: "", `del(.items[] | select(.ok))`: "", `(.items[] | select(.id == 7) | .price) = 1`: "",
		`if .a == 1 then .b = 2 elif .c then del(.d) else . end`: "", `select(.a > 1) | .b = "\(.a)-\($v.x)"`: "", `{id, name: .user.name}`: "", `.a // "x"`: "", `.`: "",
		`.links.self = "/v1/\($v.id)"`: "", `.tier = $v.customer.tier | del(.debug)`: "", `.a |= (.b = 1 | .c = 2)`: "", `.items |= map({id, price})`: "", `map(.a += 1)`: "", `(.a, .b.c) |= "x"`: "", `.items[]?.a = 1`: "", `.a = (.b | test("^x"; "i"))`: "", `.a |= floor`: "",

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
		`empty`:                              "calls empty/0",
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
	for _, c := range []struct{ src, text, want string }{
		{`.user.email = "x" | del(.password)`, `{"user": {"id": 7, "email": "a@b"}, "password": "p" }`, `{"user": {"id": 7, "email": "x"} }`},
		{`.a.b.c = 1 | .A = 2`, `{"z":0}`, `{"z":0,"A":2,"a":{"b":{"c":1}}}`},
		{`.a.b = 1`, `{"a": null}`, `{"a": {"b":1}}`},
		{`.a = 1`, `{"a": 1.0}`, `{"a": 1.0}`},
		{`.a = "x"`, `{"a":"\u0078"}`, `{"a":"\u0078"}`},
		{`.b = .a`, `{"a":"\u0078", "c":{}}`, `{"a":"\u0078", "c":{}, "b":"x"}`},
		{`.b = .a`, `{"a":{ "k" : [ ] }}`, `{"a":{ "k" : [ ] },"b":{ "k" : [ ] }}`},
		{`.b = .a`, `{"a":1e400}`, `{"a":1e400,"b":1e400}`},
		{`.a += 1 | .b -= 1 | .c *= 2 | .d /= 4`, `{"a":1.10,"b":1,"c":3,"d":2}`, `{"a":2.1,"b":0,"c":6,"d":0.5}`},
		{`.a //= "x" | .b //= "y"`, `{"a":null,"b":1}`, `{"a":"x","b":1}`},
		{`del(.a, .b)`, `{ "a":1, "b":2, "c":3 }`, `{ "c":3 }`},
		{`del(.a)`, `{ "a":1 }`, `{}`},
		{`del(.a) | .b = 1`, `{ "a":1 }`, `{ "b":1 }`},
		{`del(.c, .x.y)`, `{ "a":1, "b":2 , "c":3 }`, `{ "a":1, "b":2 }`},
		{`.items[].secret = "***"`, `{"items":[{"secret":1},{"secret":2, "id":1},{"id":2}]}`, `{"items":[{"secret":"***"},{"secret":"***", "id":1},{"id":2,"secret":"***"}]}`},
		{`del(.items[].secret)`, `{"items":[{"secret":1},{"id":3}, {"secret":2, "id":1}]}`, `{"items":[{},{"id":3}, {"id":1}]}`},
		{`.items[].price |= . * 2`, `{"items":[{"id":1,"price":2},{"id":2,"price":4}]}`, `{"items":[{"id":1,"price":4},{"id":2,"price":8}]}`},
		{`.tags[] |= ascii_upcase`, `{"tags":["a", "b" ,"C"]}`, `{"tags":["A", "B" ,"C"]}`},
		{`.items |= map(select(.ok))`, `{"items":[ {"ok":1}, {"ok":false},{"ok":2} ]}`, `{"items":[ {"ok":1}, {"ok":2} ]}`},
		{`del(.items[0])`, `{"items":[1, 2,3]}`, `{"items":[2, 3]}`},
		{`(.items[] | select(.id == 2)).price = .best`, `{"best":9,"items":[{"id":1},{"id":2,"price":1}]}`, `{"best":9,"items":[{"id":1},{"id":2,"price":9}]}`},
		{`{id, name: .user.name}`, `{"user":{"name":"n"}, "x":1, "id":7}`, `{"id":7, "name":"n"}`},
		{`.items |= map({id, p: .price})`, `{"items":[{"id":1,"price":2.50},{"price":1, "id":2}]}`, `{"items":[{"id":1,"p":2.50},{"id":2, "p":1}]}`},
		{`if .n > 1 and (.s | startswith("a")) then .r = "many \(.n)" else del(.n) end`, `{"n":2,"s":"abc"}`, `{"n":2,"s":"abc","r":"many 2"}`},
		{`.ok = any(.items[]; .id == 2) | .all = all(.items[]; .id > 0) | .n = (.items | length)`, `{"items":[{"id":1},{"id":2}]}`, `{"items":[{"id":1},{"id":2}],"all":true,"n":2,"ok":true}`},
		{`.a = $v.a | .b = $v.c[0] | .c = $v.c`, `{}`, `{"a":"x","b":1,"c":[1,"x"]}`},
		{`.data`, `{"data": [ 1, 2 ]} `, `[ 1, 2 ] `},
		{`.a`, ` {"a":1.10} `, ` 1.10 `},
		{`map_values(. + 1)`, `{"a":1, "b":2}`, `{"a":2, "b":3}`},
		{`.["a b"]["é"] = 1`, `{"a b":{"\u00e9":0}}`, `{"a b":{"\u00e9":1}}`},
		{`(.a, .b.c) = .d`, `{"a":1,"d":2}`, `{"a":2,"d":2,"b":{"c":2}}`},
		{`(.a, .b) |= . + 1`, `{"a":1,"b":2}`, `{"a":2,"b":3}`},
		{`.a[]?.b = 1 | del(.c[]?)`, `{"a":[{}], "c":1}`, `{"a":[{"b":1}], "c":1}`},
		{`.a = (.b | test("^X.Y"; "i")) | .c = (.b | test("^X"))`, `{"b":"x\u000ay xny"}`, `{"b":"x\u000ay xny","a":false,"c":false}`},
		{`.a |= floor | .b |= round | .c |= ceil`, `{"a":1.5,"b":2.5,"c":-0.5}`, `{"a":1,"b":3,"c":-0}`},
		{`.tags += ["x", "y"] | .none += [1] | .empty += [2]`, `{"tags":["a",  "b" ], "empty":[ ]}`, `{"tags":["a",  "b",  "x",  "y" ], "empty":[ 2], "none":[1]}`},
		{`.meta = {a: 1, b: .x}`, `{"x":2,"meta":{ "b":3, "z":1, "a":1.0 }}`, `{"x":2,"meta":{ "b":2, "a":1.0 }}`},
		{`. += {b: 1} | .c.d += {x: [1]}`, `{ "a":1}`, `{ "a":1, "b":1, "c":{"d":{"x":[1]}}}`},
		{`.items[] += {ok: true}`, `{"items":[{"id":1},{"id":2, "ok":false}]}`, `{"items":[{"id":1,"ok":true},{"id":2, "ok":true}]}`},
		{`{a} | . + {b: 1}`, `{"a":1,"x":2,"y":3}`, `{"a":1,"b":1}`},
		{`.a = null`, `{"a":1,"a\u0000":2}`, `{"a":null,"a\u0000":2}`},
	} {
		var r json.Runner
		p, why := Compile([]Step{{JQ: c.src}}, testVariables)
		if p == nil {
			t.Errorf("%s: %s", c.src, why)
			continue
		}
		result, err := r.Run(p, []byte(c.text), testValues(), codec.Limits{}, nil)
		if err != nil || string(result.Data) != c.want {
			t.Errorf("%s on %s:\n got %s (%v) %v\nwant %s", c.src, c.text, result.Data, result.Outcome, err, c.want)
		}
		var n tally
		differ(t, &r, []Step{{JQ: c.src}}, []byte(c.text), &n)
	}
}

func TestWhatIsOddIsLeftToTheProgram(t *testing.T) {
	for _, c := range []struct{ src, text string }{
		{`.a.b = 1`, `{"a":1}`}, {`.a = 1`, `[]`}, {`.a = 1`, `{"a":0,"a":2}`}, {`.a = 1`, `{"a":0,"\u0061":2}`}, {`.c = {x: .a}`, `{"a":{},"c":{"x":1}}`}, {`.c = .a + [1]`, `{"a":[2]}`},
		{`.a += 1`, `{"a":"x"}`}, {`.a += 1`, `{"a":9223372036854775807}`}, {`.a /= 0`, `{"a":1}`}, {`.a[] = 1`, `{}`}, {`.a[5] = 1`, `{"a":[]}`},
		{`.a[].b = 1`, `{"a":[{"b":2},{"b": 1}]}`}, {`.a |= ascii_downcase`, `{"a":1}`}, {`.a = "\(.b)"`, `{"b":1.5}`}, {`.c = .a`, `{"a":{},"c":{"x":1}}`},
		{`.a += .a` + strings.Repeat(` | .a += .a`, 30), `{"a":"xxxxxxxx"}`},
	} {
		var r json.Runner
		p, why := Compile([]Step{{JQ: c.src}}, testVariables)
		if p == nil {
			t.Errorf("%s: %s", c.src, why)
			continue
		}
		result, err := r.Run(p, []byte(c.text), testValues(), codec.Limits{}, nil)
		if err != nil || result.Outcome != json.Unsure {
			t.Errorf("%s on %s: got %s (%v) %v", c.src, c.text, result.Data, result.Outcome, err)
		}
	}
}

func TestRunsAllocateNothing(t *testing.T) {
	text := orders(4 << 10)
	for _, src := range []string{`.user.email = "x" | del(.password)`, `.items[].sku = "x"`, `if .user.id == 7 then .user.email |= ascii_upcase else . end`, `.items |= map(select(.id > 3))`} {
		p, why := Compile([]Step{{JQ: src}}, nil)
		if p == nil {
			t.Fatal(why)
		}
		var r json.Runner
		var out []byte
		run := func() {
			result, err := r.Run(p, text, nil, codec.Limits{}, out[:0])
			if err != nil || result.Outcome != json.Changed {
				t.Fatal(result.Outcome, err)
			}
			out = result.Data
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}
