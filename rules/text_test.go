package rules_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
)

// stepsOf compiles a route's request.
func stepsOf(t testing.TB, steps string) *rules.Steps {
	t.Helper()
	set, problems := rules.Compile([]rules.File{{Name: "rules/a.yaml", Text: []byte("match: {http: /}\nrequest:\n" + steps)}})
	if set == nil {
		t.Fatalf("%+v", problems)
	}
	return set.Routes()[0].Request()
}

func inputOf(now time.Time) rules.In {
	head := &rules.Head{Method: "POST", Path: "/", Host: "x", Fields: rules.Fields{{Name: "X-Tenant", Value: "acme"}}}
	return rules.In{Request: &rules.Request{Direction: rules.Inbound, Head: head, ID: "7"}, Head: head, Now: now}
}

// What steps make of a text they make of its value, whichever of the two they
// are sure of.
func TestStepsOnATextAreThoseOnItsValue(t *testing.T) {
	texts := []string{
		`{"user": {"email" : "a@b", "id": 9007199254740993}, "password": "p", "n": 1.10, "items": [{"q": 1}, {"q": 20}]}`,
		`{"user": null, "n": "x", "items": []}`, `{}`, `[]`, `null`, `"x"`, `{"user": 1}`, `{"n": 1, "n": 2}`, `{"n": `, `{"items": [{"q": 1}, 2]}`,
	}
	now := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		steps string
		sure  bool // of the first text
	}{
		{"  - jq: '.user.email = \"x\" | del(.password)'\n", true},
		{"  - jq: .n += 1\n  - jq: .a = $request.headers[\"x-tenant\"]\n", true},
		{"  - head: .headers[\"x-a\"] = \"1\"\n  - when: .n > 100\n    reject: {status: 422}\n  - when: .user.id > 5\n    jq: .big = true\n  - head: .query.v = \"2\"\n", true},
		{"  - head: .headers[\"x-a\"] = \"1\"\n  - when: (.items | length) > 1\n    reject: {status: 422}\n  - head: .query.v = \"2\"\n", true},
		{"  - jq: .items[].q = 3\n", true},
		{"  - head: .method = 7\n  - jq: .n = 1\n", true},
		{"  - jq: .n = $now\n", true},
		{"  - head: .headers[\"x-n\"] = \"\\($body.n)\"\n  - jq: .n = 1\n", false},
		{"  - jq: 'reduce .items[] as $i (.; .sum += $i.q)'\n", false},
		{"  - jq: empty\n", false},
		{"  - jq: .n.m = 1\n", false},
	} {
		steps := stepsOf(t, test.steps)
		if (steps.Why() == "") != steps.RunsOn(json.Codec{}) {
			t.Errorf("%s: runs on text: %v, why %q", test.steps, steps.RunsOn(json.Codec{}), steps.Why())
		}
		for i, text := range texts {
			if !steps.RunsOn(json.Codec{}) {
				continue
			}
			out, left, sure, err := steps.RunOn(t.Context(), inputOf(now), json.Codec{}, []byte(text), codec.Limits{})
			if i == 0 && sure != test.sure {
				t.Errorf("%s: sure: %v, want %v", test.steps, sure, test.sure)
			}
			if !sure {
				continue
			}
			value, original, decodeErr := json.Codec{}.Decode([]byte(text), codec.Limits{})
			if decodeErr != nil {
				t.Errorf("%s of %s: sure of what is no JSON", test.steps, text)
				continue
			}
			in := inputOf(now)
			in.Body = rules.Body{Value: value}
			want, wantErr := steps.Run(t.Context(), in)
			wantLeft := []byte(text)
			if want.Edited && wantErr == nil && want.Reject == nil {
				if wantLeft, err = (json.Codec{}).Encode(original, want.Messages[0]); err != nil {
					t.Fatal(err)
				}
			}
			for i := range want.Steps {
				want.Steps[i].Body = nil
				want.Steps[i].InPlace = !strings.HasSuffix(want.Steps[i].Step, ".head")
			}
			same := reflect.DeepEqual(out.Head, want.Head) && reflect.DeepEqual(out.Steps, want.Steps) && out.Reject == want.Reject && fmt.Sprint(err) == fmt.Sprint(wantErr)
			if !same || wantErr == nil && want.Reject == nil && (string(left) != string(wantLeft) || out.Edited != want.Edited) {
				t.Errorf("%s of %s:\ngot  %+v %s %v\nwant %+v %s %v", test.steps, text, out, left, err, want, wantLeft, wantErr)
			}
		}
	}
}

// BenchmarkSteps is what a rule costs that edits a body of 1 KiB.
func BenchmarkSteps(b *testing.B) {
	text := []byte(`{"user":{"email":"ada@example.com","id":7},"password":"secret","items":[`)
	for len(text) < 1000 {
		text = append(text, `{"sku":"gear-12","quantity":2,"price":49.95},`...)
	}
	text = append(text[:len(text)-1], "]}"...)
	steps := stepsOf(b, "  - jq: '.user.email = \"x\" | del(.password)'\n")
	in := inputOf(time.Now())
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, sure, err := steps.RunOn(b.Context(), in, json.Codec{}, text, codec.Limits{}); !sure || err != nil {
				b.Fatal(sure, err)
			}
		}
	})
	b.Run("value", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			value, original, err := json.Codec{}.Decode(text, codec.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			in.Body.Value = value
			out, err := steps.Run(b.Context(), in)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := (json.Codec{}).Encode(original, out.Messages[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
