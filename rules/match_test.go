package rules_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

// compile compiles files given as name and text in turn.
func compile(t testing.TB, namesAndTexts ...string) *rules.Set {
	t.Helper()
	var files []rules.File
	for i := 0; i < len(namesAndTexts); i += 2 {
		files = append(files, rules.File{Name: namesAndTexts[i] + ".yaml", Text: []byte(namesAndTexts[i+1])})
	}
	set, problems := rules.Compile(files)
	if set == nil {
		t.Fatal(formatProblems(problems))
	}
	return set
}

func TestMatch(t *testing.T) {
	set := compile(t,
		"all", `mode: enforce`,
		"get", `match: {http: "GET /v1/orders/{id}"}`,
		"literal", `match: {http: GET /v1/orders/new}`,
		"tenant", `match: {http: "GET /v1/orders/{id}", headers: {X-Tenant: acme}}`,
		"debug", `match: {http: "GET /v1/orders/{id}", headers: {x-tenant: acme, x-debug: "*"}}`,
		"port", `match: {http: "/p/", port: [8080, 9090], direction: inbound}`,
		"host", `match: {http: "/h/", host: [orders, "*.shop.svc"]}`,
		"own", `match: {http: "own.example/"}`,
		"where", `match: {http: "/w/", where: '.query.a == "1"'}`,
		"spelling", `match: {http: "/plain/", where: '.path == "/plain/secret"'}`,
		"off", `{mode: "off", match: {http: /off}}`,
		"method", `match: {grpc: shop.v1.Orders/Create}`,
		"service", `match: {grpc: shop.v1.Orders/*}`,
		"grpc-inbound", `match: {grpc: "*", direction: inbound}`,
	)
	for _, tt := range []struct {
		name, request string
		change        func(*rules.Request)
		want          string
	}{
		{"a pattern with a wildcard", "GET /v1/orders/7", nil, "get id=7; debug tenant not for headers.x-tenant"},
		{"a literal is more specific", "GET /v1/orders/new", nil, "literal"},
		{"HEAD is GET too", "HEAD /v1/orders/new", nil, "literal"},
		{"another method", "POST /v1/orders/7", nil, "all"},
		{"the longer list of conditions first", "GET /v1/orders/7\nx-tenant: acme\nX-DEBUG: ", nil, "debug id=7"},
		{"one condition fails", "GET /v1/orders/7\nx-tenant: acme", nil, "tenant id=7; debug not for headers.x-debug"},
		{"any value of a repeated header", "GET /v1/orders/7\nx-tenant: other\nX-Tenant: acme", nil, "tenant id=7; debug not for headers.x-debug"},
		{"repeats are not joined", "GET /v1/orders/7\nx-tenant: acme, acme", nil, "get id=7; debug tenant not for headers.x-tenant"},
		{"port", "GET /p/a", nil, "port"},
		{"another port", "GET /p/a", func(q *rules.Request) { q.Destination = netip.MustParseAddrPort("10.0.0.1:80") }, "all; port not for port"},
		{"another direction", "GET /p/a", func(q *rules.Request) { q.Direction = rules.Outbound }, "all; port not for direction"},
		{"host without its port and final dot", "GET /h/\nHost: ORDERS.:8080", nil, "host"},
		{"host by wildcard", "GET /h/\nHost: a.b.shop.svc", nil, "host"},
		{"a wildcard is one label at least", "GET /h/\nHost: shop.svc", nil, "all; host not for host"},
		{"a wildcard ends at a label", "GET /h/\nHost: badshop.svc", nil, "all; host not for host"},
		{"no host", "GET /h/", nil, "all; host not for host"},
		{"a pattern's host", "GET /v1/orders/7\nHost: own.example", nil, "own"},
		{"where holds", "GET /w/?a=1", nil, "where"},
		{"where does not hold", "GET /w/?a=2", nil, "all; where not for where"},
		{"off is not in force", "GET /off", nil, "all"},
		{"OPTIONS *", "OPTIONS *", nil, "all"},
		{"a gRPC method", "POST /shop.v1.Orders/Create\ngrpc: shop.v1.Orders/Create", nil, "method"},
		{"a gRPC service", "POST /shop.v1.Orders/Get\ngrpc: shop.v1.Orders/Get", nil, "service"},
		{"all of gRPC", "POST /a.B/C\ngrpc: a.B/C", nil, "grpc-inbound"},
		{"gRPC falls to http routes", "POST /a.B/C\ngrpc: a.B/C", func(q *rules.Request) { q.Direction = rules.Outbound }, "all; grpc-inbound not for direction"},
		{"a gRPC method with escapes", "POST /shop.v1.%4frders/%43reate\ngrpc: shop.v1.%4frders/%43reate", nil, "method"},
		{"CONNECT has no path", "CONNECT \nHost: other:443", nil, "all"},
		{"an absolute form without a path", "GET \nHost: own.example", nil, "own"},
		{"a path that begins as a query", "GET ?a=1\nHost: own.example", nil, "own"},
		{"where judges one spelling", "GET /plain/%73ecret", nil, "spelling"},
		{"the path alone is no gRPC", "POST /shop.v1.Orders/Create", nil, "all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, _ := request(t, []byte(tt.request))
			if tt.change != nil {
				tt.change(q)
			}
			m, err := set.Match(t.Context(), q, instant)
			if err != nil {
				t.Fatal(err)
			}
			if got := formatMatch(m); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func formatMatch(m rules.Match) string {
	var b strings.Builder
	if m.Route == nil {
		b.WriteString("no route")
	} else {
		b.WriteString(m.Route.Name())
	}
	for name, value := range m.Params.Map() {
		fmt.Fprintf(&b, " %s=%s", name, value)
	}
	why := ""
	for i, p := range m.Passed {
		if i == 0 {
			b.WriteString(";")
		}
		if why != "" && why != p.Why {
			fmt.Fprintf(&b, " not for %s", why)
		}
		why = p.Why
		fmt.Fprintf(&b, " %s", p.Route.Name())
	}
	if why != "" {
		fmt.Fprintf(&b, " not for %s", why)
	}
	return b.String()
}

func TestPatternsThatCrossAreOrderedByTheirConditions(t *testing.T) {
	set := compile(t,
		"a", `match: {http: "/a/{x}"}`,
		"b", `match: {http: "/{x}/b", port: 8080}`,
	)
	q, _ := request(t, []byte("GET /a/b"))
	m, err := set.Match(t.Context(), q, instant)
	if err != nil || m.Route.Name() != "b" {
		t.Errorf("got %v, %v, want b", formatMatch(m), err)
	}
}

func TestNoRoutes(t *testing.T) {
	for _, set := range []*rules.Set{{}, compile(t), compile(t, "a", `mode: "off"`)} {
		q, _ := request(t, []byte("GET /"))
		m, err := set.Match(t.Context(), q, instant)
		if m.Route != nil || err != nil {
			t.Errorf("got %v, %v, want no route", formatMatch(m), err)
		}
		if set.CanTouch(rules.Inbound, 80) || set.CanAnswer(rules.Inbound, 80) {
			t.Error("a set without routes touches or answers")
		}
	}
}

func TestReach(t *testing.T) {
	set := compile(t,
		"touches", `match: {http: /, direction: inbound, port: [80, 81]}`,
		"rejects", `{match: {grpc: "*", direction: inbound, port: 82}, request: [{reject: {}}]}`,
		"falls-back", `{match: {http: /, direction: outbound}, upstream: {breaker: {fallback: {}}}}`,
		"breaks", `{match: {http: /b, direction: inbound, port: 83}, upstream: {breaker: {}}, response: [{reject: {}}]}`,
	)
	for _, tt := range []struct {
		direction        rules.Direction
		port             uint16
		touches, answers bool
	}{
		{rules.Inbound, 80, true, false},
		{rules.Inbound, 82, true, true},
		{rules.Inbound, 83, true, false},
		{rules.Inbound, 84, false, false},
		{rules.Outbound, 1, true, true},
	} {
		if got := set.CanTouch(tt.direction, tt.port); got != tt.touches {
			t.Errorf("%s %d: CanTouch is %t", tt.direction, tt.port, got)
		}
		if got := set.CanAnswer(tt.direction, tt.port); got != tt.answers {
			t.Errorf("%s %d: CanAnswer is %t", tt.direction, tt.port, got)
		}
	}
}
