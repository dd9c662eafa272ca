package rules_test

import (
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

func TestARouteSaysWhatOfItIsSlow(t *testing.T) {
	for text, want := range map[string][]rules.Slow{
		"match: {where: '.query.a == \"1\"'}\nrequest: [{jq: .a = 1}, {when: '$request.method == \"GET\"', head: .query.b = \"1\"}]\nupstream: {breaker: {failure: .body.error != null}}": nil,
		"match: {where: '.query | keys | length > 1'}":                          {{Of: "match.where", Why: "calls keys/0"}},
		"request: [{jq: walk(.)}]":                                              {{Of: "request", Why: "calls walk/1", Value: true}},
		"response: [{when: '.headers | keys == []', head: .status = 204}]":      {{Of: "response[0].when", Why: "calls keys/0"}},
		"request: [{when: '$request | keys == []', reject: {}}]":                {{Of: "request[0].when", Why: "calls keys/0"}},
		"request: [{when: '.a | keys == []', reject: {}}]":                      {{Of: "request", Why: "calls keys/0", Value: true}},
		"request: [{head: '.query.a = $body.a'}, {jq: .b = 1}]":                 {{Of: "request", Why: "request[0].head: its head waits for the message", Value: true}},
		"upstream: {breaker: {failure: '.body | keys == []', trip: 'all > 3'}}": {{Of: "upstream.breaker.failure", Why: "calls keys/0", Value: true}, {Of: "upstream.breaker.trip", Why: "calls all/0"}},
		"upstream: {breaker: {failure: '.headers | keys == []'}}":               {{Of: "upstream.breaker.failure", Why: "calls keys/0"}},
		"limits: {steps: 10}\nupstream: {breaker: {}}":                          {{Of: "upstream.breaker.failure", Why: "limits.steps is low"}, {Of: "upstream.breaker.trip", Why: "limits.steps is low"}},
	} {
		if got := compile(t, "a", text).Routes()[0].Slow(); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
}
