package plan

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec/json"
)

// sums are programs that add up, with F in place of what they do with an element.
var sums = []string{
	".t = ([.a[] | F] | add)", ".t = (.a | map(F) | add)", ".t = ([.a[] | select(.ok) | F] | add)", ".t = add(.a[] | F)",
	".t = ([.a[] | select(.ok) | select(.n > 0) | F] | add | . * 2)", ".t = ([.a[] | F] | add) + ([.b[]] | add)", ".t = (.b | add)",
	"if ([.a[] | F] | add) > 3 then .big = true else . end", "del(.a[].n) | .t = ([.a[] | F] | add)", ".a[].n += 1 | .t = ([.a[] | F] | add)",
	".t = ([.a[].n] | add / 2)", ".a[].t = ([.b[]] | add)", ".a[] |= (.t = ([.in[]?] | add))", ".t = ([.a[].in[]] | add)", "([.a[] | F] | add)",
}

var addends = []string{".n", ".n * .m", ".n + .m", ".n // 0", "-1", ".n - .m / 2", `"x"`, ".", ".in", ".n | floor", "if .ok then .n else .m end", "(.n | tostring)", ".in | add"}

func TestSumsAreTheirPrograms(t *testing.T) {
	var n tally
	random := rand.New(rand.NewPCG(3, 4))
	of := func(list ...string) string { return list[random.IntN(len(list))] }
	number := func() string {
		return of("1", "2", "-3", "0", "-0", "0.1", "2.50", "1.10", "1e3", "1e400", "12345678901234567890", "100000000000000000", "null", "1", "7", `"x"`)
	}
	list := func(of func() string) string {
		all := make([]string, random.IntN(4))
		for i := range all {
			all[i] = of()
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	element := func() string {
		switch random.IntN(12) {
		case 0:
			return number()
		case 1:
			return "{}"
		}
		return `{"n": ` + number() + `, "m":` + number() + `, "ok": ` + of("true", "false", "null") + `, "in": ` + list(number) + "}"
	}
	for range programs() {
		src := strings.ReplaceAll(of(sums...), "F", of(addends...))
		for range 4 {
			a := list(element)
			if random.IntN(20) == 0 {
				a = of(`{"x": {"n": 1, "m": 2}}`, "null", "1", `{"b": 1.5, "a": {"n": 0.1}}`)
			}
			differ(t, json.Codec{}, []Step{{JQ: src}}, []byte(`{"a": `+a+`, "b": `+list(number)+"}"), &n)
		}
	}
	if n.sure < n.compiled/4 {
		t.Errorf("most sums are not worked out on the text: %+v", n)
	}
	t.Logf("%+v", n)
}
