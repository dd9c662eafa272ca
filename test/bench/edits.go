package main

import (
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// luaOf is an edit as the peers do it to v, which their JSON library makes of
// the body and writes again.
func luaOf(e traffic.Edit) string {
	switch e {
	case traffic.Mask:
		return `v.user.email = "x"; v.password = nil`
	case traffic.Sum, traffic.Total:
		return `v.password = nil; local total = 0; for _, i in ipairs(v.items) do total = total + i.price * i.quantity end; v.total = total`
	}
	return ""
}

// ruleFiles are the rules that a kind of Sluice has, by their names.
func ruleFiles(kind string, e traffic.Edit) map[string]string {
	switch {
	case kind == sluiceRules:
		return map[string]string{"http": elsewhereHTTP, "grpc": elsewhereGRPC}
	case kind != sluiceEdit:
		return nil
	}
	files := map[string]string{}
	for _, size := range []int{traffic.SmallOrder, traffic.LargeOrder} {
		files[fmt.Sprintf("http-%d", size)] = editing("http: POST "+e.Path(size), e)
	}
	if e == traffic.Mask {
		files["grpc"] = editing("grpc: "+strings.TrimPrefix(e.Method(), "/"), e)
	}
	return files
}

func editing(match string, e traffic.Edit) string {
	return fmt.Sprintf("match:\n  %s\nrequest:\n  - jq: |\n      %s\n", match, e)
}

// elsewhere are rules that no request of the benchmarks matches, but that
// requests of any connection could: so Sluice has to look at each.
const (
	elsewhereHTTP = "match:\n  http: GET /nowhere/{id}\nresponse:\n  - jq: .found = true\n"
	elsewhereGRPC = "match:\n  grpc: bench.Nowhere/Get\nresponse:\n  - jq: .found = true\n"
)
