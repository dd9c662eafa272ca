package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// benchCase is one line of the table: a load, and the proxies that take it.
type benchCase struct {
	ID    string
	Title string
	Spec  traffic.Spec
	Of    figure
	// Others are the loads of proxies that take another one.
	Others map[string]traffic.Spec
	// Go, if it is not nil, is in place of the load and the proxies.
	Go *goBench
	// Proxies are names of kinds, in the order of the table.
	Proxies []string
	Gates   []gate
	// Fresh proxies are started for each run, for cases in which what was
	// before would show.
	Fresh bool
	Most  int // rounds at most; 0: no limit
}

// goBench are the benchmarks of a case that needs no traffic.
type goBench struct {
	Package string
	Names   map[string]string // by the names of the case's proxies
}

// figure is what a case compares.
type figure struct {
	Unit   string
	Digits int
	Of     func(traffic.Result) float64
}

func perUnit(unit string, scale float64, digits int) figure {
	return figure{unit, digits, func(r traffic.Result) float64 { return float64(r.CPU.Nanoseconds()) / 1e3 / r.Count * scale }}
}

// The figures. CPU time is the proxy's, user and system.
func perRequest() figure { return perUnit("µs/request", 1, 1) }
func perMessage() figure { return perUnit("µs/message", 1, 2) }
func perGiB() figure     { return perUnit("s/GiB", 1024/1e6, 3) }
func resident() figure {
	return figure{"MiB", 1, func(r traffic.Result) float64 { return float64(r.RSS) / (1 << 20) }}
}

// gate bounds a figure of a case.
type gate struct {
	Name string  // whose figure; empty: sluice
	Peer string  // whom it is compared with; empty: nobody, Must and Aim are absolute
	Plus bool    // Must and Aim are what may be added to the peer's figure, not factors
	Must float64 // the gate; 0: none
	Aim  float64 // 0: none
}

// The kinds of proxies; see targets.go for each.
const (
	sluice       = "sluice"
	sluiceRules  = "sluice+rules"
	sluiceNoTap  = "sluice-notap"
	sluiceTapped = "sluice+tapped"
	sluiceEdit   = "sluice+edit" // has a rule with the load's edit
	sluiceGet    = "sluice-get"  // sluice with the load of case 1
	nginxLua     = "nginx+lua"
	haproxyLua   = "haproxy+lua"

	// Of cases of Go's benchmarks.
	byValue      = "sluice"
	protojson    = "protojson"
	routes10     = "10 routes"
	routes1000   = "1,000 routes"
	nginx        = "nginx"
	haproxy      = "haproxy"
	reverseProxy = "reverseproxy"
	direct       = "direct"
	redirected   = "redirect"
)

// allCases are those of an ordinary run. As many connections idle as the limit
// of open files allows each process.
func allCases(files int) []benchCase {
	idle := min(10_000, (files-1200)/200*100)
	everybody := []string{sluice, nginx, haproxy, reverseProxy}
	withRules := []string{sluice, sluiceRules, nginx, haproxy, reverseProxy}
	get := traffic.Spec{Kind: traffic.Get, Conns: 64}
	unary := traffic.Spec{Kind: traffic.Unary, Conns: 8, Streams: 8}
	unedited := traffic.Spec{Kind: traffic.Call, Conns: 8, Streams: 8}
	return []benchCase{
		{
			ID: "1", Title: "HTTP/1.1 GET 100 B, 64 connections", Spec: get, Of: perRequest(), Proxies: withRules,
			Gates: []gate{{Peer: nginx, Must: 1.25, Aim: 1.0}, {Name: sluiceRules, Peer: nginx, Must: 1.25, Aim: 1.0}},
		}, {
			ID: "2", Title: "HTTP/1.1 POST 16 KiB, 64 connections", Spec: traffic.Spec{Kind: traffic.Post, Conns: 64}, Of: perRequest(),
			Proxies: withRules, Gates: []gate{{Peer: nginx, Must: 1.25, Aim: 1.0}, {Name: sluiceRules, Peer: nginx, Must: 1.25, Aim: 1.0}},
		}, {
			ID: "3", Title: "HTTP/1.1 GET 1 MiB, 8 connections", Spec: traffic.Spec{Kind: traffic.Download, Conns: 8}, Of: perUnit("µs/request", 1, 0),
			Proxies: everybody, Gates: []gate{{Peer: haproxy, Must: 1.3, Aim: 1.1}},
		}, {
			ID: "4", Title: "raw TCP, 4 connections", Spec: traffic.Spec{Kind: traffic.Raw, Conns: 4}, Of: perGiB(),
			Proxies: []string{sluice, nginx, haproxy}, Gates: []gate{{Peer: haproxy, Must: 1.15, Aim: 1.0}},
		}, {
			ID: "5", Title: "gRPC unary, saturated, 8 connections × 8 streams", Spec: unary, Of: perRequest(), Proxies: withRules,
			Gates: []gate{{Peer: haproxy, Must: 0.7, Aim: 0.5}, {Name: sluiceRules, Peer: haproxy, Must: 0.7, Aim: 0.5}},
		}, {
			ID: "6", Title: "gRPC unary, 4,000 a second, 8 connections", Spec: traffic.Spec{Kind: traffic.Unary, Conns: 8, Rate: 4000}, Of: perRequest(),
			Proxies: everybody, Gates: []gate{{Peer: haproxy, Must: 1.15, Aim: 1.0}},
		}, {
			ID: "7", Title: "gRPC bidi, 8 connections × 8 streams × 4 messages in flight",
			Spec: traffic.Spec{Kind: traffic.Bidi, Conns: 8, Streams: 8, InFlight: 4}, Of: perMessage(), Proxies: withRules,
			Gates: []gate{{Peer: haproxy, Must: 1.3, Aim: 1.05}, {Name: sluiceRules, Peer: haproxy, Must: 1.3, Aim: 1.05}},
		},
		jsonCase("8", "1 KiB", traffic.SmallOrder, traffic.Mask, gate{Must: 0.6}),
		jsonCase("9", "16 KiB", traffic.LargeOrder, traffic.Mask, gate{Must: 0.25, Aim: 0.15}),
		jsonCase("10", "1 KiB", traffic.SmallOrder, traffic.Total, gate{Must: 1.2, Aim: 0.8}),
		jsonCase("10s", "1 KiB", traffic.SmallOrder, traffic.Sum, gate{Must: 1.2, Aim: 0.8}),
		{
			ID: "11", Title: fmt.Sprintf("gRPC unary 0.5 KiB, saturated, edited: `%s`", traffic.Mask), Of: perRequest(),
			Spec:    traffic.Spec{Kind: traffic.Call, Edit: traffic.Mask, Conns: 8, Streams: 8},
			Others:  map[string]traffic.Spec{sluiceRules: unedited, sluice: unedited},
			Proxies: []string{sluiceEdit, sluiceRules, sluice},
			Gates: []gate{
				{Name: sluiceEdit, Peer: sluiceRules, Plus: true, Must: 2, Aim: 0.5},
				{Name: sluiceEdit, Peer: sluice, Plus: true, Must: 2, Aim: 0.5},
			},
		}, {
			ID: "12", Title: "protobuf 0.5 KiB, any program: `.text = \"masked\" | del(.maybe_text)` by value", Of: perUnit("µs/message", 1, 1),
			Go:      &goBench{"codec/protobuf", map[string]string{byValue: "Edit/simple/jq", protojson: "Edit/simple/dynamicpb-protojson"}},
			Proxies: []string{byValue, protojson}, Gates: []gate{{Name: byValue, Peer: protojson, Must: 0.2, Aim: 0.1}},
		}, {
			ID: "13a", Title: "resident memory, 64 busy HTTP/1.1 connections", Spec: get, Of: resident(), Proxies: everybody,
			Gates: []gate{{Must: 40, Aim: 25}}, Fresh: true, Most: 3,
		}, {
			ID: "13b", Title: "resident memory, 64 busy gRPC streams on 8 connections", Spec: unary, Of: resident(), Proxies: everybody,
			Gates: []gate{{Must: 40, Aim: 25}}, Fresh: true, Most: 3,
		}, {
			ID: "13c", Title: fmt.Sprintf("resident memory, %d idle HTTP/1.1 connections", idle), Spec: traffic.Spec{Kind: traffic.Idle, Conns: idle}, Of: resident(),
			Proxies: everybody, Fresh: true, Most: 1,
		}, {
			ID: "14", Title: "match among 1,000 routes", Of: perUnit("ns/request", 1000, 0),
			Go:      &goBench{"rules", map[string]string{routes10: "Match/10", routes1000: "Match/1000"}},
			Proxies: []string{routes1000, routes10}, Gates: []gate{{Name: routes1000, Peer: routes10, Must: 1.2, Aim: 1.05}},
		}, {
			ID: "15a", Title: "the tap, HTTP/1.1 GET 100 B, 64 connections", Spec: get, Of: perRequest(), Proxies: []string{sluiceTapped, sluice, sluiceNoTap},
			Gates: []gate{{Name: sluiceTapped, Peer: sluice, Plus: true, Must: 0.5, Aim: 0.2}, {Peer: sluiceNoTap, Plus: true, Must: 0.5, Aim: 0.2}},
		}, {
			ID: "15b", Title: "the tap, gRPC unary, saturated", Spec: unary, Of: perRequest(), Proxies: []string{sluiceTapped, sluice, sluiceNoTap},
			Gates: []gate{{Name: sluiceTapped, Peer: sluice, Plus: true, Must: 0.5, Aim: 0.2}, {Peer: sluiceNoTap, Plus: true, Must: 0.5, Aim: 0.2}},
		},
	}
}

// jsonCase is orders of JSON of so many bytes, edited by Sluice and by peers
// with Lua; g is what it is to be in comparison with nginx. Beside it is what
// the same orders cost that no rule is for, and case 1.
func jsonCase(id, length string, size int, e traffic.Edit, g gate) benchCase {
	way := "on the text"
	if e == traffic.Total {
		way = "by value"
	}
	g.Name, g.Peer = sluiceEdit, nginxLua
	c := benchCase{
		ID: id, Title: fmt.Sprintf("HTTP/1.1 POST %s of JSON, 64 connections, edited %s: `%s`", length, way, e), Of: perRequest(),
		Spec:    traffic.Spec{Kind: traffic.Order, Size: size, Edit: e, Conns: 64},
		Others:  map[string]traffic.Spec{sluice: {Kind: traffic.Order, Size: size, Conns: 64}},
		Proxies: []string{sluiceEdit, sluice, nginxLua, haproxyLua},
		Gates:   []gate{g, {Name: sluiceEdit, Peer: haproxyLua}, {Name: sluiceEdit, Peer: sluice, Plus: true}},
	}
	switch id {
	case "10", "10s": // as in case 8
		c.Proxies, c.Gates = slices.DeleteFunc(c.Proxies, func(name string) bool { return name == sluice }), c.Gates[:2]
	case "8":
		c.Others[sluiceGet] = traffic.Spec{Kind: traffic.Get, Conns: 64}
		c.Proxies = slices.Insert(c.Proxies, 2, sluiceGet)
		c.Gates = append(c.Gates, gate{Name: sluiceEdit, Peer: sluiceGet, Plus: true, Aim: 3})
	}
	return c
}

// redirectCases compare a real REDIRECT with a listener of Sluice's own, in
// namespaces that are otherwise the same.
func redirectCases() []benchCase {
	ways := []string{redirected, direct}
	shown := []gate{{Name: redirected, Peer: direct, Plus: true}}
	return []benchCase{
		{ID: "R1", Title: "REDIRECT, HTTP/1.1 GET 100 B, 64 connections", Spec: traffic.Spec{Kind: traffic.Get, Conns: 64}, Of: perRequest(), Proxies: ways, Gates: shown},
		{ID: "R5", Title: "REDIRECT, gRPC unary, saturated", Spec: traffic.Spec{Kind: traffic.Unary, Conns: 8, Streams: 8}, Of: perRequest(), Proxies: ways, Gates: shown},
	}
}

// choose keeps the cases that the list names, by ID or by the number that it
// begins with; an empty list keeps all.
func choose(cases []benchCase, list string) ([]benchCase, error) {
	if list == "" {
		return cases, nil
	}
	var chosen []benchCase
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, c := range cases {
			if c.ID == name || strings.TrimRight(c.ID, "abcd") == name {
				chosen, found = append(chosen, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-case: there is no case %q", name)
		}
	}
	return chosen, nil
}

// only leaves the proxies of c that list names; an empty list leaves all.
func (c benchCase) only(list string) benchCase {
	if list != "" {
		names := strings.Split(list, ",")
		c.Proxies = slices.DeleteFunc(slices.Clone(c.Proxies), func(name string) bool { return !slices.Contains(names, name) })
	}
	return c
}

// usual is the kind of Sluice that a case is about.
func (c benchCase) usual() string {
	if c.Spec.Edit != "" {
		return sluiceEdit
	}
	return sluice
}

// specOf is the load that a proxy takes.
func (c benchCase) specOf(proxy string) traffic.Spec {
	if spec, ok := c.Others[proxy]; ok {
		return spec
	}
	return c.Spec
}

// timed is c with the durations of its runs. Connections that idle do it long
// enough for a collector and its scavenger to have come by.
func (c benchCase) timed(warm, length time.Duration) benchCase {
	c.Spec.Warm, c.Spec.For = warm, length
	if c.Go != nil {
		c.Spec.For = min(300*time.Millisecond, length)
	}
	if c.Spec.Kind == traffic.Idle {
		c.Spec.For = max(3*time.Second, length)
	}
	c.Others = maps.Clone(c.Others)
	for name, spec := range c.Others {
		spec.Warm, spec.For = warm, length
		c.Others[name] = spec
	}
	return c
}
