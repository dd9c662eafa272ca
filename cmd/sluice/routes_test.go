package main

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/admin"
)

func TestARouteSaysWhatOfItIsSlow(t *testing.T) {
	var out strings.Builder
	r := &admin.Route{Name: "sums", File: "rules/a.yaml", Line: 1, Response: true, OnError: "reject", Slow: []admin.Slow{
		{Of: "response", Why: "uses reduce", Value: true}, {Of: "match.where", Why: "calls keys/0"},
	}}
	if err := writeRoute(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"response     needs the message's value: uses reduce\n", "match.where  runs as jq: calls keys/0\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %s", out.String(), want)
		}
	}
}
