package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// module is what the packages of benchmarks are in.
const module = "github.com/sluice-proxy/sluice/"

// perOp is what a benchmark of Go's took for one operation.
type perOp struct {
	Nanoseconds   float64 // that it had the processor for
	Bytes, Allocs float64
}

// goBenches runs benchmarks of Go's, pinned as the proxies are.
type goBenches struct {
	*lab
	built map[string]built // by package
}

// built is a package's tests.
type built struct{ binary, dir string }

// run runs one benchmark for so long, "1ms" or "100x". Its name is that which
// go test prints, without the Benchmark before it.
func (g *goBenches) run(ctx context.Context, pkg, name, length string) (perOp, error) {
	tests, err := g.build(ctx, pkg)
	if err != nil {
		return perOp{}, err
	}
	var exact []string
	for part := range strings.SplitSeq("Benchmark"+name, "/") {
		exact = append(exact, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := g.command(g.cpus.proxy, nil, tests.binary, "-test.run", "^$", "-test.bench", strings.Join(exact, "/"), "-test.benchtime", length, "-test.benchmem")
	cmd.Dir = tests.dir // of its testdata
	var errs strings.Builder
	cmd.Stderr = &errs
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	})
	defer stop()
	began := time.Now()
	out, err := cmd.Output()
	elapsed := time.Since(began)
	if ctx.Err() != nil {
		return perOp{}, ctx.Err()
	}
	if err != nil {
		return perOp{}, fmt.Errorf("benchmark %s of %s: %w\n%s%s", name, pkg, err, out, errs.String())
	}
	op, err := parseGoBench(string(out))
	if err != nil {
		return perOp{}, fmt.Errorf("benchmark %s of %s: %w", name, pkg, err)
	}
	// Go counts the time that passes. What others had of the processor meanwhile
	// was not the benchmark's, which never waits for anything else.
	op.Nanoseconds *= min(1, float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())/float64(elapsed))
	return op, nil
}

// build builds the tests of a package, once.
func (g *goBenches) build(ctx context.Context, pkg string) (built, error) {
	if tests, ok := g.built[pkg]; ok {
		return tests, nil
	}
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", module+pkg).Output()
	if err != nil {
		return built{}, fmt.Errorf("find %s: %w", pkg, err)
	}
	binary := filepath.Join(g.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, module+pkg).CombinedOutput(); err != nil {
		return built{}, fmt.Errorf("build the benchmarks of %s: %w\n%s", pkg, err, out)
	}
	tests := built{binary, strings.TrimSpace(string(dir))}
	g.built[pkg] = tests
	return tests, nil
}

// parseGoBench reads what one benchmark printed.
func parseGoBench(out string) (op perOp, err error) {
	found := 0
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		found++
		for i := 2; i+1 < len(fields); i += 2 {
			var to *float64
			switch fields[i+1] {
			case "ns/op":
				to = &op.Nanoseconds
			case "B/op":
				to = &op.Bytes
			case "allocs/op":
				to = &op.Allocs
			default:
				continue
			}
			if *to, err = strconv.ParseFloat(fields[i], 64); err != nil {
				return op, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	if found != 1 || op.Nanoseconds == 0 {
		return op, fmt.Errorf("want one benchmark, got %d:\n%s", found, out)
	}
	return op, nil
}

// runGo runs a case of Go's benchmarks as run does one of proxies.
func (r *runner) runGo(ctx context.Context, c benchCase) (outcome, error) {
	o := outcome{benchCase: c, By: map[string]samples{}}
	for round := range r.rounds {
		for i := range c.Proxies {
			name := c.Proxies[(i+round)%len(c.Proxies)]
			op, err := r.benches.run(ctx, c.Go.Package, c.Go.Names[name], c.Spec.For.String())
			if err != nil {
				return o, fmt.Errorf("case %s, %s: %w", c.ID, name, err)
			}
			const ops = 1000 // a part of a nanosecond counts
			result := traffic.Result{Count: ops, CPU: time.Duration(op.Nanoseconds * ops)}
			r.show(o, name, result)
			o.By[name] = append(o.By[name], result)
		}
	}
	return o, nil
}
