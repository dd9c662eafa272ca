package main

import (
	"strings"
	"testing"
)

func TestGoBenchmarksAreRead(t *testing.T) {
	const good = "goos: linux\npkg: example\nBenchmarkEdit/simple/1024/plan \t  912345\t      1094 ns/op\t 936.80 MB/s\t       3 B/op\t       1 allocs/op\nPASS\n"
	got, err := parseGoBench(good)
	if want := (perOp{Nanoseconds: 1094, Bytes: 3, Allocs: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, bad := range map[string]string{
		"none":         "PASS\n",
		"two":          good + good,
		"no time":      strings.Replace(good, "ns/op", "x/op", 1),
		"not a number": strings.Replace(good, "1094", "1o94", 1),
	} {
		if op, err := parseGoBench(bad); err == nil {
			t.Errorf("%s: got %+v, want an error", name, op)
		}
	}
}

func TestCodecsAreComparedByMedians(t *testing.T) {
	ops := func(micros ...float64) (all []perOp) {
		for _, m := range micros {
			all = append(all, perOp{Nanoseconds: 1000 * m, Bytes: 64, Allocs: 2})
		}
		return all
	}
	all := []compared{
		{comparison{What: "fast", Is: "usual", Times: 20, Allocs: -1}, ops(1, 2, 90), ops(39, 40, 50)},
		{comparison{What: "slow", Is: "usual", Times: 20.1, Allocs: -1}, ops(2), ops(40)},
		{comparison{What: "waste", Is: "usual", Times: 20, Allocs: 0}, ops(2), ops(40)},
		{comparison{What: "shown", Is: "usual", Allocs: -1}, ops(2), ops(1)},
	}
	var b strings.Builder
	writeCodecs(&b, all)
	want := `
| what | µs | B | allocations | beside | µs | B | allocations | times faster | gate |  |
| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |
| fast | 2.00 | 64 | 2 | usual | 40.00 | 64 | 2 | 20.0 × | 20.0 × | pass |
| slow | 2.00 | 64 | 2 | usual | 40.00 | 64 | 2 | 20.0 × | 20.1 × | **fail** |
| waste | 2.00 | 64 | 2 | usual | 40.00 | 64 | 2 | 20.0 × | 20.0 ×, 0 allocations | **fail** |
| shown | 2.00 | 64 | 2 | usual | 1.00 | 64 | 2 | 0.5 × | – |  |
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
