package tap

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

func TestAnExplanationShowsNoSecrets(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "a.yaml", Text: []byte(`match: {headers: {authorization: Bearer s3cret}}`)},
		{Name: "b.yaml", Text: []byte("match: {http: /}\nrequest: [{head: '.headers[\"x-api-key\"] = \"s3cret\"'}]\n")},
	})
	if set == nil {
		t.Fatal(problems)
	}
	live := new(rules.Live)
	live.Swap(set)
	e, err := proxy.Explain(t.Context(), proxy.Config{Rules: live}, proxy.Question{
		Direction: rules.Inbound,
		Head:      &rules.Head{Method: "GET", Path: "/", Fields: rules.Fields{{Name: "Authorization", Value: "Bearer other-s3cret"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := string(Config{}.Explanation(t.Context(), e))
	for _, want := range []string{
		`"fate":"passed","why":"headers.authorization","want":"[redacted]","got":"[redacted]"`,
		`"after":{"headers":{"authorization":"[redacted]","x-api-key":"[redacted]"}}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "s3cret") {
		t.Errorf("a secret shows: %s", got)
	}
}
