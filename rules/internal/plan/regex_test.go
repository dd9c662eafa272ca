package plan

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// A plan looks for a regular expression only as long as that is bounded: what may be
// quadratic in a hostile text, or make much of it, is left to the program, whose steps
// are counted.
func TestRegularExpressionsAreBounded(t *testing.T) {
	const mib = 1 << 20
	text := func(s string, n int) string { return `{"a":"` + strings.Repeat(s, n/len(s)) + `"}` }
	for _, c := range []struct {
		name, program, data string
		sure                bool
	}{
		{"a short text", `.a |= gsub("a(.*b)?"; "x")`, text("a", 64), true},
		{"one that looks ahead, in a long text", `.a |= gsub("a(.*b)?"; "x")`, text("a", mib), false},
		{"a bounded one in a long text", `.a |= gsub("[0-9]{13,16}"; "*")`, text("1234567890123456 ", mib/8), true},
		{"a row at the end of one", `.a |= gsub("secret=[^&]+"; "*")`, text("secret=abc&", mib/8), true},
		{"a literal that is not there", `.a |= gsub("secret"; "*")`, text("a", 8*mib-32), true},
		{"a literal that is everywhere", `.a |= gsub("a"; "*")`, text("a", 8*mib-32), false},
		{"a class in a very long text", `.a |= gsub("[ab]"; "*")`, text("a", 8*mib-32), false},
		{"a wide one", `.a |= (if test("(a|ab|[a-f]{1,40}){1,20}z") then 1 else 2 end)`, text("a", mib/8), false},
		{"much made of a little", `.a |= gsub("a"; "` + strings.Repeat("b", 100) + `")`, text("a", mib/8), false},
		{"much made of many", `.[].a |= gsub("[a]"; "` + strings.Repeat("b", 100) + `")`, `[` + strings.Repeat(text("a", 16<<10)+",", 40) + text("a", 16) + `]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, why := Compile([]Step{{JQ: c.program}}, nil)
			if p == nil {
				t.Fatal(why)
			}
			result, err := json.Codec{}.Edit(nil, p, []byte(c.data), nil, codec.Limits{})
			if err != nil || (result.Outcome != plan.Unsure) != c.sure {
				t.Errorf("got %v, %v", result.Outcome, err)
			}
		})
	}
}
