package jq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

// results of a program: each as JSON, and whether it ended in an error.
func ours(t *testing.T, p *Program, input any) (out []string, err error) {
	t.Helper()
	err = p.Run(t.Context(), input, nil, Limits{}, time.Unix(0, 0), func(v any) error {
		out = append(out, marshal(v))
		return nil
	})
	return out, err
}

func stock(t *testing.T, src string, input any) (out []string, err error) {
	t.Helper()
	query, err := gojq.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		t.Fatalf("%s: gojq: %v", src, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	results := code.RunWithContext(ctx, input)
	for {
		v, ok := results.Next()
		if !ok {
			return out, nil
		}
		if err, ok := v.(error); ok {
			return out, err
		}
		out = append(out, marshal(v))
	}
}

func marshal(v any) string {
	b, err := gojq.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func decode(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func mustCompile(t testing.TB, src string, variables ...string) *Program {
	t.Helper()
	p, problems := Compile(src, variables)
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", src, problems)
	}
	return p
}

// samples are values of all kinds for the comparison with gojq.
func samples() []string {
	return []string{
		`null`, `true`, `false`, `0`, `-1`, `2`, `1.5`, `1e3`, `100000000000000000000`, `-9223372036854775808`, `1e400`, `0.1000`,
		`""`, `"a"`, `"aaa"`, `"a,b, c"`, `"Ünïcödé ☃ 𝄞"`, `"12"`, `"1.5e3"`, `"nope"`, `"[1,2]"`, `"2015-03-05T23:51:47Z"`, `"YWJj"`, `"%41+b"`,
		`[]`, `[1]`, `[1,2,3]`, `[3,1,2,1]`, `["b","a","c","a"]`, `[[1,2],[3]]`, `[[1,[2]],[[[3]]]]`, `[null,1,"a"]`, `["a",null,"b"]`,
		`[{"a":1},{"a":2},{"a":1,"b":3}]`, `[{"key":"x","value":1}]`, `[[0],1]`, `[2015,2,5,23,51,47,4,63]`, `[[["a"],1],[["b"],2],[["b"]]]`,
		`{}`, `{"a":1}`, `{"a":{"b":[1,{"c":2}]},"d":"x"}`, `{"b":2,"a":[1,2]}`, `{"a":"abc","b":["x","y"],"c":null}`, `{"a":null}`,
		`{"start":1,"end":2}`, `[1.0,1,1.00]`, `[nan]`,
	}
}

// programs touch every builtin and operator that this package replaces.
func programs() []string {
	list := []string{
		// operators
		`. + .`, `. - .`, `. * .`, `. / .`, `. % .`, `. == .`, `. != .`, `. < .`, `. <= .`, `. > .`, `. >= .`, `.+1`, `1+.`, `.*2`, `2*.`, `.-1`, `./2`,
		`.%3`, `-.`, `+.`, `.+null`, `.+"x"`, `.+[1]`, `.+{"z":1}`, `.*{"a":{"z":1}}`, `.-[1]`, `.-["a",1]`, `./","`, `.*1.5`, `.*0`, `.*-1`, `.%0`, `./0`,
		`[.[]? + 1]`, `. and .`, `. or false`, `. // "d"`, `[.[]?] | . < [1,2]`, `{a:1} < .`, `(1,2) + (10,20)`, `[(1,2) * (3,4)]`, `9223372036854775807 + .`,
		`. % -1`, `5 % .`, `1 / .`, `nan < .`, `. < nan`, `[nan] == [nan]`, `nan == nan`, `. == 1.0`,
		// paths and edits
		`.a`, `.a?`, `.a.b?`, `.["a"]`, `.[0]`, `.[-1]`, `.[1:]`, `.[:-1]`, `.[1:2]`, `.[0.5]`, `.[]`, `.[]?`, `.a = 1`, `.a.b = 1`, `.[0] = 9`, `.[-1] = 9`,
		`.[5] = 1`, `.[1:2] = ["x","y"]`, `.[1:] = []`, `.[2:1] = ["x"]`, `.["a"] = .`, `.a = (1,2)`, `.[] = 1`, `.[]? = 1`, `.a |= .`, `.a |= 3`, `.[] |= .`, `.[]? |= empty`, `(.a, .a) |= [.]`,
		`.a += 1`, `.a -= 1`, `.a *= 2`, `.a /= 2`, `.a %= 2`, `.a //= 7`, `.[] += 1`, `.a = .d`, `.a += (1,2)`, `.. |= .`, `(.. | numbers) |= . + 1`, `.[0] |= empty`, `.[] |= (select(. != 1))`,
		`(.a | .b?) = 1`, `.a[1:] |= map(. )`, `.a.b[0] |= . + 1`, `.[1:] |= map(. as $x | [$x])`, `.a[.b?]? = 1`, `."a" = 1`, `."a"."b"? = 2`, `(.a, .b) = 1`, `.a |= (1,2)`, `. |= 5`, `. = 5`,
		`(.a // .b) = 3`, `(if .a then .a else .b end) = 3`, `first(.[]?) = 3`, `limit(1; .[]?) |= 4`, `getpath(["a","b"]) = 1`, `getpath(["a"])?`, `getpath([0])?`, `path(..)`, `[paths]`, `[paths(type == "number")]`,
		`del(.a)`, `del(.a, .b)`, `del(.[0])`, `del(.[0], .[1])`, `del(.[])`, `del(.[]?)`, `del(.a.b)`, `del(.a.b[0].c)`, `del(.[1:])`, `del(.[0:1][0])`, `del(.[:2], .[1:])`, `del(..)`, `del(.[-1])`, `del(.[] | select(. == 1))`, `del(.)`, `del(.[100])`, `del(.x.y)`,
		`delpaths([])`, `delpaths([["a"]])`, `delpaths([["a"],["a","b"]])`, `delpaths([[0],[1]])`, `delpaths([[]])`, `delpaths(1)`, `delpaths([1])`, `delpaths([[{"start":0,"end":1}]])`,
		`setpath([]; 1)`, `setpath(["a"]; 1)`, `setpath(["a","b"]; 1)`, `setpath([0]; 1)`, `setpath([0,"a"]; 1)`, `setpath([-1]; 1)`, `setpath([true]; 1)`, `setpath("a"; 1)`, `setpath([{"start":1,"end":null}]; [9])`, `setpath([{"start":-1,"end":null}]; [9])`,
		`map_values(.)`, `map_values(. + 1)`, `map_values(empty)`, `map_values(select(. != null))`, `to_entries`, `from_entries`, `with_entries(.value |= tostring)`, `pick(.a)`, `pick(.a.b)`, `pick(.[0])`, `pick(.[1])`, `pick(.[]?)`, `pick(first)`, `walk(.)`, `walk(if type == "number" then . + 1 else . end)`,
		`tostream`, `[tostream] | fromstream(.[])`, `fromstream(.[])`, `fromstream(1|truncate_stream(.[]?))`, `[1|truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]])]`, `reduce .[]? as $x (0; . + 1)`, `foreach .[]? as $x (0; . + 1; [$x, .])`,
		`reduce .[]? as [$a,$b] (null; . + $a)`, `. as {a: $x} | $x`, `. as [$x, [$y]] | [$x, $y]`, `.[]? as {a: $x} ?// [$x] | [$x]`, `. as {"a": $x, b: [$y]} | [$x,$y]`, `. as {$a} | $a`, `. as {("a","b"): $x} | $x`,
		// arrays
		`add`, `add(.[]?)`, `add(empty)`, `any`, `all`, `flatten`, `flatten(0)`, `flatten(1)`, `flatten(-1)`, `flatten("a")`, `transpose`, `[.[]? | arrays] | transpose`, `sort`, `sort_by(.a?)`, `sort_by(.a?, .b?)`, `group_by(.a?)`, `unique`, `unique_by(.a?)`, `unique_by(length)`,
		`min`, `max`, `min_by(.a?)`, `max_by(.a?)`, `bsearch(1)`, `bsearch("b")`, `combinations`, `[combinations(2)]`, `[combinations(0)]`, `reverse`, `contains(1)`, `contains("a")`, `contains([1])`, `contains(["a"])`, `contains({a:1})`, `contains(null)`, `contains(.)`, `inside([1,2,3])`, `inside("xabcx")`,
		`contains({a:{b:[1]}})`, `contains(true)`, `index("a")`, `rindex("a")`, `indices("a")`, `indices("aa")`, `indices("")`, `index("")`, `indices(1)`, `indices([1])`, `indices([1,2])`, `index(1)`, `rindex(1)`, `index([1])`, `indices(", ")`, `rindex("ö")`, `indices([])`, `IN(1,2)`, `IN(.[]?; 1, "a")`, `INDEX(.a?)`, `INDEX(.[]?; .)`, `[JOIN({"1":2}; tostring)]`,
		`has(0)`, `has("a")`, `in([1])`, `in({"a":1})`, `[limit(2; .[]?)]`, `[limit(0; .[]?)]`, `[limit(-1; .[]?)]`, `[skip(1; .[]?)]`, `first`, `last`, `nth(1)`, `nth(1; .[]?)`, `first(.[]?)`, `last(.[]?)`, `isempty(.[]?)`, `[range(3)]`, `[range(1;4)]`, `[range(0;10;3)]`, `[limit(5; range(.))]`, `[range(5;0;-2)]`, `until(. == null or true; .)`,
		`[while(type == "number" and . < 10 and . > 0; . * 2)]`, `[recurse]`, `[..]`, `[recurse(.[]?; . != null)]`, `[.[]? | recurse(if type == "number" and . < 3 then . + 1 else empty end)]`, `isvalid`, `paths`, `any(.[]?; . == 1)`, `all(.[]?; . == 1)`, `any(. == 1)`, `keys`, `length`, `not`, `abs`, `toboolean`, `error`, `try error catch .`, `try error("x") catch .`, `error(null)`,
		// strings
		`tostring`, `tojson`, `fromjson`, `tonumber`, `ascii_downcase`, `ascii_upcase`, `explode`, `implode`, `explode | implode`, `split(",")`, `split("")`, `split(", ")`, `split("x"; null)`, `split(", *"; null)`, `split("[,b]"; "g")`, `join(",")`, `join(", ")`, `join(null)`, `join(1)`, `ltrimstr("a")`, `rtrimstr("c")`, `trimstr("a")`, `trim`, `ltrim`, `rtrim`, `startswith("a")`, `endswith("c")`, `utf8bytelength`,
		`@text`, `@json`, `@html`, `@uri`, `@urid`, `@csv`, `@tsv`, `@sh`, `@base64`, `@base64d`, `@json "x\(.)y"`, `@html "<\(.)>"`, `@base64 "\(.)\("q")"`, `format("csv")`, `format("nope")`, `"\(.)"`, `"a\(1,2)b\(3,4)"`, `"\(.a?)-\(.b?)"`, `{"\(1)": 2}`, `{"a\(.a?)"}`, `{"a"}?`, `{a}?`, `{(.a?|tostring): 1}`, `{a: (1,2), b: (3,4)}`, `{"x": .} | {x}`, `@uri "?q=\(.)"`, `[.[]?|tostring]`,
		// regular expressions
		`test("a")`, `test("A"; "i")`, `test(["A","i"])`, `test("a.c"; "m")`, `test("")`, `match("a")`, `match("a"; "g")`, `[match("a*"; "g")]`, `[match("";"g")]`, `[match("(?<x>a)|(?<y>b)"; "g")]`, `match(["a","g"])`, `match("ö")`, `[match("\\b"; "g")]`, `[match("^."; "g")]`, `[match("$"; "g")]`, `[match("(?m)^a"; "g")]`, `capture("(?<x>[a-z]+)(?<n>,)?")`, `[capture("(?<x>[a-z])"; "g")]`,
		`scan("a")`, `[scan("[a-z]")]`, `[scan("([a-z]),? ?([a-z])?")]`, `[scan("a*")]`, `[scan("A"; "i")]`, `[splits(", *")]`, `[splits("A"; "i")]`, `[splits("")]`, `sub("a"; "b")`, `sub("a"; "b"; "g")`, `gsub("a"; "b")`, `gsub(""; "-")`, `gsub("a*"; "-")`, `gsub("(?<x>[a-z])"; "\(.x)\(.x)")`, `gsub("(?<x>[a-z])"; .x, "1")`, `sub("(?<x>a)"; "1", "2", .x)`, `gsub("a"; empty)`, `gsub("a"; 1)`, `sub("x"; 1)`, `gsub("A"; "b"; "i")`, `gsub("(?<x>a)|(?<y>b)"; if .x then "1", "2" else "3" end)`, `gsub("^"; ">")`, `gsub("$"; "<")`, `gsub("\\s"; "")`, `gsub("[^a-z]"; "")`, `gsub("\\bb"; "X")`, `gsub("(?<=a)b"; "")?`, `test("a", "b")`, `sub("(?<a>.)(?<b>.)"; .b + .a)`, `[match("a|ab"; "g").string]`, `gsub("a(.*b)?"; "X")`, `gsub("(?<d>\\d+)"; .d | tonumber + 1 | tostring)`,
		// numbers and time
		`floor`, `sqrt`, `round`, `ceil`, `fabs`, `pow(.; 2)`, `pow(2; .)`, `log`, `exp10`, `significand`, `frexp`, `modf`, `isnormal`, `isinfinite`, `isnan`, `infinite`, `nan | tostring`, `[finites]`, `[normals]`, `ldexp(1; 3)`, `jn(2; .)`, `yn(3; .)`, `[jn(-3, 300; 0.5, 2)]`, `hypot(3; .)`, `fma(1;2;3)`, `atan2(1; 2)`, `gmtime`, `mktime`, `gmtime | mktime`, `todate`, `fromdate`, `strftime("%Y-%m-%d")`, `strptime("%Y-%m-%dT%H:%M:%SZ")`, `strptime("%Y")`, `todate | fromdate`, `strftime("%A, %B %d, %Y")`,
		// structure
		`def f: . ; f`, `def f(g): g | g; f(.)`, `def f($a; $b): [$a, $b, a]; f(1,2; 3)`, `def f(x): x as $y | [$y]; f(.[]?)`, `def f: def g: 1; g; f`, `def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 5 | fac`, `def gsub(a; b): "mine"; gsub("x"; "y")`, `def add: "mine"; [add, (def add: "inner"; add)]`, `def f(add): add; f(1)`, `def test: "t"; test, (try test("a") catch "e")`, `label $out | 1, break $out, 2`, `[.[]? | label $f | ., break $f]`, `try (.a | error) catch .`, `.a? // "x"`, `[.[]?.a?]`, `if . then 1 end`, `if . == 1 then "one" elif . == 2 then "two" else "many" end`, `try error({a:1}) catch .a`, `[.[]? as $x | $x | type]`, `. as $dot | [$dot, $dot] | .[0]`, `[1,2,3] | .[1:] = ["x"]`, `reduce range(5) as $i ([]; . + [$i])`, `[foreach range(5) as $i (null; $i; select(. % 2 == 0))]`, `reduce range(10) as $i ({}; .[$i | tostring] = $i)`, `[limit(3; repeat(1))]`, `[.[]?, 1] | map(tostring) | sort`, `input_line_number?`,
		`ltrimstr(1)`, `[splits("a";"g")]`, `ascii`, `[.[]? | select(type == "string") | ascii_downcase]`, `tojson | fromjson`, `[tostream] == [tostream]`, `@json == tojson`, `. as [$a] ?// {a: $a} ?// $a | [$a]`, `.[{"start":1,"end":2}]?`, `.a["b"]?`, `.a.b[0]?`, `(.a, .b)?`, `.. == 1`, `[..|numbers] | add`, `{} | .a.b.c = 1`, `null | .[3] = 1`, `[[1,2],[3,4]] | .[][0] |= . + 1`, `{"a":[1,2,3]} | .a[1:] |= map(. * 2)`, `{"a":1} | to_entries | map(.value += 1) | from_entries`, `[3,2,1] | sort_by(-.)`, `[{"a":1,"b":2},{"a":1,"b":1}] | sort_by(.a, .b) | map(.b)`, `"abc" | .[1:2]`, `"𝄞bc" | .[1:]`, `[1,2,1] | index(1), rindex(1), indices(1)`, `$__loc__?`, `splits("a", "b")`, `ascii(65)?`, `getpath(["a",0,"b"])?`, `[paths(..)]`, `limit(1; error)?`, `ltrimstr("a", "b")`, `tojson | length`, `@base64 | @base64d`,
	}
	return list
}

func TestResultsAreThoseOfGojq(t *testing.T) {
	compared := 0
	for _, src := range programs() {
		query, err := gojq.Parse(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		_, stockErr := gojq.Compile(query)
		p, problems := Compile(src, nil)
		if stockErr != nil {
			if len(problems) == 0 {
				t.Errorf("%s: compiles, but gojq says %v", src, stockErr)
			}
			continue
		}
		if len(problems) > 0 {
			if !knownDifference(src) {
				t.Errorf("%s: %+v", src, problems)
			}
			continue
		}
		for _, text := range samples() {
			input := any(nil)
			if text != `[nan]` {
				input = decode(t, text)
			}
			before := marshal(input)
			got, gotErr := ours(t, p, input)
			if errors.Is(gotErr, ErrBudget) {
				t.Errorf("%s on %s: %v", src, text, gotErr)
			}
			if after := marshal(input); after != before {
				t.Fatalf("%s on %s: changed its input to %s", src, text, after)
			}
			want, wantErr := stock(t, src, decode(t, strings.ReplaceAll(text, "[nan]", "null")))
			compared++
			if (gotErr != nil) != (wantErr != nil) || !slices.Equal(got, want) && !caughtText(src, got, want) {
				t.Errorf("%s on %s:\n got %v %v\nwant %v %v", src, text, got, gotErr, want, wantErr)
			}
		}
	}
	t.Logf("%d runs compared", compared)
}

// knownDifference names the programs that gojq takes and this package refuses.
func knownDifference(src string) bool {
	return slices.Contains([]string{`gsub("(?<=a)b"; "")?`, `test("a", "b")`, `splits("a", "b")`}, src)
}

// caughtText reports whether the only difference is the text of an error that
// the program caught: our texts show no containers.
func caughtText(src string, got, want []string) bool {
	return strings.Contains(src, "catch") && len(got) == len(want)
}

// Whatever gojq defines must have been looked at.
func TestEveryBuiltinIsDecided(t *testing.T) {
	names, err := stock(t, `builtins`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	if err := json.NewDecoder(bytes.NewReader([]byte(names[0]))).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		word, arity, _ := strings.Cut(name, "/")
		var n int
		fmt.Sscan(arity, &n)
		if builtinOf(word, n).treatment == unknown {
			t.Errorf("%s is not decided", name)
		}
	}
	for key, b := range builtinTable() {
		if b.treatment != refused && !slices.Contains(list, key) {
			t.Errorf("%s is no builtin of gojq", key)
		}
	}
}
