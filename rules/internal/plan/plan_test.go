package plan

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

var testVariables = []string{"$now", "$v"}

func testValues() []any {
	return []any{1.5, map[string]any{"a": "x", "b": 1, "c": []any{1, "x"}, "d": nil}}
}

// slow is what a program makes of a text without a plan: none if it yields nothing.
func slow(t testing.TB, p *jq.Program, text []byte) (out []byte, none bool, err error) {
	v, original, err := json.Codec{}.Decode(text, codec.Limits{})
	if err != nil {
		return nil, false, err
	}
	var result any
	count := 0
	err = p.Run(context.Background(), v, testValues(), jq.Limits{}, time.Unix(0, 0), func(v any) error {
		result = v
		count++
		return nil
	})
	switch {
	case err != nil:
		return nil, false, err
	case count == 0:
		return nil, true, nil
	case count > 1:
		t.Fatalf("%d results", count)
	}
	out, err = json.Codec{}.Encode(original, result)
	return out, false, err
}

// tally counts how the programs and texts of a test went.
type tally struct{ compiled, refused, sure, unsure, failed int }

// differ compares a plan with its program on one text.
func differ(t testing.TB, r *json.Runner, src string, text []byte, n *tally) {
	p, problems := jq.Compile(src, testVariables)
	if len(problems) > 0 {
		return
	}
	fast, why := Compile([]Step{{JQ: src}}, testVariables)
	if (fast == nil) == (why == "") {
		t.Fatalf("%s: neither a plan nor a reason", src)
	}
	if fast == nil {
		n.refused++
		return
	}
	n.compiled++
	given := bytes.Clone(text)
	result, err := r.Run(fast, text, testValues(), codec.Limits{}, nil)
	if !bytes.Equal(given, text) {
		t.Fatalf("%s: changed its input %q to %q", src, given, text)
	}
	want, none, wantErr := slow(t, p, text)
	var syntax *codec.SyntaxError
	if errors.As(wantErr, &syntax) || errors.Is(wantErr, codec.ErrTooLarge) {
		if err == nil && result.Outcome != json.Unsure || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%s on %q: got %v %v, want %v", src, text, result.Outcome, err, wantErr)
		}
		n.failed++
		return
	}
	if err != nil {
		t.Fatalf("%s on %q: %v", src, text, err)
	}
	switch result.Outcome {
	case json.Unsure:
		if wantErr != nil {
			n.failed++
		} else {
			n.unsure++
		}
		return
	case json.Nothing:
		if !none {
			t.Fatalf("%s on %q: got nothing, want %q %v", src, text, want, wantErr)
		}
	default:
		if wantErr != nil || none || !bytes.Equal(result.Data, want) {
			t.Fatalf("%s on %q:\n got %q\nwant %q %v", src, text, result.Data, want, wantErr)
		}
		if (result.Outcome == json.Unchanged) != bytes.Equal(text, want) {
			t.Fatalf("%s on %q: outcome %v", src, text, result.Outcome)
		}
	}
	n.sure++
}

// programs is how many are made: fewer where the run is short.
func programs() int {
	if testing.Short() {
		return 1_000
	}
	return 8_000
}

func TestPlansAreTheirPrograms(t *testing.T) {
	var r json.Runner
	var n tally
	random := rand.New(rand.NewPCG(1, 2))
	for range programs() {
		seed := make([]byte, 500)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		c := &choices{bytes: seed}
		src := c.program()
		for range 3 {
			differ(t, &r, src, []byte(c.text()), &n)
		}
	}
	t.Logf("%+v", n)
}

// FuzzPlan makes programs and texts of bytes and compares both routes.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, []byte{8, 9, 7, 9, 3, 2, 3, 8, 4, 6})
	var r json.Runner
	f.Fuzz(func(t *testing.T, program, text []byte) {
		var n tally
		differ(t, &r, (&choices{bytes: program}).program(), []byte((&choices{bytes: text}).text()), &n)
	})
}
