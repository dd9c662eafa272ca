package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// manyRoutes are n routes of one kind, and a request for each of them.
func manyRoutes(t testing.TB, kind string, n int) (*Set, []*Request) {
	t.Helper()
	var files []File
	var requests []*Request
	for i := range n {
		q := &Request{
			Direction: Outbound, Destination: netip.MustParseAddrPort("10.0.0.1:80"),
			Head: &Head{Method: "GET", Path: "/v1/things/1", Host: "pay.shop.svc:80", Fields: Fields{{Name: "Accept", Value: "*/*"}}},
		}
		match := ""
		switch kind {
		case "paths":
			match, q.Head.Path = fmt.Sprintf("http: GET /v1/things%d/{id}", i), fmt.Sprintf("/v1/things%d/1", i)
		case "hosts":
			match, q.Head.Host = fmt.Sprintf("host: h%d.shop.svc", i), fmt.Sprintf("h%d.shop.svc:80", i)
		case "wildcards":
			match, q.Head.Host = fmt.Sprintf("host: '*.h%d.svc'", i), fmt.Sprintf("a.b.h%d.svc", i)
		case "ports":
			match, q.Destination = fmt.Sprintf("port: %d", 1000+i), netip.AddrPortFrom(q.Destination.Addr(), uint16(1000+i))
		case "headers":
			match = fmt.Sprintf("headers: {x-tenant: t%d}", i)
			q.Head.Fields = append(q.Head.Fields, Field{Name: "X-Tenant", Value: fmt.Sprintf("t%d", i)})
		case "methods":
			match, q.Head.Path = fmt.Sprintf("grpc: shop.v1.S%d/Get", i), fmt.Sprintf("/shop.v1.S%d/Get", i)
			q.Head.Method, q.Service, q.Method = "POST", fmt.Sprintf("shop.v1.S%d", i), "Get"
		}
		files = append(files, File{Name: fmt.Sprintf("r%d.yaml", i), Text: []byte("match:\n  " + match + "\n")})
		requests = append(requests, q)
	}
	set, problems := Compile(files)
	if set == nil {
		t.Fatal(problems)
	}
	return set, requests
}

var manyKinds = []string{"paths", "hosts", "wildcards", "ports", "headers", "methods"}

// However many routes there are and whatever tells them apart, the others are not
// looked at, and nothing is allocated.
func TestAThousandRoutesAreOneCandidate(t *testing.T) {
	for _, kind := range manyKinds {
		set, requests := manyRoutes(t, kind, 1000)
		for i, q := range requests {
			m, err := set.Match(t.Context(), q, time.Time{})
			if err != nil || m.Route == nil || m.Route.name != fmt.Sprintf("r%d", i) || len(m.Passed) > 0 {
				t.Fatalf("%s: request %d: got %+v, %v", kind, i, m, err)
			}
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = set.Match(t.Context(), requests[7], time.Time{}) }); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// What is not looked at would not have matched: random routes, each request once
// among those that may match and once among all.
func TestWhatIsNotLookedAtWouldNotMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	matched := 0
	for range 60 {
		var files []File
		for i := range 40 {
			parts := []string{pick(
				"http: /a/{x}", "http: /a/{y}", "http: GET /a/{x}", "http: '/{y}/b'", "http: /", "http: [/a/b, '/{z}/b']", "grpc: s.S/M", "grpc: s.S/*", "direction: inbound",
			)}
			if random.IntN(3) > 0 {
				parts = append(parts, "host: "+pick("a.x", "[b.x, '*.x']", "'*.b.x'", "'*'", "c", "[a.x, A.X]"))
			}
			if random.IntN(3) == 0 {
				parts = append(parts, "port: "+pick("80", "[80, 81]", "82"))
			}
			if random.IntN(3) > 0 {
				parts = append(parts, "headers: "+pick("{h: a}", "{h: b}", "{h: '*'}", "{h: a, H: b}", "{g: a}", "{g: b, h: a}"))
			}
			files = append(files, File{Name: fmt.Sprintf("r%02d.yaml", i), Text: []byte("match:\n  " + strings.Join(parts, "\n  ") + "\n")})
		}
		set, problems := Compile(files)
		for set == nil { // without those that conflict
			bad := problems[len(problems)-1].File
			files = slices.DeleteFunc(files, func(f File) bool { return f.Name == bad })
			set, problems = Compile(files)
		}
		for range 100 {
			q := &Request{
				Direction: Direction(pick("inbound", "outbound")), Destination: netip.MustParseAddrPort("10.0.0.1:" + pick("80", "81", "82", "83")),
				Head: &Head{Method: pick("GET", "POST", "HEAD"), Path: pick("/a/b", "/a/c", "/c/b", "/s.S/M", "/"), Host: pick("a.x", "b.x:80", "A.B.X", "c.", "d", "")},
			}
			if q.Head.Path == "/s.S/M" {
				q.Service, q.Method = "s.S", "M"
			}
			for range random.IntN(4) {
				q.Head.Fields = append(q.Head.Fields, Field{Name: pick("h", "H", "g"), Value: pick("a", "b", "c")})
			}
			got, err := set.Match(t.Context(), q, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			var want Match
			all := set.index.findGRPC(nil, q, true)
			if q.Service == "" {
				all = nil
			}
			for _, c := range append(all, set.index.find(nil, q, q.Head.Path, true)...) {
				if done, _ := want.try(t.Context(), set.index.routes[c.id], q, Params{c.pattern, q.Head.Path}, time.Time{}); done {
					break
				}
			}
			if got.Route != want.Route || got.Route != nil && got.Params.pattern != want.Params.pattern {
				t.Fatalf("%+v: got %v, want %v", q.Head, got.Route, want.Route)
			}
			if got.Route != nil {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d requests matched", matched)
	}
}

// BenchmarkMatch asks for one route after the other, so that all of them are
// touched, as a sidecar's traffic does. A request has just been read when it is
// matched: there is one, which becomes one after the other.
func BenchmarkMatch(b *testing.B) {
	for _, kind := range manyKinds {
		for _, n := range []int{10, 1000} {
			name := fmt.Sprint(n)
			if kind != "paths" {
				name += "-" + kind
			}
			b.Run(name, func(b *testing.B) {
				set, requests := manyRoutes(b, kind, n)
				ctx, i := b.Context(), 0
				q := *requests[0]
				head := *q.Head
				q.Head = &head
				paths, hosts, ports, services, tenants := make([]string, n), make([]string, n), make([]netip.AddrPort, n), make([]string, n), make([]string, n)
				for i, r := range requests {
					paths[i], hosts[i], ports[i], services[i] = r.Head.Path, r.Head.Host, r.Destination, r.Service
					tenants[i] = r.Head.Fields.Get("X-Tenant")
				}
				b.ReportAllocs()
				for b.Loop() {
					switch kind {
					case "paths":
						head.Path = paths[i]
					case "hosts", "wildcards":
						head.Host = hosts[i]
					case "ports":
						q.Destination = ports[i]
					case "methods":
						q.Service = services[i]
					case "headers":
						head.Fields[1].Value = tenants[i]
					}
					if m, _ := set.Match(ctx, &q, time.Time{}); m.Route == nil {
						b.Fatal("no route")
					}
					if i++; i == n {
						i = 0
					}
				}
			})
		}
	}
}
