package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

func redactOf(t *testing.T, text string) *rules.Redact {
	t.Helper()
	set, problems := rules.Compile([]rules.File{{Name: "rules/a.yaml", Text: []byte(text)}})
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	return set.Routes()[0].Redact()
}

func TestRedactHidesWhatItsPathsLeadTo(t *testing.T) {
	for _, test := range []struct{ paths, in, want string }{
		{".card.number", `{"card":{"number":"4111","name":"Ann"},"n":1}`, `{"card":{"name":"Ann","number":"[redacted]"},"n":1}`},
		{".card.number", `{"card":{},"n":1}`, `{"card":{},"n":1}`},
		{".card.number", `{"card":null}`, `{"card":null}`},
		{".card", `{"card":null}`, `{"card":"[redacted]"}`},
		{".card, .card.number", `{"card":{"number":1}}`, `{"card":"[redacted]"}`},
		{"'.items[].token'", `{"items":[{"token":1},{"x":2},{"token":[3]}]}`, `{"items":[{"token":"[redacted]"},{"x":2},{"token":"[redacted]"}]}`},
		{"'.items[-1]'", `{"items":[1,2]}`, `{"items":[1,"[redacted]"]}`},
		{"'.items[7]'", `{"items":[1,2]}`, `{"items":[1,2]}`},
		{"'.number[0:4]'", `{"number":"4111222"}`, `{"number":"[redacted]"}`},
		{"'.. | objects | .pin?'", `{"pin":1,"a":[{"pin":2,"b":{"pin":3}}]}`, `{"a":[{"b":{"pin":"[redacted]"},"pin":"[redacted]"}],"pin":"[redacted]"}`},
		{"'.items[] | select(.kind == \"pin\").value'", `{"items":[{"kind":"pin","value":1},{"kind":"x","value":2}]}`, `{"items":[{"kind":"pin","value":"[redacted]"},{"kind":"x","value":2}]}`},
		{".", `[1,2]`, `"[redacted]"`},
		{"'.password # the comment ends here'", `{"password":1}`, `{"password":"[redacted]"}`},
		{".password", `[{"password":1}]`, "redact: jq_error"},
		{".password", `"secret"`, "redact: jq_error"},
		{".password?", `["x"]`, `["x"]`},
		{"'recurse(.)'", `{}`, "redact: jq_budget"},
	} {
		in := new(any)
		if err := json.Unmarshal([]byte(test.in), in); err != nil {
			t.Fatal(err)
		}
		before, _ := json.Marshal(*in)
		r := redactOf(t, "redact: {body: ["+test.paths+"]}\nlimits: {steps: 20000}\n")
		out, err := r.Value(t.Context(), *in, instant)
		text, _ := json.Marshal(out)
		if err != nil {
			text = []byte(err.Error())
		}
		if string(text) != test.want {
			t.Errorf("%s of %s: got %s, want %s", test.paths, test.in, text, test.want)
		}
		if again, _ := json.Marshal(*in); string(again) != string(before) {
			t.Errorf("%s: the message became %s", test.paths, again)
		}
	}
}

func TestRedactHidesFieldsOfHeads(t *testing.T) {
	r := redactOf(t, "redact: {headers: [X-Session, x-card]}\n")
	in := &rules.Head{Method: "GET", Fields: rules.Fields{{Name: "x-a", Value: "1"}, {Name: "X-SESSION", Value: "s"}, {Name: "x-session", Value: "t"}}}
	out := r.Head(in)
	if out.Method != "GET" || out.Fields.Get("x-a") != "1" || strings.Join(out.Fields.Values("x-session"), " ") != "[redacted] [redacted]" {
		t.Errorf("got %+v", out)
	}
	if in.Fields.Get("x-session") != "s" {
		t.Error("the head itself was changed")
	}
	if r.HidesBody() || !r.HidesHeaders() || !r.HidesHeader("x-card") {
		t.Error("it does not say what it hides")
	}
	var none *rules.Redact
	if none.HidesBody() || none.HidesHeaders() || none.Head(in) != in || none.HidesHeader("x-card") {
		t.Error("nothing hides something")
	}
}

func TestRedactOfSharedFilesAddsUp(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "rules/_all.yaml", Text: []byte("redact: {headers: x-all, body: .all}\n")},
		{Name: "rules/_inbound.yaml", Text: []byte("redact: {body: .in}\n")},
		{Name: "rules/_outbound.yaml", Text: []byte("redact: {body: .out}\n")},
		{Name: "rules/own.yaml", Text: []byte("match: {http: /own}\nredact: {headers: [x-own], body: [.own]}\n")},
		{Name: "rules/none.yaml", Text: []byte("match: {http: /none}\n")},
	})
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	for _, test := range []struct {
		direction  rules.Direction
		path, want string
	}{
		{rules.Inbound, "/own", "[redacted] [redacted] in [redacted], x-all x-own"},
		{rules.Inbound, "/none", "[redacted] own in [redacted], x-all"},
		{rules.Outbound, "/own", "[redacted] [redacted] out [redacted], x-all x-own"},
		{rules.Outbound, "/none", "[redacted] own out [redacted], x-all"},
	} {
		r, _ := matched(t, set, test.direction, test.path)
		v, err := r.Redact().Value(t.Context(), map[string]any{"all": "all", "own": "own", "in": "in", "out": "out"}, instant)
		if err != nil {
			t.Fatal(err)
		}
		o := v.(map[string]any)
		other := map[rules.Direction]string{rules.Inbound: "in out", rules.Outbound: "out in"}[test.direction]
		hidden, shown, _ := strings.Cut(other, " ")
		got := strings.Join([]string{o["all"].(string), o["own"].(string), hidden, o[hidden].(string)}, " ") + ","
		for _, name := range []string{"x-all", "x-own"} {
			if r.Redact().HidesHeader(name) {
				got += " " + name
			}
		}
		if got != test.want || o[shown] != shown {
			t.Errorf("%s %s: got %s, want %s; %v", test.direction, test.path, got, test.want, o)
		}
	}
}
