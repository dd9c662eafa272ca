package jq

import (
	"testing"
	"time"
)

func TestCheckPathTellsPathsFromValues(t *testing.T) {
	for _, src := range []string{
		".", "..", ".card.number", `.["card"]["number"]`, ".items[].token", ".items[0]?.token", ".a, .b", ".a // .b",
		".items[] | select(.kind == \"pin\" and (.value | length) > 3).value", "..|.password?", "..|objects|.password?", "..|strings",
		"first(.a[])", "nth(1; .a[])", "recurse(.next?).token", `getpath(["a", "b"])`,
		"if .kind == 1 then .a elif .kind == 2 then .b else .c end", "try .a catch empty", ".kind as $k | .values[$k]",
		"def secret: .pin; .a | secret", "label $out | .a, break $out", ".a[1:3]",
	} {
		if p := CheckPath(src); p != nil {
			t.Errorf("%s: %+v", src, p)
		}
	}
	for src, place := range map[string]string{
		"1": "1", `"card"`: `"card"`, ".a + .b": ".a + .b", "length": "length", ".a | tostring": "tostring", "{a}": "{a}", "[.a]": "[.a]",
		".a, keys": "keys", "first(1, 2)": "first(1, 2)", "if .a then 1 else . end": "if .a then 1 else . end",
		"def f: 1; f": "def f: 1; f", ".a = 1": ".a = 1", ".a as $a | $a": "$a", "last(.a[])": "last", "try .a catch .": "try .a catch .", "@base64": "@base64", "reduce .a as $x (.; .b)": "reduce .a as $x (.; .b)",
	} {
		p := CheckPath(src)
		if p == nil || p.Code != CodeNotPath || src[p.Offset:p.End] != place || p.Hint == "" {
			t.Errorf("%s: got %+v, want a problem at %s", src, p, place)
		}
	}
}

// What CheckPath lets through, gojq gives the paths of: none of it is an error of
// the program's, whatever one of the message's is.
func TestCheckedPathsHavePaths(t *testing.T) {
	for _, src := range []string{
		".card.number", ".items[].token", ".a, .b", ".a // .b", "..", "..|.password?", "first(.items[])", "nth(1; .items[])",
		"recurse(.next | values)", `getpath(["a", "b"])`, ".kind as $k | .values[$k]", "def f: .pin; .a | f", "if .kind then .a else .b end",
		".items[] | select(.token) | .token", "..|objects|.token?", "limit(1; .items[])", ".items[] | values", "..|scalars", "try error(\"x\") catch empty", ".items[0:1]",
	} {
		program, problems := Compile("[path("+src+")]", nil)
		if len(problems) > 0 {
			t.Fatalf("%s: %+v", src, problems)
		}
		input := map[string]any{"items": []any{map[string]any{"token": "x"}, map[string]any{"token": "y"}}, "kind": "k", "a": map[string]any{}}
		err := program.Run(t.Context(), input, nil, Limits{}, time.Time{}, func(any) error { return nil })
		if err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}
