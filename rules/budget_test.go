package rules

import (
	"strings"
	"testing"
	"time"
)

// All programs that meet one message share its steps: neither many steps nor many
// messages that a step makes of one are a way to more of them.
func TestStepsOfOneMessageShareTheirInstructions(t *testing.T) {
	const costly = "  - jq: (try error(0) catch .) as $x | last(range(200000))\n" // a third of them
	in := In{Request: &Request{Head: &Head{}}, Head: &Head{}, Now: time.Unix(0, 0)}
	for _, c := range []struct {
		name, text string
		phase      Phase
		failed     string
	}{
		{"two steps", "request:\n" + strings.Repeat(costly, 2), Whole, ""},
		{"ten steps", "request:\n" + strings.Repeat(costly, 10), Whole, "request[3].jq"},
		{"ten conditions", "request:\n" + strings.Repeat("  - when: (try error(0) catch .) as $x | last(range(200000)) < 0\n    reject: {status: 400}\n", 10), Whole, "request[3].when"},
		{"one step of two messages", "request:\n  - jq: 1, 2\n" + costly, StreamMessage, ""},
		{"one step of ten messages", "request:\n  - jq: range(10)\n" + costly, StreamMessage, "request[1].jq"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, problems := Compile([]File{{Name: "rules/x.yaml", Text: []byte(c.text)}})
			if set == nil {
				t.Fatal(problems)
			}
			in := in
			in.Phase = c.phase
			for range 2 { // each message has all of them
				_, err := set.Routes()[0].Request().Run(t.Context(), in)
				if c.failed == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				if step, ok := err.(*StepError); !ok || step.Reason != ReasonBudget || step.Step != c.failed {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
