package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
)

// outcome is one case with what was measured of its proxies.
type outcome struct {
	benchCase
	By map[string]samples
}

// figure is the median of one proxy; NaN if it has none or failed.
func (o outcome) figure(proxy string) float64 {
	s := o.By[proxy]
	if s.failed() != "" {
		return math.NaN()
	}
	return s.median(o.Of.Of)
}

// held reports whether the gate holds, and what was compared with Must.
func (o outcome) held(g gate) (value float64, held bool) {
	value = o.figure(g.name())
	switch {
	case g.Peer == "":
	case g.Plus:
		value -= o.figure(g.Peer)
	default:
		value /= o.figure(g.Peer)
	}
	return value, g.Must == 0 || value <= g.Must // of NaN: false
}

func (g gate) name() string {
	if g.Name != "" {
		return g.Name
	}
	return sluice
}

// measured reports whether both sides of a gate were run.
func (g gate) measured(o outcome) bool {
	return len(o.By[g.name()]) > 0 && (g.Peer == "" || len(o.By[g.Peer]) > 0)
}

// writeTables writes both tables: the gates, and everything.
func writeTables(w io.Writer, outcomes []outcome) {
	writeGates(w, outcomes)
	fmt.Fprintln(w)
	writeAll(w, outcomes)
}

func writeGates(w io.Writer, outcomes []outcome) {
	row(w, "case", "what", "unit", "figure", "compared with", "result", "gate", "aim", "")
	row(w, "---", "---", "---", "---:", "---", "---:", "---:", "---:", "---")
	for _, o := range outcomes {
		for _, g := range o.Gates {
			if !g.measured(o) {
				continue
			}
			value, held := o.held(g)
			verdict := "**fail**"
			switch {
			case g.Must == 0 && g.Aim == 0:
				verdict = ""
			case g.Must == 0 && value <= g.Aim:
				verdict = "aim reached"
			case g.Must == 0:
				verdict = "aim missed"
			case g.Aim != 0 && value <= g.Aim:
				verdict = "pass, aim reached"
			case held:
				verdict = "pass"
			}
			peer, format := "–", "%.1f "+o.Of.Unit
			switch {
			case g.Plus:
				peer, format = fmt.Sprintf("%s %s", g.Peer, number(o.figure(g.Peer), o.Of.Digits)), "%+.2f"
			case g.Peer != "":
				peer, format = fmt.Sprintf("%s %s", g.Peer, number(o.figure(g.Peer), o.Of.Digits)), "%.2f ×"
			}
			must, aim := "–", "–"
			if g.Must != 0 {
				must = fmt.Sprintf(format, g.Must)
			}
			if g.Aim != 0 {
				aim = fmt.Sprintf(format, g.Aim)
			}
			result := "–"
			if !math.IsNaN(value) {
				result = fmt.Sprintf(format, value)
			}
			row(w, o.ID, strings.ReplaceAll(o.Title, "|", `\|`), o.Of.Unit, fmt.Sprintf("%s %s", g.name(), number(o.figure(g.name()), o.Of.Digits)), peer,
				result, must, aim, verdict)
		}
	}
}

func writeAll(w io.Writer, outcomes []outcome) {
	row(w, "case", "proxy", "unit", "median", "min … max", "p50 ms", "p99 ms", "units/s", "CPU %", "RSS MiB", "peak MiB")
	row(w, "---", "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	for _, o := range outcomes {
		for _, proxy := range o.Proxies {
			s := o.By[proxy]
			if len(s) == 0 {
				continue
			}
			if failure := s.failed(); failure != "" {
				row(w, o.ID, proxy, o.Of.Unit, "**failed**", strings.ReplaceAll(failure, "|", "/"), "", "", "", "", "", "")
				continue
			}
			values := s.values(o.Of.Of)
			spread := number(values[0], o.Of.Digits) + " … " + number(values[len(values)-1], o.Of.Digits)
			cells := []string{o.ID, proxy, o.Of.Unit, number(o.figure(proxy), o.Of.Digits), spread}
			if s[0].Elapsed == 0 {
				cells = append(cells, "", "", "", "")
			} else {
				cells = append(cells, latency(s.median(p50)), latency(s.median(p99)), number(s.median(rate), 0), number(s.median(busy), 0))
			}
			if s[0].RSS == 0 {
				row(w, append(cells, "", "")...)
				continue
			}
			row(w, append(cells, number(s.median(rss), 1), number(s.median(peak), 1))...)
		}
	}
}

func row(w io.Writer, cells ...string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

func number(v float64, digits int) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// latency is empty for what has none.
func latency(ms float64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ms)
}

// The sections of BENCHMARKS.md that a run writes.
const (
	trafficSection = "measured"
	codecsSection  = "codecs"
)

// replaceSection puts text between the marks of a document's section.
func replaceSection(document []byte, section string, text []byte) ([]byte, error) {
	begin, end := []byte("<!-- "+section+": begin -->"), []byte("<!-- "+section+": end -->")
	before, rest, ok := bytes.Cut(document, begin)
	_, after, ok2 := bytes.Cut(rest, end)
	if !ok || !ok2 {
		return nil, fmt.Errorf("no %s and %s in it", begin, end)
	}
	return bytes.Join([][]byte{before, begin, []byte("\n\n"), bytes.TrimSpace(text), []byte("\n\n"), end, after}, nil), nil
}
