package plan

import (
	"slices"
	"strings"
	"testing"
)

func TestMembersThatAPlanNames(t *testing.T) {
	for src, want := range map[string]string{
		`.a = 1`: "a", `.user.email = "x" | del(.password)`: "password user", `.a |= ascii_downcase`: "a", `.total = .price * .count`: "count price total",
		`. + {a: 1, b: .c}`: "a b c", `if .a == 1 then .b = 2 elif .c then del(.d) else . end`: "a b c d", `.a = $v.tier`: "a", `.items[].price |= . * 2`: "items",
		`if .n > 100 then error("too many") else . end`: "n", `.a = has("b")`: "a b", `.a = (.b // "x")`: "a b", `del(.a, .b)`: "a b",

		`{id, name: .user.name}`: "!", `.a // "x"`: "!", `map(.a += 1)`: "!", `.[] |= 1`: "!", `select(.a > 1)`: "!", `.a = length`: "!", `.a = .`: "!", `.a = (. == {})`: "!",
		`.a = any(. == 1)`: "!", `.a`: "!",
	} {
		p, why := Compile([]Step{{JQ: src}}, testVariables)
		if p == nil {
			if want != "!" {
				t.Errorf("%s: no plan: %s", src, why)
			}
			continue
		}
		names, ok := p.Members()
		slices.Sort(names)
		if got := strings.Join(slices.Compact(names), " "); ok != (want != "!") || ok && got != want {
			t.Errorf("%s: got %s, %v, want %s", src, got, ok, want)
		}
	}
}
