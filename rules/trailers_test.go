package rules_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

// TestTrailersSteps runs programs over the trailers of a call, or of another
// response, one "name: value" a word.
func TestTrailersSteps(t *testing.T) {
	const call = "grpc-status:5 grpc-message:none%20of%20%25 X-Sum:1 x-sum:2 x-bin-bin:AAE"
	for _, test := range []struct {
		name, in, steps string
		grpc            bool
		want            string // or the reason and cause of the failure
	}{
		{"the same", call, `[{jq: .}]`, true, call},
		{"sees names and plain text", call, `[{when: '. == {grpc_status: "NOT_FOUND", grpc_message: "none of %", "x-sum": "1, 2", "x-bin-bin": "AAE"}', jq: '{grpc_status}'}]`, true, "grpc-status:5"},
		{"sees no message as an empty one", "grpc-status:0", `[{jq: '.seen = .grpc_message + "!"'}]`, true, "grpc-status:0 seen:!"},
		{"adds", call, `[{jq: '.["x-cost"] = "7"'}]`, true, call + " x-cost:7"},
		{"adds a number", "", `[{jq: '.["x-cost"] = 7'}]`, false, "x-cost:7"},
		{"adds repeats", "", `[{jq: '.["x-cost"] = ["7", "8"]'}]`, false, "x-cost:7 x-cost:8"},
		{"replaces repeats in their place", call, `[{jq: '.["x-sum"] = "3"'}]`, true, "grpc-status:5 grpc-message:none%20of%20%25 X-Sum:3 x-bin-bin:AAE"},
		{"removes", call, `[{jq: 'del(.["x-sum"])'}]`, true, "grpc-status:5 grpc-message:none%20of%20%25 x-bin-bin:AAE"},
		{"a status by name", call, `[{jq: '.grpc_status = "UNAVAILABLE"'}]`, true, strings.Replace(call, ":5", ":14", 1)},
		{"a status by number", call, `[{jq: '.grpc_status = 0'}]`, true, strings.Replace(call, ":5", ":0", 1)},
		{"a status that nobody has stays", "grpc-status:99", `[{when: '.grpc_status == "UNKNOWN"', jq: '.a = "b"'}]`, true, "grpc-status:99 a:b"},
		{"a message", "grpc-status:5", `[{jq: '.grpc_message = "50 % ä"'}]`, true, "grpc-status:5 grpc-message:50 %25 %C3%A4"},
		{"no message", call, `[{jq: '.grpc_message = ""'}]`, true, "grpc-status:5 X-Sum:1 x-sum:2 x-bin-bin:AAE"},
		{"a plus is one", "grpc-status:5 grpc-message:1+1", `[{when: '.grpc_message == "1+1"', jq: '.a = .grpc_message'}]`, true, "grpc-status:5 grpc-message:1+1 a:1+1"},
		{"one after the other", call, `[{jq: '.a = "1"'}, {when: '.a == "1"', jq: '{grpc_status, a}'}, {when: '.["x-sum"] != null', jq: '.b = "1"'}]`, true, "grpc-status:5 a:1"},
		{"variables", call, `[{jq: '.a = "\($request.method) \($response.status) \($now)"'}]`, true, call + " a:POST 200 1767323045.5"},
		{"what is no call", "grpc-status:5 b:1", `[{jq: '.a = .["grpc-status"]'}]`, false, "grpc-status:5 b:1 a:5"},

		{"no status", call, `[{jq: 'del(.grpc_status)'}]`, true, "bad_trailers: no possible trailers: grpc_status is no status of gRPC"},
		{"another status", call, `[{jq: '.grpc_status = "LOST"'}]`, true, "bad_trailers: no possible trailers: grpc_status is no status of gRPC"},
		{"a status above all", call, `[{jq: '.grpc_status = 17'}]`, true, "bad_trailers: no possible trailers: grpc_status is no status of gRPC"},
		{"a message that is none", call, `[{jq: '.grpc_message = 1'}]`, true, "bad_trailers: no possible trailers: grpc_message is no text"},
		{"the field of the status", call, `[{jq: '.["grpc-status"] = "1"'}]`, true, "bad_trailers: no possible trailers: grpc-status is grpc_status here"},
		{"a status where there is none", "b:1", `[{jq: '.grpc_status = "OK"'}]`, false, "bad_trailers: no possible trailers: grpc_status is for calls of gRPC"},
		{"framing", call, `[{jq: '.["Transfer-Encoding"] = "chunked"'}]`, true, "bad_trailers: no possible trailers: transfer-encoding cannot stand behind a body"},
		{"content", "", `[{jq: '.["content-type"] = "text/html"'}]`, false, "bad_trailers: no possible trailers: content-type cannot stand behind a body"},
		{"conditions", "", `[{jq: '.["if-match"] = "x"'}]`, false, "bad_trailers: no possible trailers: if-match cannot stand behind a body"},
		{"no binary", call, `[{jq: '.["x-bin"] = "?"'}]`, true, "bad_trailers: no possible trailers: x-bin is not in base64"},
		{"a line's end", "", `[{jq: '.a = "b\r\nc: d"'}]`, false, "bad_trailers: no possible trailers: a: a value has a control character, or white space at an end"},
		{"no object", "", `[{jq: '[]'}]`, false, "bad_trailers: no possible trailers: the result is no object"},
		{"no result", "", `[{jq: empty}]`, false, "jq_no_result: no result"},
		{"many results", "", `[{jq: '., .'}]`, false, "jq_many_results: more than one result"},
		{"no condition", "", `[{when: '.a', jq: .}]`, false, "not_boolean: not one boolean"},
		{"an error", "", `[{jq: 'error("no")'}]`, false, "jq_error: no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, problems := rules.Compile([]rules.File{{Name: "rules/a.yaml", Text: fmt.Appendf(nil, "trailers: %s\n", test.steps)}})
			if set == nil {
				t.Fatal(formatProblems(problems))
			}
			fields := fieldsOf(test.in)
			before := slices.Clone(fields)
			left, reports, err := set.Routes()[0].Trailers().Run(t.Context(), rules.TrailersIn{
				Request: &rules.Request{Head: &rules.Head{Method: "POST"}}, Response: &rules.Head{Status: 200},
				Fields: fields, GRPC: test.grpc, Now: instant,
			})
			if !slices.Equal(fields, before) {
				t.Errorf("changed its input to %v", fields)
			}
			got := strings.TrimSpace(textOf(left))
			var failed *rules.StepError
			if errors.As(err, &failed) {
				got = fmt.Sprintf("%s: %v", failed.Reason, failed.Err)
				if reports[len(reports)-1].Result != "failed" {
					t.Errorf("reports %+v", reports)
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func fieldsOf(words string) rules.Fields {
	var fields rules.Fields
	for word := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(word, ":")
		fields = append(fields, rules.Field{Name: name, Value: value})
	}
	return fields
}

func textOf(fields rules.Fields) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + ":" + f.Value + " ")
	}
	return b.String()
}

// Trailers of all files run before a route's own, and say so.
func TestTrailersStepsOfSharedFiles(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "rules/_all.yaml", Text: []byte("trailers:\n  - jq: .order = \"all\"\n")},
		{Name: "rules/_outbound.yaml", Text: []byte("trailers:\n  - jq: .order += \" outbound\"\n")},
		{Name: "rules/a.yaml", Text: []byte("trailers:\n  - jq: .order += \" own\"\n")},
	})
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	for direction, want := range map[rules.Direction]string{
		rules.Inbound:  "order:all own  _all.trailers[0].jq trailers[0].jq",
		rules.Outbound: "order:all outbound own  _all.trailers[0].jq _outbound.trailers[0].jq trailers[0].jq",
	} {
		q := &rules.Request{Direction: direction, Head: &rules.Head{Method: "GET", Path: "/"}}
		m, err := set.Match(t.Context(), q, instant)
		if err != nil {
			t.Fatal(err)
		}
		left, reports, err := m.Route.Trailers().Run(t.Context(), rules.TrailersIn{Request: q, Response: &rules.Head{Status: 200}})
		got := textOf(left)
		for _, r := range reports {
			got += " " + r.Step
		}
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", direction, got, err, want)
		}
		for i, r := range m.Route.Trailers().Skip() {
			if r.Result != "skipped_trailers" || r.Step != reports[i].Step {
				t.Errorf("skipped as %+v", r)
			}
		}
	}
}
