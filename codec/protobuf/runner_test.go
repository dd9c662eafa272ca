package protobuf

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// That a plan on the wire is its program is shown where programs are compiled,
// in rules/internal/plan.
func TestRunWritesWhatEncodeWould(t *testing.T) {
	files := testFiles(t)
	data := []byte(unknown + wire(t, files, "kinds.All", benchText) + unknown)
	c := mustMessage(t, files, "kinds.All")
	for _, p := range benchPlans {
		v, original, err := c.Decode(data, codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := codectest.JQ(p.src, v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Encode(original, w)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Edit(nil, p.plan, data, nil, codec.Limits{})
		if err != nil || got.Outcome != plan.Changed || !bytes.Equal(got.Data, want) {
			t.Errorf("%s: %v %v %q, want %q", p.src, got.Outcome, err, got.Data, want)
		}
		again, err := c.Edit(nil, p.plan, want, nil, codec.Limits{})
		if err != nil || again.Outcome != plan.Unchanged || !bytes.Equal(again.Data, want) {
			t.Errorf("%s a second time: %v %v", p.src, again.Outcome, err)
		}
	}
}

func TestRunAllocatesItsResult(t *testing.T) {
	files := testFiles(t)
	data := []byte(wire(t, files, "kinds.All", benchText))
	c := mustMessage(t, files, "kinds.All")
	for _, p := range benchPlans {
		run := func() {
			result, err := c.Edit(nil, p.plan, data, nil, codec.Limits{})
			if err != nil || result.Outcome != plan.Changed {
				t.Fatal(result.Outcome, err)
			}
		}
		if n := codectest.Allocs(run); n > 1 {
			t.Errorf("%s: %v allocations, want the new message alone", p.src, n)
		}
	}
}

func TestRunIsAsStrictAsDecode(t *testing.T) {
	files := testFiles(t)
	c := mustMessage(t, files, "kinds.All")
	p := benchPlans[0].plan
	deep := ""
	for range 101 {
		deep = sized(3, deep)
	}
	for _, test := range []struct {
		name, data string
		limits     codec.Limits
	}{
		{"a tag alone", "\x08", codec.Limits{}},
		{"a string that is not UTF-8", "\x72\x01\xff", codec.Limits{}},
		{"field zero", "\x00\x01", codec.Limits{}},
		{"broken deep inside", sized(22, sized(3, "\x10")), codec.Limits{}},
		{"a broken entry", sized(24, "\x0a\x05"), codec.Limits{}},
		{"too deep", sized(17, deep), codec.Limits{}},
		{"deeper than allowed", sized(17, sized(3, sized(3, ""))), codec.Limits{Depth: 2}},
		{"too long", strings.Repeat("\x08\x01", 50), codec.Limits{Size: 99}},
		{"too many objects", strings.Repeat(sized(22, sized(4, "")), 1<<19), codec.Limits{}},
	} {
		got, err := c.Edit(nil, p, []byte(test.data), nil, test.limits)
		_, _, want := c.Decode([]byte(test.data), test.limits)
		if want == nil || err == nil || err.Error() != want.Error() || got.Outcome != plan.Unsure {
			t.Errorf("%s: %v %v, want %v", test.name, got.Outcome, err, want)
		}
	}
}

func TestWhatRunsOnTheWireNot(t *testing.T) {
	files := testFiles(t)
	c := mustMessage(t, files, "kinds.All")
	for name, data := range map[string]string{
		"a message in parts":       sized(17, sized(1, "a")) + sized(17, "\x10\x01"),
		"two cases of a oneof":     sized(27, "a") + varint(29, 1),
		"an Any":                   sized(34, sized(1, "x/kinds.Node")),
		"a field that comes twice": sized(14, "a") + sized(14, "b"),
	} {
		got, err := c.Edit(nil, benchPlans[0].plan, []byte(data), nil, codec.Limits{})
		if err != nil || got.Outcome != plan.Unsure {
			t.Errorf("%s: %v %v", name, got.Outcome, err)
		}
	}
}

func TestQueryReadsWhatIsNotChanged(t *testing.T) {
	files := testFiles(t)
	c := mustMessage(t, files, "kinds.All")
	data := []byte(wire(t, files, "kinds.All", benchText))
	p := &plan.Plan{
		Places: []plan.Place{{Children: []int{1}}, {Kind: plan.Member, Key: "node", Children: []int{2}}, {Parent: 1, Kind: plan.Member, Key: "name"}},
		Result: &plan.Expr{Op: plan.Read, Place: 2},
	}
	if v, outcome, err := c.Query(p, data, nil, codec.Limits{}); v != "customer" || outcome != plan.Changed || err != nil {
		t.Errorf("%v %v %v", v, outcome, err)
	}
	if _, _, err := c.Query(p, []byte("\x08"), nil, codec.Limits{}); !errors.As(err, new(*codec.SyntaxError)) {
		t.Errorf("error %v", err)
	}
}
