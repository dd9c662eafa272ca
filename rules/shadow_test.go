package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/rules"
)

func TestRoutesInShadowAreFoundBesideThoseThatAct(t *testing.T) {
	for _, tt := range []struct {
		name, request, service, method string
		files                          []string
		want                           string // acts, shadow
	}{
		{"alone", "GET /a", "", "", []string{"s", `{mode: shadow, match: {http: /a}}`}, "- s"},
		{"beside one of the same pattern", "GET /a", "", "", []string{"a", `{match: {http: /a}}`, "s", `{mode: shadow, match: {http: /a}}`}, "a s"},
		{"more specific", "GET /a", "", "", []string{"a", `{match: {http: /}}`, "s", `{mode: shadow, match: {http: /a}}`}, "a s"},
		{"less specific", "GET /a", "", "", []string{"a", `{match: {http: /a}}`, "s", `{mode: shadow, match: {http: /}}`}, "a s outranked"},
		{"less specific than one that is passed over", "GET /a", "", "", []string{"a", `{match: {http: /a, port: 1}}`, "s", `{mode: shadow, match: {http: /}}`}, "- s"},
		{"of fewer conditions", "GET /a\nx-a: 1", "", "", []string{"a", `{match: {http: /a, headers: {x-a: "*"}}}`, "s", `{mode: shadow, match: {http: /a}}`}, "a s outranked"},
		{"of more conditions", "GET /a\nx-a: 1", "", "", []string{"a", `{match: {http: /a}}`, "s", `{mode: shadow, match: {http: /a, headers: {x-a: "*"}}}`}, "a s"},
		{"crossing patterns", "GET /a/b", "", "", []string{"a", `{match: {http: "/{x}/b"}}`, "s", `{mode: shadow, match: {http: "/a/{y}"}}`}, "a s"},
		{"two in shadow", "GET /a", "", "", []string{"r", `{mode: shadow, match: {http: /}}`, "s", `{mode: shadow, match: {http: /a}}`}, "- s"},
		{"other conditions", "GET /a", "", "", []string{"s", `{mode: shadow, match: {http: /a, port: 1}}`}, "- -"},
		{"a failing where", "GET /a", "", "", []string{"s", `{mode: shadow, match: {http: /a, where: '.path | tonumber > 1'}}`}, "- s failed"},
		{"a gRPC call", "POST /p.S/M", "p.S", "M", []string{"a", `{match: {grpc: p.S/*}}`, "s", `{mode: shadow, match: {grpc: p.S/M}}`}, "a s"},
		{"a less specific gRPC pattern", "POST /p.S/M", "p.S", "M", []string{"a", `{match: {grpc: p.S/M}}`, "s", `{mode: shadow, match: {grpc: "*"}}`}, "a s outranked"},
		{"behind gRPC", "POST /p.S/M", "p.S", "M", []string{"a", `{match: {grpc: "*"}}`, "s", `{mode: shadow, match: {http: /p.S/M}}`}, "a s outranked"},
		{"before http", "POST /p.S/M", "p.S", "M", []string{"a", `{match: {http: /p.S/M}}`, "s", `{mode: shadow, match: {grpc: "*"}}`}, "a s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := compile(t, tt.files...)
			q, _ := request(t, []byte(tt.request))
			q.Service, q.Method = tt.service, tt.method
			now := time.Unix(1, 0)
			m, err := set.Match(t.Context(), q, now)
			if err != nil {
				t.Fatal(err)
			}
			shadow, outranked, err := set.Shadow(t.Context(), q, now, m.Route)
			words := []string{nameOf(m.Route), nameOf(shadow.Route)}
			if outranked {
				words = append(words, "outranked")
			}
			if err != nil {
				words = append(words, "failed")
			}
			if got := strings.Join(words, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			for _, r := range set.Routes() {
				if r.Shadow() && r.Touches(rules.Inbound, 8080) {
					t.Error("a route in shadow touches exchanges")
				}
			}
			if !set.Shadows(rules.Inbound, 8080) && shadow.Route != nil {
				t.Error("a set with a route in shadow says that it has none")
			}
			var fates []string
			for _, c := range set.Candidates(t.Context(), q, now, m, nil) {
				if c.Route.Shadow() {
					fates = append(fates, fmt.Sprintf("%s %s %s", c.Route.Name(), c.Fate, c.Why))
				}
			}
			if outranked == strings.Contains(strings.Join(fates, "\n"), "s shadow") && shadow.Route != nil && err == nil {
				t.Errorf("the candidates are %q", fates)
			}
		})
	}
}

func TestASetWithoutShadowsSaysSo(t *testing.T) {
	set := compile(t, "a", `{match: {http: /a}}`, "b", `{mode: "off", match: {http: /b}}`)
	if set.Shadows(rules.Inbound, 8080) {
		t.Error("it has none")
	}
	q, _ := request(t, []byte("GET /a"))
	m, _, err := set.Shadow(t.Context(), q, time.Unix(1, 0), nil)
	if m.Route != nil || err != nil {
		t.Errorf("got %v, %v", m.Route, err)
	}
}

func TestARouteInShadowIsInConflictOnlyWithOthersInShadow(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "rules/a.yaml", Text: []byte(`{match: {http: /a}}`)},
		{Name: "rules/b.yaml", Text: []byte(`{mode: shadow, match: {http: /a}}`)},
	})
	if set == nil || len(problems) > 0 {
		t.Errorf("beside one that acts: %v", problems)
	}
	set, problems = rules.Compile([]rules.File{
		{Name: "rules/a.yaml", Text: []byte(`{mode: shadow, match: {http: /a}}`)},
		{Name: "rules/b.yaml", Text: []byte(`{mode: shadow, match: {http: /a}}`)},
	})
	if set != nil || len(problems) != 1 || problems[0].Code != "route-conflict" {
		t.Errorf("two in shadow: %v", problems)
	}
}

func nameOf(r *rules.Route) string {
	if r == nil {
		return "-"
	}
	return r.Name()
}
