package plan

import (
	"bytes"
	"context"
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

// slow is what steps make of data without a plan.
func slow(of codec.Codec, steps []step, data []byte) (result plan.Result, malformed bool, err error) {
	v, original, err := of.Decode(data, codec.Limits{})
	if err != nil {
		return plan.Result{}, true, err
	}
	ran := uint64(0)
	for i, s := range steps {
		if s.when != nil {
			holds, count, err := results(s.when, v)
			if err != nil || count != 1 || holds != true && holds != false {
				return plan.Result{}, false, fmt.Errorf("no condition: %w", err)
			}
			if holds == false {
				continue
			}
		}
		if s.Stop {
			return plan.Result{Outcome: plan.Stopped, Stop: i, Ran: ran}, false, nil
		}
		ran |= 1 << i
		after, count, err := results(s.jq, v)
		if err != nil || count > 1 {
			return plan.Result{}, false, fmt.Errorf("no result: %w", err)
		}
		v = after
		if count == 0 {
			return plan.Result{Outcome: plan.Nothing, Ran: ran}, false, nil
		}
	}
	out, err := of.Encode(original, v)
	result = plan.Result{Outcome: plan.Changed, Data: out, Ran: ran}
	if bytes.Equal(out, data) {
		result.Outcome = plan.Unchanged
	}
	return result, false, err
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

// differ compares the plan of steps with their programs on one payload.
func differ(t testing.TB, of plan.Editor, given []Step, data []byte, n *tally) {
	var steps []step
	for _, s := range given {
		made := step{Step: s}
		if s.When != "" {
			if made.when = programOf(s.When); made.when == nil {
				return
			}
		}
		if !s.Stop {
			if made.jq = programOf(s.JQ); made.jq == nil {
				return
			}
		}
		steps = append(steps, made)
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
	copied := bytes.Clone(data)
	got, err := of.Edit(nil, p, data, testValues(), codec.Limits{})
	if !bytes.Equal(copied, data) {
		t.Fatalf("%+v: changed its input %q to %q", given, copied, data)
	}
	want, malformed, wantErr := slow(of, steps, data)
	switch {
	case malformed:
		if err == nil && got.Outcome != plan.Unsure || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%+v on %q: got %v %v, want %v", given, data, got.Outcome, err, wantErr)
		}
		n.failed++
	case err != nil:
		t.Fatalf("%+v on %q: %v", given, data, err)
	case got.Outcome == plan.Unsure && wantErr != nil:
		n.failed++
	case got.Outcome == plan.Unsure:
		n.unsure++
	case wantErr != nil || got.Outcome != want.Outcome || got.Stop != want.Stop || got.Ran != want.Ran || !bytes.Equal(got.Data, want.Data):
		v, _, _ := of.Decode(data, codec.Limits{})
		t.Fatalf("%+v on %q, which is %s:\n got %+v %q\nwant %+v %q %v", given, data, json.AppendCompact(nil, v), got, got.Data, want, want.Data, wantErr)
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
			differ(t, json.Codec{}, steps, []byte(c.text()), &n)
		}
	}
	t.Logf("%+v", n)
}

// differValue compares a plan of a value with its program on one payload.
func differValue(t testing.TB, of plan.Editor, src string, data []byte, n *tally) {
	p, why := Value(src, testVariables)
	differQuery(t, of, src, p, why, data, testValues(), n, func(v any) any { return v })
}

// differQuery compares the value of p, which is not there for the reason why,
// with that of its program on what input makes of the value of data.
func differQuery(t testing.TB, of plan.Editor, src string, p *plan.Plan, why string, data []byte, vars []any, n *tally, input func(v any) any) {
	program := programOf(src)
	if (p == nil) == (why == "") {
		t.Fatalf("%s: neither a plan nor a reason", src)
	}
	if p == nil || program == nil {
		n.refused++
		return
	}
	n.compiled++
	got, outcome, err := of.Query(p, data, vars, codec.Limits{})
	v, _, wantErr := of.Decode(data, codec.Limits{})
	if wantErr != nil {
		if err == nil && outcome != plan.Unsure || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%s on %q: got %v %v, want %v", src, data, outcome, err, wantErr)
		}
		n.failed++
		return
	}
	want, count, wantErr := results(program, input(v))
	switch {
	case err != nil:
		t.Fatalf("%s on %q: %v", src, data, err)
	case outcome == plan.Unsure && wantErr != nil:
		n.failed++
	case outcome == plan.Unsure:
		n.unsure++
	case wantErr != nil || count != 1 || !same(got, want):
		t.Fatalf("%s on %q with %v: got %v, want %v %v", src, data, vars, got, want, wantErr)
	default:
		n.sure++
	}
}

// same reports whether two values are written alike.
func same(a, b any) bool {
	return bytes.Equal(json.AppendCompact(nil, a), json.AppendCompact(nil, b))
}

func TestValuesAreTheirPrograms(t *testing.T) {
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
			differValue(t, json.Codec{}, src, []byte(c.text()), &n)
		}
	}
	t.Logf("%+v", n)
}

func TestExpressionsMatchAsInTheirPrograms(t *testing.T) {
	var n tally
	for _, re := range []string{`a`, `a*`, ``, `^`, `$`, `\\b`, `x|`, `(a)(b)?`, `é`, `.`, `[^a]`, `A+?`, `a|ab`, `\\s*`, `(?<n>b)`} {
		for _, s := range []string{``, `a`, `aab`, `ba aab`, `a\nab`, `éaéA`, ` x `, `\ud800a`} {
			for _, flags := range []string{``, `; "g"`, `; "i"`, `; "gi"`} {
				for _, f := range []string{`test("` + re + `"` + flags, `sub("` + re + `"; "-"` + flags, `gsub("` + re + `"; ""` + flags} {
					differValue(t, json.Codec{}, f+")", []byte(`"`+s+`"`), &n)
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
	f.Fuzz(func(t *testing.T, program, text []byte) {
		var n tally
		differValue(t, json.Codec{}, (&choices{bytes: program}).cond(), []byte((&choices{bytes: text}).text()), &n)
		differ(t, json.Codec{}, (&choices{bytes: program}).steps(), []byte((&choices{bytes: text}).text()), &n)
	})
}
