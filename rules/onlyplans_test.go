package rules

import (
	"reflect"
	"testing"
)

// What a route can do beyond plans takes its calls another way, so a new field of
// a Route is either asked for by OnlyPlans or has no say in what happens.
func TestOnlyPlansAsksForAllThatARouteDoes(t *testing.T) {
	asked := map[string]bool{"request": true, "response": true, "trailers": true, "timeout": true, "breaker": true, "format": true, "upstreamFormat": true, "redact": true, "rateLimit": true, "fault": true}
	noSay := map[string]bool{"name": true, "off": true, "shadow": true, "match": true, "onError": true, "limits": true, "position": true, "cases": true, "outbound": true}
	if !new(Route).OnlyPlans() {
		t.Error("a route that does nothing does only plans")
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Route]()) {
		if asked[f.Name] == noSay[f.Name] {
			t.Errorf("rules.Route has a new field %s: does OnlyPlans have to ask for it?", f.Name)
		}
	}
}
