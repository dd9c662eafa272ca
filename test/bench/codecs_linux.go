package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"
)

// comparison is one of our own ways with a message beside the usual way, in one
// process each, with no proxy around them.
type comparison struct {
	What    string
	Package string
	Ours    string // the benchmark's name, without the Benchmark before it
	Usual   string
	Is      string  // what the usual way is
	Times   float64 // so many times faster it has to be; 0: it is only shown
	Allocs  float64 // it may allocate so often; negative: it is only shown
}

// The usual ways.
const (
	standardJSON = "encoding/json, gojq"
	standardWire = "dynamicpb, protojson, gojq"
)

func comparisons() []comparison {
	var all []comparison
	for _, size := range []struct{ name, bytes string }{{"1 KiB", "1024"}, {"16 KiB", "16384"}} {
		edit := func(program, way string) string { return "Edit/" + program + "/" + size.bytes + "/" + way }
		ofJSON := func(what, program, way string, times, allocs float64) comparison {
			return comparison{"JSON " + size.name + ", " + what, "rules/internal/plan", edit(program, way), edit(program, "encoding-json"), standardJSON, times, allocs}
		}
		all = append(all,
			ofJSON("simple edit, on the text", "simple", "plan", 20, 0),
			ofJSON("simple edit, by value", "simple", "jq", 1.6, -1),
			ofJSON("condition and function, on the text", "when", "plan", 0, -1),
			ofJSON("every element, on the text", "loop", "plan", 0, -1),
			ofJSON("arithmetic of every element, on the text", "update", "plan", 0, -1),
			ofJSON("filter of an array, on the text", "filter", "plan", 0, -1),
			comparison{"JSON " + size.name + ", decode", "codec/json", "Decode/sluice/" + size.bytes, "Decode/encoding-json/" + size.bytes, "encoding/json", 0, -1},
		)
	}
	for _, program := range []struct{ name, what string }{{"simple", "simple edit"}, {"when", "condition"}, {"loop", "every element"}} {
		what, edit, value := "protobuf 0.5 KiB, "+program.what, "Edit/"+program.name, "AnyOnWire/"+program.name
		most := 0.0
		if program.name == "simple" {
			most = 100
		}
		all = append(all,
			comparison{what + ", on the wire", "codec/protobuf", edit + "/plan", edit + "/dynamicpb-protojson", standardWire, most, -1},
			comparison{what + ", by value", "rules/internal/plan", value + "/sluice", value + "/standard", standardWire, 5, -1},
		)
	}
	ofRules := func(what, ours, is, usual string) comparison {
		return comparison{what, "rules", ours, usual, is, 0, -1}
	}
	return append(all,
		ofRules("a match among 1,000 routes", "Match/1000", "among 10", "Match/10"),
		ofRules("`where` of a head, as a plan", "Conditions/where/plan=true", "as a program", "Conditions/where/plan=false"),
		ofRules("a `head` step that edits", "Step/head/edits", "whose `when` is false", "Step/head/passes"),
		ofRules("a `jq` step, JSON 1 KiB, as a plan", "Step/jq/plan", "as closures, by value", "Step/jq/closures"),
		ofRules("the same as closures, by value", "Step/jq/closures", "by gojq", "Step/jq/gojq"),
		ofRules("a `jq` step that folds, as closures", "Step/fold/closures", "by gojq", "Step/fold/gojq"),
		ofRules("a `when` of the body that is false, as a plan", "Step/when/plan", "as closures, by value", "Step/when/value"),
		ofRules("a `reject` that looks at every element, as a plan", "Step/reject/plan", "as closures, by value", "Step/reject/value"),
		comparison{"protobuf 0.5 KiB, decode", "codec/protobuf", "Decode/sluice", "Decode/dynamicpb-protojson", "dynamicpb, protojson", 0, -1},
		comparison{"a rule's steps, JSON 1 KiB, on the text", "rules", "Steps/text", "Steps/value", "the same by value", 0, -1},
		comparison{"XML 1 KiB, edit by value", "codec/xml", "Edit/sluice/1024", "Edit/encoding-xml-tokens/1024", "encoding/xml, its tokens alone", 0, -1},
		comparison{"YAML 1 KiB, edit by value", "codec/yaml", "Edit/sluice/1024", "Edit/goyaml/1024", "go.yaml.in/yaml", 0, -1},
	)
}

// compared is what the rounds of a comparison gave.
type compared struct {
	comparison
	ours, usual []perOp
}

// benchCodecs is the run without traffic.
func benchCodecs(ctx context.Context, dir string, o options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	g := &goBenches{lab: &lab{dir: dir, self: self, cpus: o.cpus}, built: map[string]built{}}
	began := time.Now()
	all, err := g.compareCodecs(ctx, o.rounds, o.length, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return err
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "Measured on %s, commit %s, %d rounds of %v, in %v.\n\n", began.UTC().Format("2006-01-02 15:04 MST"), commit(), o.rounds, o.length,
		time.Since(began).Round(time.Second))
	fmt.Fprintf(&report, "Machine: %s, Linux %s, %s.\n\n", processor(), kernel(), runtime.Version())
	writeCodecs(&report, all)
	if _, err := os.Stdout.Write(report.Bytes()); err != nil || o.out == "" {
		return err
	}
	return writeInto(o.out, codecsSection, report.Bytes())
}

// compareCodecs runs all comparisons, both sides of each in turns.
func (g *goBenches) compareCodecs(ctx context.Context, rounds int, length time.Duration, progress func(format string, args ...any)) ([]compared, error) {
	var all []compared
	for _, c := range comparisons() {
		done := compared{comparison: c}
		for round := range rounds {
			sides := []struct {
				name string
				to   *[]perOp
			}{{c.Ours, &done.ours}, {c.Usual, &done.usual}}
			if round%2 == 1 {
				slices.Reverse(sides)
			}
			for _, side := range sides {
				op, err := g.run(ctx, c.Package, side.name, length.String())
				if err != nil {
					return nil, err
				}
				*side.to = append(*side.to, op)
			}
		}
		progress("%s: %.1f times faster", c.What, done.times())
		all = append(all, done)
	}
	return all, nil
}

// times is how many times faster ours is.
func (c compared) times() float64 {
	return medianOf(c.usual, perOp.nanoseconds) / medianOf(c.ours, perOp.nanoseconds)
}

// verdict is empty where nothing is asked.
func (c compared) verdict() string {
	switch {
	case c.Times == 0 && c.Allocs < 0:
		return ""
	case c.times() < c.Times || c.Allocs >= 0 && medianOf(c.ours, perOp.allocs) > c.Allocs:
		return "**fail**"
	}
	return "pass"
}

func (op perOp) nanoseconds() float64 { return op.Nanoseconds }
func (op perOp) bytes() float64       { return op.Bytes }
func (op perOp) allocs() float64      { return op.Allocs }

func medianOf(ops []perOp, of func(perOp) float64) float64 {
	values := make([]float64, len(ops))
	for i, op := range ops {
		values[i] = of(op)
	}
	slices.Sort(values)
	return quantile(values, .5)
}

func writeCodecs(w io.Writer, all []compared) {
	row(w, "what", "µs", "B", "allocations", "beside", "µs", "B", "allocations", "times faster", "gate", "")
	row(w, "---", "---:", "---:", "---:", "---", "---:", "---:", "---:", "---:", "---:", "---")
	for _, c := range all {
		cells := []string{c.What}
		for _, side := range [][]perOp{c.ours, c.usual} {
			cells = append(cells, number(medianOf(side, perOp.nanoseconds)/1e3, 2), number(medianOf(side, perOp.bytes), 0), number(medianOf(side, perOp.allocs), 0))
		}
		gate := "–"
		if c.Times > 0 {
			gate = fmt.Sprintf("%.1f ×", c.Times)
		}
		if c.Allocs >= 0 {
			gate += fmt.Sprintf(", %.0f allocations", c.Allocs)
		}
		cells = slices.Insert(cells, 4, c.Is)
		row(w, append(cells, fmt.Sprintf("%.1f ×", c.times()), gate, c.verdict())...)
	}
}
