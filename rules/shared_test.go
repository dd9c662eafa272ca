package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

// shareSet has shared files, and a route for each direction and one for both.
func shareSet(t *testing.T) *rules.Set {
	t.Helper()
	set, problems := rules.Compile([]rules.File{
		{Name: "rules/z.yaml", Text: []byte("match: {http: /both}\nrequest: [{jq: .own = true}]\nlimits: {steps: 77}\n")},
		{Name: "rules/_all.yaml", Text: []byte("request: [{jq: .all = 1}]\nresponse: [{head: '.headers[\"x-all\"] = \"1\"'}]\nlimits: {body: 1KiB, message: 1KiB}\non_error: pass\n")},
		{Name: "rules/_inbound.yaml", Text: []byte("request:\n  - when: .stop\n    reject: {status: 418}\nlimits: {body: 2KiB, steps: 55}\n")},
		{Name: "rules/_outbound.yaml", Text: []byte("request: [{jq: .out = .all}]\non_error: reject\n")},
		{Name: "rules/in.yaml", Text: []byte("match: {direction: inbound, http: /in}\n")},
		{Name: "rules/out.yaml", Text: []byte("match: {direction: outbound, http: /out}\non_error: pass\n")},
	})
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	return set
}

func matched(t *testing.T, set *rules.Set, d rules.Direction, path string) (*rules.Route, *rules.Request) {
	t.Helper()
	q := &rules.Request{Direction: d, Head: &rules.Head{Method: "POST", Path: path, Host: "x"}, ID: "1"}
	m, err := set.Match(t.Context(), q, instant)
	if err != nil {
		t.Fatal(err)
	}
	return m.Route, q
}

func TestSharedFilesRunBeforeTheOwnOfEveryMatchedRoute(t *testing.T) {
	set := shareSet(t)
	if names := set.Routes(); len(names) != 3 {
		t.Errorf("routes: %v", names)
	}
	for _, test := range []struct {
		direction  rules.Direction
		path, want string
	}{
		{rules.Inbound, "/both", `z pass 2048 1024 77: _all.request[0].jq ran, _inbound.request[0].reject when_false, request[0].jq ran: map[all:1 own:true stop:false]`},
		{rules.Outbound, "/both", `z reject 1024 1024 77: _all.request[0].jq ran, _outbound.request[0].jq ran, request[0].jq ran: map[all:1 out:1 own:true stop:false]`},
		{rules.Inbound, "/in", `in pass 2048 1024 55: _all.request[0].jq ran, _inbound.request[0].reject when_false: map[all:1 stop:false]`},
		{rules.Outbound, "/out", `out pass 1024 1024 5000000: _all.request[0].jq ran, _outbound.request[0].jq ran: map[all:1 out:1 stop:false]`},
	} {
		r, q := matched(t, set, test.direction, test.path)
		if r == nil {
			t.Errorf("%s %s: no route", test.direction, test.path)
			continue
		}
		out, err := r.Request().Run(t.Context(), rules.In{Request: q, Head: q.Head, Now: instant, Body: rules.Body{Value: map[string]any{"stop": false}}})
		if err != nil {
			t.Error(err)
			continue
		}
		var steps []string
		for _, s := range out.Steps {
			steps = append(steps, s.Step+" "+s.Result)
		}
		l := r.Limits()
		got := fmt.Sprintf("%s %s %d %d %d: %s: %v", r.Name(), r.OnError(), l.Body, l.Message, l.Steps, strings.Join(steps, ", "), out.Messages[0])
		if got != test.want {
			t.Errorf("%s %s:\n got %s\nwant %s", test.direction, test.path, got, test.want)
		}
		if r.Response() == nil {
			t.Errorf("%s %s: no step of the response", test.direction, test.path)
		}
	}
	if r, _ := matched(t, set, rules.Inbound, "/other"); r != nil {
		t.Errorf("what no route matches has route %s", r.Name())
	}
}

// A reject of a shared file answers with the name of its file, and counts where a
// dial that was refused has to wait for the head.
func TestSharedFilesReject(t *testing.T) {
	set := shareSet(t)
	r, q := matched(t, set, rules.Inbound, "/both")
	out, err := r.Request().Run(t.Context(), rules.In{Request: q, Head: q.Head, Now: instant, Body: rules.Body{Value: map[string]any{"stop": true}}})
	if err != nil || out.Reject == nil || out.Reject.Step != "_inbound.request[0].reject" || out.Reject.Status != 418 {
		t.Errorf("got %+v, %v", out.Reject, err)
	}
	if !set.CanAnswer(rules.Inbound, 80) || set.CanAnswer(rules.Outbound, 80) {
		t.Error("only inbound exchanges can be answered")
	}
	_, err = r.Request().Run(t.Context(), rules.In{Request: q, Head: q.Head, Now: instant, Body: rules.Body{Value: map[string]any{"stop": 7}}})
	if err == nil || err.Error() != "z/_inbound.request[0].when: not_boolean" {
		t.Errorf("error: %v", err)
	}
}

// Steps of shared files are part of the one plan of a route.
func TestSharedFilesAreInTheRoutesPlan(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "_outbound.yaml", Text: []byte("request:\n  - jq: reduce .[] as $x (.; .)\n")},
		{Name: "_all.yaml", Text: []byte("request: [{jq: del(.password)}]\n")},
		{Name: "a.yaml", Text: []byte("request: [{jq: .a = 1}]\n")},
	})
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	for direction, planned := range map[rules.Direction]bool{rules.Inbound: true, rules.Outbound: false} {
		r, _ := matched(t, set, direction, "/")
		if why := r.Request().Why(); (why == "") != planned {
			t.Errorf("%s: %q", direction, why)
		}
	}
}
