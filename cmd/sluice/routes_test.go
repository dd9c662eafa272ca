package main

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/admin"
)

func TestARouteSaysWhichOfItsStepsAreSlow(t *testing.T) {
	var out strings.Builder
	r := &admin.Route{Name: "sums", File: "rules/a.yaml", Line: 1, Response: true, OnError: "reject", Slow: []admin.SlowSteps{{Of: "response", Why: "uses reduce"}}}
	if err := writeRoute(&out, r); err != nil {
		t.Fatal(err)
	}
	if want := "response  needs the message's value: uses reduce\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %s", out.String())
	}
}
