package rules_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
)

func TestCandidatesSayWhyEachRouteIsOrIsNotTheOne(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		files         []string
		change        func(*rules.Request)
		want          string
	}{
		{
			"conditions that do not hold", "GET /v1/orders/7\nx-tenant: other\nHost: orders",
			[]string{
				"a", `match: {http: "GET /v1/orders/{id}", headers: {x-tenant: acme}, host: orders, port: 8080, direction: inbound}`,
				"b", `match: {http: "GET /v1/orders/{id}", headers: {x-debug: "*"}, host: orders, port: 8080}`,
				"c", `match: {http: "GET /v1/orders/{id}", host: [carts, "*.shop.svc"], port: [8080, 80]}`,
				"d", `match: {http: "GET /v1/orders/{id}", where: '.query.dry_run == "true"'}`,
				"e", `match: {http: "GET /v1/orders/{id}"}`,
			},
			nil,
			`a passed GET /v1/orders/{id}: headers.x-tenant want "acme" got "other"
b passed GET /v1/orders/{id}: headers.x-debug want "*" got ""
c passed GET /v1/orders/{id}: host want "carts, *.shop.svc" got "orders"
d passed GET /v1/orders/{id}: where want ".query.dry_run == \"true\"" got "false"
e chosen GET /v1/orders/{id}`,
		},
		{
			"port and direction", "GET /",
			[]string{"a", `match: {port: [80, 81]}`, "b", `match: {direction: inbound, port: 443}`},
			func(q *rules.Request) {
				q.Direction, q.Destination = rules.Outbound, netip.MustParseAddrPort("10.0.0.1:443")
			},
			`b passed: direction want "inbound" got "outbound"
a passed: port want "80, 81" got "443"`,
		},
		{
			"those behind the one that matched", "GET /v1/orders/7\nx-a: 1",
			[]string{
				"all", `mode: enforce`,
				"fewer", `match: {http: "GET /v1/orders/{id}"}`,
				"other", `match: {http: "GET /v1/{kind}/7", headers: {x-a: "2"}}`,
				"cross", `match: {http: "GET /v1/{kind}/{id}"}`,
				"won", `match: {http: "GET /v1/orders/{id}", headers: {x-a: "1"}}`,
				"same", `match: {http: ["GET /v1/orders/{id}", /other], headers: {x-b: "*"}, port: 8080, direction: inbound}`,
			},
			nil,
			`same passed GET /v1/orders/{id}: headers.x-b want "*" got ""
won chosen GET /v1/orders/{id}
other passed GET /v1/{kind}/7: headers.x-a want "2" got "1"
fewer outranked GET /v1/orders/{id}: fewer_conditions
cross outranked GET /v1/{kind}/{id}: less_specific
all outranked: less_specific`,
		},
		{
			"those whose pattern does not match, the nearest first", "POST /v1/orders/7\nHost: orders:8080",
			[]string{
				"grpc", `match: {grpc: [shop.v1.Orders/Create, a.B/*]}`,
				"path", `match: {http: "POST /v2/orders/{id}"}`,
				"host", `match: {http: "carts/v1/orders/{id}"}`,
				"method", `match: {http: [DELETE /v1/, "GET /v1/orders/{id}"]}`,
				"off", `{mode: "off", match: {http: /v1/orders/}}`,
			},
			nil,
			`off off /v1/orders/
method no_match DELETE /v1/: method want "DELETE" got "POST"
host no_match carts/v1/orders/{id}: host want "carts" got "orders"
path no_match POST /v2/orders/{id}: path got "/v1/orders/7"
grpc no_match shop.v1.Orders/Create, a.B/*: grpc`,
		},
		{
			"gRPC is tried first", "POST /shop.v1.Orders/Create\ngrpc: shop.v1.Orders/Create",
			[]string{
				"all", `match: {http: /}`, "any", `match: {grpc: "*"}`, "service", `match: {grpc: shop.v1.Orders/*}`,
				"other", `match: {grpc: shop.v1.Orders/Get}`, "off", `{mode: "off", match: {grpc: "*"}}`,
			},
			nil,
			`service chosen shop.v1.Orders/*
any outranked *: less_specific
all outranked /: grpc_first
off off *
other no_match shop.v1.Orders/Get: grpc got "shop.v1.Orders/Create"`,
		},
		{
			"a where that fails counts as matched", "GET /",
			[]string{"a", `match: {where: '.query'}`, "b", `match: {http: /}`},
			nil,
			`a failed: not_boolean want ".query"
b outranked /: fewer_conditions`,
		},
		{
			"an ambiguous path", "GET /a/%2e%2e/admin",
			[]string{"admin", `{match: {http: /admin}, request: [{reject: {}}]}`, "a", `match: {http: /a/}`},
			nil,
			`a outranked /a/: later
admin failed /admin: ambiguous_path`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := compile(t, tt.files...)
			q, _ := request(t, []byte(tt.request))
			if tt.change != nil {
				tt.change(q)
			}
			m, err := set.Match(t.Context(), q, instant)
			var got []string
			for _, c := range set.Candidates(t.Context(), q, instant, m, err) {
				got = append(got, formatCandidate(c))
			}
			if got := strings.Join(got, "\n"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func formatCandidate(c rules.Candidate) string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Route.Name(), c.Fate, c.Pattern))
	if c.Why != "" {
		s += ": " + c.Why
	}
	if c.Want != "" {
		s += fmt.Sprintf(" want %q", c.Want)
	}
	if c.Want != "" && c.Why != "not_boolean" || c.Got != "" {
		s += fmt.Sprintf(" got %q", c.Got)
	}
	return s
}

func TestMatchDoesNotAllocate(t *testing.T) {
	set := compile(t, "all", `mode: enforce`, "orders", `match: {http: GET /v1/orders, headers: {x-tenant: acme}}`)
	q, _ := request(t, []byte("GET /v1/orders\nx-tenant: acme"))
	if n := testing.AllocsPerRun(100, func() {
		if m, err := set.Match(t.Context(), q, instant); err != nil || m.Route.Name() != "orders" {
			t.Fatal(m.Route, err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
