package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// took is the result of a thousand requests of so many microseconds each.
func took(micros float64) traffic.Result {
	return traffic.Result{
		Count: 1000, Elapsed: 100 * time.Millisecond, CPU: time.Duration(micros * 1e6),
		P50: time.Millisecond, P99: 2500 * time.Microsecond, RSS: 10 << 20, Peak: 12 << 20,
	}
}

func TestQuantilesAreBetweenValues(t *testing.T) {
	tests := []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, .5, 7},
		{[]float64{1, 2, 3}, .5, 2},
		{[]float64{1, 2, 3, 10}, .5, 2.5},
		{[]float64{1, 2, 3}, 1, 3},
		{[]float64{1, 2, 3}, 0, 1},
	}
	for _, tt := range tests {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v): got %v, want %v", tt.values, tt.q, got, tt.want)
		}
	}
	if got := quantile(nil, .5); !math.IsNaN(got) {
		t.Errorf("of nothing: got %v, want NaN", got)
	}
}

func TestTablesShowMediansRatiosAndGates(t *testing.T) {
	failed := took(1)
	failed.Errors, failed.Error = 1, "got 502 | refused"
	o := outcome{
		benchCase: benchCase{
			ID: "1", Title: "GET", Of: perRequest(), Proxies: []string{sluice, sluiceRules, nginx, haproxy},
			Gates: []gate{
				{Peer: nginx, Must: 1.25, Aim: 1},
				{Peer: haproxy, Must: 1.25, Aim: 1},
				{Name: sluiceRules, Peer: sluice, Plus: true, Must: 0.5, Aim: 0.2},
				{Must: 40, Aim: 25},
				{Peer: reverseProxy, Must: 1, Aim: 1},
				{Name: sluiceRules, Peer: sluice},
			},
		},
		By: map[string]samples{
			sluice:      {took(21), took(24), took(90)},
			sluiceRules: {took(24), took(24.4), took(25)},
			nginx:       {took(20), took(19), took(22)},
			haproxy:     {took(20), failed},
		},
	}
	var b strings.Builder
	writeTables(&b, []outcome{o})
	want := `
| case | what | unit | figure | compared with | result | gate | aim |  |
| --- | --- | --- | ---: | --- | ---: | ---: | ---: | --- |
| 1 | GET | µs/request | sluice 24.0 | nginx 20.0 | 1.20 × | 1.25 × | 1.00 × | pass |
| 1 | GET | µs/request | sluice 24.0 | haproxy – | – | 1.25 × | 1.00 × | **fail** |
| 1 | GET | µs/request | sluice+rules 24.4 | sluice 24.0 | +0.40 | +0.50 | +0.20 | pass |
| 1 | GET | µs/request | sluice 24.0 | – | 24.0 µs/request | 40.0 µs/request | 25.0 µs/request | pass, aim reached |
| 1 | GET | µs/request | sluice+rules 24.4 | sluice 24.0 | 1.02 × | – | – |  |

| case | proxy | unit | median | min … max | p50 ms | p99 ms | units/s | CPU % | RSS MiB | peak MiB |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 1 | sluice | µs/request | 24.0 | 21.0 … 90.0 | 1.00 | 2.50 | 10000 | 24 | 10.0 | 12.0 |
| 1 | sluice+rules | µs/request | 24.4 | 24.0 … 25.0 | 1.00 | 2.50 | 10000 | 24 | 10.0 | 12.0 |
| 1 | nginx | µs/request | 20.0 | 19.0 … 22.0 | 1.00 | 2.50 | 10000 | 20 | 10.0 | 12.0 |
| 1 | haproxy | µs/request | **failed** | got 502 / refused |  |  |  |  |  |  |
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestARunReplacesWhatIsBetweenTheMarks(t *testing.T) {
	const begin, end = "<!-- codecs: begin -->", "<!-- codecs: end -->"
	document := "before\n" + begin + "\nold\n" + end + "\nafter\n"
	got, err := replaceSection([]byte(document), codecsSection, []byte("new\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + begin + "\n\nnew\n\n" + end + "\nafter\n"
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := replaceSection([]byte(document), trafficSection, nil); err == nil {
		t.Error("a document without that section: want an error")
	}
}

func TestCasesAreChosenByIDAndByNumber(t *testing.T) {
	tests := map[string]string{"": "1 2 3 4 5 6 7 8 9 10 10s 11 12 13a 13b 13c 14 15a 15b", "5,1": "5 1", "13": "13a 13b 13c", "15b": "15b"}
	for list, want := range tests {
		chosen, err := choose(allCases(20_000), list)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range chosen {
			ids = append(ids, c.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("-case %q: got %s, want %s", list, got, want)
		}
	}
	if _, err := choose(allCases(20_000), "99"); err == nil {
		t.Error("-case 99: want an error")
	}
}

// The table says so.
func TestEditsRunOnTheTextOrByValue(t *testing.T) {
	for edit, onText := range map[traffic.Edit]bool{traffic.Mask: true, traffic.Sum: true, traffic.Total: false} {
		var files []rules.File
		for name, text := range ruleFiles(sluiceEdit, edit) {
			files = append(files, rules.File{Name: name + ".yaml", Text: []byte(text)})
		}
		set, problems := rules.Compile(files)
		if set == nil || len(set.Routes()) != len(files) {
			t.Fatalf("%s: %v", edit, problems)
		}
		for _, route := range set.Routes() {
			if got := route.Request().RunsOn(json.Codec{}); got != onText {
				t.Errorf("%s, %s: on the text: %t, want %t: %s", edit, route.Name(), got, onText, route.Request().Why())
			}
		}
	}
}

func TestAnAimWithoutAGateIsReachedOrMissed(t *testing.T) {
	o := outcome{
		benchCase: benchCase{ID: "8", Title: "a | b", Of: perRequest(), Gates: []gate{{Peer: nginx, Plus: true, Aim: 3}, {Name: haproxy, Peer: nginx, Plus: true, Aim: 3}}},
		By:        map[string]samples{sluice: {took(24)}, haproxy: {took(22)}, nginx: {took(20)}},
	}
	var b strings.Builder
	writeGates(&b, []outcome{o})
	for _, want := range []string{
		"| 8 | a \\| b | µs/request | sluice 24.0 | nginx 20.0 | +4.00 | – | +3.00 | aim missed |\n",
		"| 8 | a \\| b | µs/request | haproxy 22.0 | nginx 20.0 | +2.00 | – | +3.00 | aim reached |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got:\n%s\nwant in it:\n%s", b.String(), want)
		}
	}
}
