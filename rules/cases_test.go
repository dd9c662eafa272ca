package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

// What a case does not say of its request follows from the match.
func TestARequestFollowsFromTheMatch(t *testing.T) {
	for _, tt := range []struct{ match, request, want string }{
		{"http: /", "{}", "inbound:80 GET test / []"},
		{"http: /", "{body: null}", "inbound:80 POST test / []"},
		{"http: 'POST shop.example/v1/{id}/items/{rest...}'", "{}", "inbound:80 POST shop.example /v1/id/items/rest []"},
		{"http: 'POST /v1/{id}/items/{rest...}'", "{params: {id: a b, rest: x/y}}", "inbound:80 POST test /v1/a%20b/items/x/y []"},
		{"http: 'PUT /a/{$}'", "{}", "inbound:80 PUT test /a/ []"},
		{"http: /a/", "{path: /a/b, query: {q: x y, r: [a, b], s: null}}", "inbound:80 GET test /a/b?q=x%20y&r=a&r=b []"},
		{"http: ['GET /a', 'POST /b/{id}']", "{method: POST}", "inbound:80 POST test /b/id []"},
		{"http: ['GET /a', 'POST /b/{id}']", "{params: {id: '7'}}", "inbound:80 POST test /b/7 []"},
		{"{direction: outbound, port: [8080, 9090], host: ['*.shop.svc'], headers: {x-tenant: acme, x-debug: '*'}}", "{}",
			"outbound:8080 GET any.shop.svc / [{x-tenant acme} {x-debug test}]"},
		{"{headers: {x-tenant: acme, x-debug: '*'}}", "{headers: {X-Tenant: other, x-debug: null}, direction: outbound}",
			"outbound:80 GET test / [{X-Tenant other}]"},
		{"grpc: shop.v1.Orders/Create", "{}", "inbound:80 POST test /shop.v1.Orders/Create [{content-type application/grpc}]"},
		{"grpc: shop.v1.Orders/*", "{path: /shop.v1.Orders/List, headers: {content-type: application/grpc+proto}}",
			"inbound:80 POST test /shop.v1.Orders/List [{content-type application/grpc+proto}]"},
	} {
		match := tt.match
		if !strings.HasPrefix(match, "{") {
			match = "{" + match + "}"
		}
		text := "match: " + match + "\ntests:\n  - request: " + tt.request + "\n    expect: {unchanged: true}\n"
		set, problems := rules.Compile([]rules.File{{Name: "a.yaml", Text: []byte(text)}})
		if set == nil {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		c := set.Routes()[0].Cases()[0]
		h := c.Request.Head
		path := h.Path
		if h.Query != "" {
			path += "?" + h.Query
		}
		if got := fmt.Sprintf("%s:%d %s %s %s %v", c.Direction, c.Port, h.Method, h.Host, path, h.Fields); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, tt.want)
		}
		request := rules.Request{Direction: c.Direction, Head: h}
		if strings.HasPrefix(tt.match, "http") {
			if m, err := set.Match(t.Context(), &request, c.Now); err != nil || m.Route == nil {
				t.Errorf("%s: its own route does not match it: %v", text, err)
			}
		}
	}
}

// A point is somewhere in the file, and each is there once.
func TestPointsAreThePlacesThatCasesReach(t *testing.T) {
	set, problems := rules.Compile([]rules.File{
		{Name: "_all.yaml", Text: []byte("request:\n  - when: .a\n    jq: .b = 1\n")},
		{Name: "_outbound.yaml", Text: []byte("response:\n  - jq: .c = 1\n")},
		{Name: "a.yaml", Text: []byte("match: {where: .path == \"/\"}\nrequest:\n  - head: .path = \"/x\"\ntrailers:\n  - jq: .x = \"1\"\nupstream: {breaker: {failure: .status == 1, fallback: {status: 200}}}\n")},
	})
	if set == nil {
		t.Fatal(problems)
	}
	var got strings.Builder
	for _, p := range set.Routes()[0].Points() {
		fmt.Fprintf(&got, "%s:%d:%d %s %s %v\n", p.Position.File, p.Position.Line, p.Position.Column, p.Step, p.Kind, p.Kind.Condition())
	}
	const want = `a.yaml:1:16 match.where where true
_all.yaml:2:11 _all.request[0].jq when true
_all.yaml:3:9 _all.request[0].jq step false
a.yaml:3:11 request[0].head step false
a.yaml:5:9 trailers[0].jq step false
_outbound.yaml:2:9 _outbound.response[0].jq step false
a.yaml:6:31 upstream.breaker.failure failure true
a.yaml:6:21 upstream.breaker opened false
a.yaml:6:55 upstream.breaker.fallback fallback false
`
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}
}
