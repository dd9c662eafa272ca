package demo

import (
	"fmt"
	"io"
	"strings"
)

// Printer prints for people. Everything is indented by two but titles.
type Printer struct {
	Out    io.Writer
	Colour bool
}

// The colours, by what they say.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (p *Printer) paint(colour, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// Title begins a section.
func (p *Printer) Title(format string, args ...any) {
	fmt.Fprintf(p.Out, "\n%s\n", p.paint(bold, fmt.Sprintf(format, args...)))
}

// Say prints a paragraph, line by line.
func (p *Printer) Say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		p.line(strings.TrimSuffix(line, "\n"))
	}
}

// Space prints an empty line.
func (p *Printer) Space() { fmt.Fprintln(p.Out) }

func (p *Printer) line(s string) { fmt.Fprintln(p.Out, strings.TrimRight("  "+s, " ")) }

// Rule prints a rule file.
func (p *Printer) Rule(name string) error {
	text, err := Rule(name)
	if err != nil {
		return err
	}
	p.line(p.paint(dim, "rules/"+name+".yaml"))
	for line := range strings.Lines(text) {
		p.line("  " + p.paint(cyan, strings.TrimSuffix(line, "\n")))
	}
	return nil
}

// Changed prints two JSON objects, one member a line: of the first, those that
// are not in the second are marked; of the second, those that were not in the
// first.
func (p *Printer) Changed(before, after string) error {
	was, err := fieldsOf(before)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	is, err := fieldsOf(after)
	if err != nil {
		return fmt.Errorf("after: %w", err)
	}
	p.Space()
	p.line(p.paint(dim, "without Sluice"))
	p.object(was, is, "-", red)
	p.Space()
	p.line(p.paint(dim, "through Sluice"))
	p.object(is, was, "+", green)
	return nil
}

func (p *Printer) object(list, other []field, mark, colour string) {
	p.line("  {")
	for i, f := range list {
		comma := ","
		if i == len(list)-1 {
			comma = ""
		}
		text := fmt.Sprintf("%q: %s%s", f.name, f.value, comma)
		if has(other, f) {
			p.line("    " + text)
		} else {
			p.line(p.paint(colour, mark+"   "+text))
		}
	}
	p.line("  }")
}

// Exchange prints a call, its answer and a remark, which may be empty.
func (p *Printer) Exchange(call, answer string, good bool, remark string) {
	colour := green
	if !good {
		colour = red
	}
	status, rest, _ := strings.Cut(answer, " ")
	if remark != "" {
		remark = "   " + p.paint(dim, remark)
	}
	p.line(call + " -> " + p.paint(colour, status) + " " + rest + remark)
}

// Breaker prints a change of a breaker's state.
func (p *Printer) Breaker(clock, name, from, to, why string) {
	colour := cyan
	switch to {
	case "open":
		colour = red
	case "closed":
		colour = green
	}
	p.line("  " + p.paint(dim, clock) + "  breaker " + name + "  " + from + " -> " + p.paint(colour, to) + "   " + p.paint(dim, why))
}

// Pair prints a name and what it stands for, in columns.
func (p *Printer) Pair(name, value string) { p.line(fmt.Sprintf("%-22s%s", name, value)) }

// Try prints something to try: what it does, and the command.
func (p *Printer) Try(number int, what, command string) {
	p.line(fmt.Sprintf("%d. %s", number, what))
	p.line("   " + p.paint(cyan, command))
}
