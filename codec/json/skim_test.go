package json

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// skimmed are texts whose places of error lie where a skimmer of eight bytes
// at a time changes its step.
func skimmed() []string {
	texts := []string{
		`{"a":[1,-0.5e+3,true,false,null,"x\u00e9\n"],"b":{"c":{}}}`, `"\ud800\u0041"`, "\ufeff [ ] ", `[1,]`, `{"a":1,}`, `{"a"}`, `01`, `1.`, `1e`, `-`, `tru`, `nul`, `"`, `"\`, `"\u12`, `"\u12g4"`,
		"", " ", "[", "{", `{"a":`, "]", "1 2", "[1}", `{"a":1]`, strings.Repeat("[", 7) + strings.Repeat("]", 7), strings.Repeat(`{"a":[`, 70) + strings.Repeat("]}", 70),
		`{"a":{"a":{"a":1}}}`, `{"a":[{"a":1},{"b":2},3]}`, `{"\u0061":1,"a":2}`, `{"a":1,"a":`, `["` + strings.Repeat("9", 5000) + `",` + strings.Repeat("9", 5000) + `]`,
	}
	for n := range 20 {
		pad := strings.Repeat("x", n)
		for _, s := range []string{"\x00", "\x1f", "\t", "\xff", "é", "\xc3", `\"`, `\u00zz`, `\q`, "\x7f", "\u2028", "\xed\xa0\x80", "\xf4\x90\x80\x80", "é\\n\xc3"} {
			texts = append(texts, `"`+pad+s+`"`, `"`+pad+s+pad+`"`, `{"`+pad+s+`":1}`, `["`+pad+`", "`+s+"é"+pad+`"]`, `"`+pad+s)
		}
	}
	return texts
}

// everywhere is a plan that looks into all that there is.
func everywhere() *plan.Plan {
	return &plan.Plan{Places: []plan.Place{
		{Children: []int{1}}, {Kind: plan.Member, Key: "a", Children: []int{2}}, {Kind: plan.Every, Parent: 1, Children: []int{3}}, {Kind: plan.Member, Key: "a", Parent: 2},
	}}
}

// checkSkim compares the skimmer and a run with the decoder.
func checkSkim(t *testing.T, data []byte, depth int) {
	limits := codec.Limits{Depth: depth}
	_, _, err := Codec{}.Decode(data, limits)
	if got := skimDocument(data, depth); got != (err == nil) {
		t.Fatalf("skimming %q at depth %d: %v, but the decoder says %v", data, depth, got, err)
	}
	for _, p := range []*plan.Plan{everywhere(), {Places: []plan.Place{{}}}} {
		result, runErr := Codec{}.Edit(nil, p, data, nil, limits)
		switch {
		case len(p.Places) > 1 && runErr == nil && result.Outcome == plan.Unsure: // it did not have to read on
		case (runErr == nil) != (err == nil) || err != nil && runErr.Error() != err.Error():
			t.Fatalf("running on %q at depth %d: %v, but the decoder says %v", data, depth, runErr, err)
		case err == nil && result.Outcome != plan.Unsure && (result.Outcome != plan.Unchanged || !bytes.Equal(result.Data, data)):
			t.Fatalf("running nothing on %q made %q", data, result.Data)
		}
	}
}

func TestSkimmingIsAsStrictAsDecoding(t *testing.T) {
	for _, text := range skimmed() {
		for _, depth := range []int{1, 3, 64, 65, 139, 140, 512} {
			checkSkim(t, []byte(text), depth)
		}
	}
}

func FuzzSkim(f *testing.F) {
	for _, text := range skimmed() {
		f.Add([]byte(text), uint8(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, depth uint8) {
		checkSkim(t, data, int(depth)+1)
	})
}

func TestSizeIsLimited(t *testing.T) {
	_, err := Codec{}.Edit(nil, everywhere(), []byte(`{"a":[1]}`), nil, codec.Limits{Size: 8})
	_, _, want := Codec{}.Decode([]byte(`{"a":[1]}`), codec.Limits{Size: 8})
	if err == nil || err.Error() != want.Error() {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestManyPlacesAreNotForAPlan(t *testing.T) {
	text := []byte(`{"a":[` + strings.Repeat("1,", 1<<14) + `1]}`)
	result, err := Codec{}.Edit(nil, everywhere(), text, nil, codec.Limits{})
	if err != nil || result.Outcome != plan.Unsure {
		t.Errorf("outcome %v, error %v, want Unsure", result.Outcome, err)
	}
}
