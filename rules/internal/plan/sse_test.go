package plan

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
	"github.com/sluice-proxy/sluice/codec/stream"
)

// anEvent is a server-sent event, mostly of JSON on one line.
func (c *choices) anEvent() string {
	end := c.pick("\n", "\n", "\n", "\r\n", "\r")
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, c.text())
	e := c.pick("", "", "", "", "\ufeff")
	for range c.of(3) {
		e += c.pick("event: e", "id: 7", ": comment", "retry: 3", "event:é", "id", "event: {}") + end
	}
	if c.of(8) == 7 {
		e += c.pick("event: \"", "id: \xff", "data", "id: \x01") + end
	}
	switch c.of(12) {
	case 0:
		text = c.pick("[DONE]", "1,\"x\":2", "1},{", " 1", "1 ", "", "\"a", "1\t", "{}{}", "nul", "\ufeff1")
	case 1:
		text = c.scalar()
	}
	e += c.pick("data: ", "data:") + strings.Trim(text, c.pick(" \t", " \t", " \t", "")) + end
	if c.of(4) == 3 {
		e += c.pick("event: late", "id:8", ":", "data: 1", "data:  1") + end
	}
	return e + c.pick(end, end, "")
}

// ofEvent makes steps of a message those of its data, or of the event as well.
func (c *choices) ofEvent(steps []Step) []Step {
	for i := range steps {
		s := &steps[i]
		if s.Stop {
			continue
		}
		switch c.of(8) {
		case 0:
			s.JQ = ".data |= (" + s.JQ + ")"
		case 1:
			s.JQ = "if ." + c.pick("event", "id", "other") + " == \"e\" then " + s.JQ + " else . end"
		case 2:
			s.JQ += " | ." + c.pick("event", "id", "other", "data") + " = " + c.literal()
		case 3:
			s.JQ = c.pick(`del(.data)`, `del(.event)`, `{data: .data, x: 1}`, `. + {data: 1, x: 2}`, `.data`, `{data}`, `map_values(.)`, `. = {data: 1, event: "f"}`, `.data |= 1`, `{data: 2, event: "x"}`, `. = {data: 1, x: {}}`, `.event = "z"`, `.data = .event`, `.data = .`, `.data = "a\nb"`, `del(.x)`, `.[] |= 1`)
		}
	}
	return steps
}

func seeded(random *rand.Rand, under string) *choices {
	seed := make([]byte, 500)
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	return &choices{bytes: seed, under: under}
}

func TestPlansAreTheirProgramsOnEvents(t *testing.T) {
	var edits, values tally
	random := rand.New(rand.NewPCG(7, 8))
	for range programs() {
		c := seeded(random, ".data")
		steps := c.ofEvent(c.steps())
		src := c.pick(c.cond(), "(.data | "+c.cond()+")", ".event == "+c.literal(), ".data", ".", "has(\"event\")", c.expr())
		for range 3 {
			event := []byte(c.anEvent())
			differ(t, stream.SSE{}, steps, event, &edits)
			differValue(t, stream.SSE{}, src, event, &values)
		}
	}
	t.Logf("edits %+v, values %+v", edits, values)
	if edits.sure < edits.compiled/5 || values.sure < values.compiled/5 {
		t.Error("mostly unsure")
	}
}

func TestPlansAreTheirProgramsOnRecords(t *testing.T) {
	var edits, values tally
	random := rand.New(rand.NewPCG(9, 10))
	for range programs() {
		c := seeded(random, "")
		steps, src := c.steps(), c.cond()
		text := c.pick("\x1e", "\x1e", "\x1e", "\x1e ", "") + c.pick(c.text(), c.text(), c.scalar()) + c.pick("\n", "\n", "", "\r\n", "\x1e")
		differ(t, stream.JSONSeq{}, steps, []byte(text), &edits)
		differValue(t, stream.JSONSeq{}, src, []byte(text), &values)
	}
	t.Logf("edits %+v, values %+v", edits, values)
	if edits.sure < edits.compiled/5 || values.sure < values.compiled/5 {
		t.Error("mostly unsure")
	}
}

func TestUsualProgramsRunOnEvents(t *testing.T) {
	for _, test := range []struct{ src, event, want string }{
		{`.data.a = 1`, "event: e\r\nid: 7\r\ndata: {\"a\" : 0, \"b\": 1.10}\r\n\r\n", "event: e\r\nid: 7\r\ndata: {\"a\" : 1, \"b\": 1.10}\r\n\r\n"},
		{`del(.data.secret)`, "data:{\"secret\":1,\"é\":2}\n\n", "data:{\"é\":2}\n\n"},
		{`if .event == "e" then .data.n += 1 else . end`, ": c\ndata: {\"n\":1}\nevent: e\n\n", ": c\ndata: {\"n\":2}\nevent: e\n\n"},
		{`.data = [.data]`, "data: 1\n\n", "data: [1]\n\n"},
		{`.data.a = 1`, "data: {\"a\":1}", "data: {\"a\":1}"},
	} {
		p, why := Compile([]Step{{JQ: test.src}}, nil)
		if p == nil {
			t.Fatal(why)
		}
		result, err := stream.SSE{}.Edit(nil, p, []byte(test.event), nil, codec.Limits{})
		if err != nil || result.Outcome == plan.Unsure || string(result.Data) != test.want {
			t.Errorf("%s on %q: got %v %q %v, want %q", test.src, test.event, result.Outcome, result.Data, err, test.want)
		}
	}
	deep := "data: " + strings.Repeat("[", 512) + strings.Repeat("]", 512) + "\n\n"
	p, _ := Compile([]Step{{JQ: `.data.a = 1`}}, nil)
	for _, event := range []string{deep, "data: [DONE]\n\n", "data: {\ndata: }\n\n", "event: e\n\n", "data: {}\n\ndata: {}\n\n", "data: " + strings.Repeat(" ", 9<<20)} {
		if result, err := (stream.SSE{}).Edit(nil, p, []byte(event), nil, codec.Limits{}); err != nil || result.Outcome != plan.Unsure {
			t.Errorf("%.20q: got %v %v", event, result.Outcome, err)
		}
	}
}

// FuzzEvents makes programs and events of bytes and compares both routes.
func FuzzEvents(f *testing.F) {
	f.Add([]byte{1, 6, 1, 8}, []byte{3, 3, 9, 8})
	f.Fuzz(func(t *testing.T, program, event []byte) {
		var n tally
		c, e := &choices{bytes: program, under: ".data"}, &choices{bytes: event}
		text := []byte(e.anEvent())
		differ(t, stream.SSE{}, c.ofEvent(c.steps()), text, &n)
		differValue(t, stream.SSE{}, c.cond(), text, &n)
	})
}
