package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/rules/internal/jq"
)

var testVariables = []string{"$now", "$v"}

func testValues() []any {
	return []any{1.5, map[string]any{"a": "x", "b": 1, "c": []any{1, "x"}, "d": nil}}
}

// step is a [Step] with its programs.
type step struct {
	Step
	when, jq *jq.Program
}

// programOf compiles src, nil if it is empty or no program.
func programOf(src string) *jq.Program {
	p, _ := jq.Compile(src, testVariables)
	return p
}

// slow is what steps make of a text without a plan.
func slow(steps []step, text []byte) (plan.Result, error) {
	v, original, err := json.Codec{}.Decode(text, codec.Limits{})
	if err != nil {
		return plan.Result{}, err
	}
	ran := uint64(0)
	for i, s := range steps {
		if s.when != nil {
			holds, count, err := results(s.when, v)
			if err != nil || count != 1 || holds != true && holds != false {
				return plan.Result{}, fmt.Errorf("no condition: %w", err)
			}
			if holds == false {
				continue
			}
		}
		if s.Stop {
			return plan.Result{Outcome: plan.Stopped, Stop: i, Ran: ran}, nil
		}
		ran |= 1 << i
		after, count, err := results(s.jq, v)
		if err != nil || count > 1 {
			return plan.Result{}, fmt.Errorf("no result: %w", err)
		}
		v = after
		if count == 0 {
			return plan.Result{Outcome: plan.Nothing, Ran: ran}, nil
		}
	}
	out, err := json.Codec{}.Encode(original, v)
	result := plan.Result{Outcome: plan.Changed, Data: out, Ran: ran}
	if bytes.Equal(out, text) {
		result.Outcome = plan.Unchanged
	}
	return result, err
}

func results(p *jq.Program, v any) (last any, count int, err error) {
	err = p.Run(context.Background(), v, testValues(), jq.Limits{}, time.Unix(0, 0), func(v any) error {
		last = v
		count++
		return nil
	})
	return last, count, err
}

// tally counts how the programs and texts of a test went.
type tally struct{ compiled, refused, sure, unsure, failed int }

// differ compares the plan of steps with their programs on one text.
func differ(t testing.TB, r *json.Runner, given []Step, text []byte, n *tally) {
	var steps []step
	for _, s := range given {
		of := step{Step: s}
		if s.When != "" {
			if of.when = programOf(s.When); of.when == nil {
				return
			}
		}
		if !s.Stop {
			if of.jq = programOf(s.JQ); of.jq == nil {
				return
			}
		}
		steps = append(steps, of)
	}
	p, why := Compile(given, testVariables)
	if (p == nil) == (why == "") {
		t.Fatalf("%+v: neither a plan nor a reason", given)
	}
	if p == nil {
		n.refused++
		return
	}
	n.compiled++
	copied := bytes.Clone(text)
	got, err := r.Run(p, text, testValues(), codec.Limits{}, nil)
	if !bytes.Equal(copied, text) {
		t.Fatalf("%+v: changed its input %q to %q", given, copied, text)
	}
	want, wantErr := slow(steps, text)
	var syntax *codec.SyntaxError
	switch {
	case errors.As(wantErr, &syntax) || errors.Is(wantErr, codec.ErrTooLarge):
		if err == nil && got.Outcome != plan.Unsure || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%+v on %q: got %v %v, want %v", given, text, got.Outcome, err, wantErr)
		}
		n.failed++
	case err != nil:
		t.Fatalf("%+v on %q: %v", given, text, err)
	case got.Outcome == plan.Unsure && wantErr != nil:
		n.failed++
	case got.Outcome == plan.Unsure:
		n.unsure++
	case wantErr != nil || got.Outcome != want.Outcome || got.Stop != want.Stop || got.Ran != want.Ran || !bytes.Equal(got.Data, want.Data):
		t.Fatalf("%+v on %q:\n got %+v %q\nwant %+v %q %v", given, text, got, got.Data, want, want.Data, wantErr)
	default:
		n.sure++
	}
}

// programs is how many are made: fewer where the run is short.
func programs() int {
	if testing.Short() {
		return 1_000
	}
	return 3_000
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
		steps := c.steps()
		for range 3 {
			differ(t, &r, steps, []byte(c.text()), &n)
		}
	}
	t.Logf("%+v", n)
}

// differValue compares a plan of a value with its program on one text.
func differValue(t testing.TB, r *json.Runner, src string, text []byte, n *tally) {
	program := programOf(src)
	p, why := Value(src, testVariables)
	if (p == nil) == (why == "") {
		t.Fatalf("%s: neither a plan nor a reason", src)
	}
	if p == nil || program == nil {
		n.refused++
		return
	}
	n.compiled++
	got, outcome, err := r.Eval(p, text, testValues(), codec.Limits{})
	v, _, wantErr := json.Codec{}.Decode(text, codec.Limits{})
	if wantErr != nil {
		if err == nil && outcome != plan.Unsure || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%s on %q: got %v %v, want %v", src, text, outcome, err, wantErr)
		}
		n.failed++
		return
	}
	want, count, wantErr := results(program, v)
	switch {
	case err != nil:
		t.Fatalf("%s on %q: %v", src, text, err)
	case outcome == plan.Unsure && wantErr != nil:
		n.failed++
	case outcome == plan.Unsure:
		n.unsure++
	case wantErr != nil || count != 1 || !same(got, want):
		t.Fatalf("%s on %q: got %v, want %v %v", src, text, got, want, wantErr)
	default:
		n.sure++
	}
}

// same reports whether two values are written alike.
func same(a, b any) bool {
	return bytes.Equal(json.AppendCompact(nil, a), json.AppendCompact(nil, b))
}

func TestValuesAreTheirPrograms(t *testing.T) {
	var r json.Runner
	var n tally
	random := rand.New(rand.NewPCG(3, 4))
	for range programs() {
		seed := make([]byte, 400)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		c := &choices{bytes: seed}
		src := c.cond()
		if c.of(2) == 1 {
			src = c.expr()
		}
		for range 3 {
			differValue(t, &r, src, []byte(c.text()), &n)
		}
	}
	t.Logf("%+v", n)
}

func TestExpressionsMatchAsInTheirPrograms(t *testing.T) {
	var r json.Runner
	var n tally
	for _, re := range []string{`a`, `a*`, ``, `^`, `$`, `\\b`, `x|`, `(a)(b)?`, `é`, `.`, `[^a]`, `A+?`, `a|ab`, `\\s*`, `(?<n>b)`} {
		for _, s := range []string{``, `a`, `aab`, `ba aab`, `a\nab`, `éaéA`, ` x `, `\ud800a`} {
			for _, flags := range []string{``, `; "g"`, `; "i"`, `; "gi"`} {
				for _, f := range []string{`test("` + re + `"` + flags, `sub("` + re + `"; "-"` + flags, `gsub("` + re + `"; ""` + flags} {
					differValue(t, &r, f+")", []byte(`"`+s+`"`), &n)
				}
			}
		}
	}
	if n.sure < n.compiled*9/10 {
		t.Errorf("%+v", n)
	}
}

// FuzzPlan makes programs and texts of bytes and compares both routes.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, []byte{8, 9, 7, 9, 3, 2, 3, 8, 4, 6})
	var r json.Runner
	f.Fuzz(func(t *testing.T, program, text []byte) {
		var n tally
		differValue(t, &r, (&choices{bytes: program}).cond(), []byte((&choices{bytes: text}).text()), &n)
		differ(t, &r, (&choices{bytes: program}).steps(), []byte((&choices{bytes: text}).text()), &n)
	})
}
