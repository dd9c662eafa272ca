package programs

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/rules"
)

// way is one of those in which a program meets a payload. It returns nil if it has none
// for the program: the rule is refused.
type way struct {
	name string
	run  func(t *testing.T, program string, p payload) func() error
}

// payload is a hostile body in all forms, decoded if it can be.
type payload struct {
	text    []byte
	value   codec.Value
	message []byte // protobuf: the text in a google.protobuf.Value; nil if it cannot be
}

func ways() []way {
	return []way{
		{"closures, or gojq where they cannot", func(t *testing.T, program string, p payload) func() error {
			return onValue(t, step("jq", program), p)
		}},
		{"gojq", func(t *testing.T, program string, p payload) func() error {
			return onValue(t, step("jq", forGojq(program)), p)
		}},
		{"a plan on the text", func(t *testing.T, program string, p payload) func() error {
			return onText(t, step("jq", program), json.Codec{}, p.text)
		}},
		{"a condition", func(t *testing.T, program string, p payload) func() error {
			return onValue(t, step("when", "("+program+") == 1"), p)
		}},
		{"a plan of a condition", func(t *testing.T, program string, p payload) func() error {
			return onText(t, step("when", "("+program+") == 1"), json.Codec{}, p.text)
		}},
		{"a breaker's failure", failure},
		{"a field of a protobuf message", func(t *testing.T, program string, p payload) func() error {
			return onMessage(t, step("jq", ".body |= ("+program+")"), p)
		}},
	}
}

// step is a rule file of one step, whose clock does not end it before its steps do.
func step(key, program string) string {
	text := "request:\n  - " + key + ": |\n      " + strings.ReplaceAll(program, "\n", "\n      ") + "\n"
	if key == "when" {
		text += "    reject: {status: 400}\n"
	}
	return text + "limits: {time: 1m}\n"
}

// forGojq is program with a part that closures do not know.
func forGojq(program string) string { return `(try error("x") catch .) as $other | (` + program + `)` }

func compile(t *testing.T, text string) *rules.Route {
	set, problems := rules.Compile([]rules.File{{Name: "rules/hostile.yaml", Text: []byte(text)}})
	if set == nil {
		t.Logf("refused: %s", problems[0].Message)
		return nil
	}
	return set.Routes()[0]
}

func input() rules.In {
	head := &rules.Head{Method: "POST", Path: "/"}
	return rules.In{Request: &rules.Request{Head: head}, Head: head, Now: time.Unix(0, 0)}
}

// onValue runs a step on what the payload reads as.
func onValue(t *testing.T, text string, p payload) func() error {
	route := compile(t, text)
	if route == nil {
		return nil
	}
	return func() error {
		in := input()
		in.Body.Value = p.value
		_, err := route.Request().Run(t.Context(), in)
		return err
	}
}

// onText runs a step on the payload as it stands, if there is a plan for it. Where that
// is not sure, the other ways tell.
func onText(t *testing.T, text string, format codec.Codec, data []byte) func() error {
	route := compile(t, text)
	if route == nil || !route.Request().RunsOn(format) {
		return nil
	}
	return func() error {
		_, _, _, err := route.Request().RunOn(t.Context(), input(), format, data, codec.Limits{})
		return err
	}
}

// onMessage runs a step on what a protobuf message reads as.
func onMessage(t *testing.T, text string, p payload) func() error {
	route, message := compile(t, text), messageCodec(t)
	if route == nil || p.message == nil {
		return nil
	}
	v, _, err := message.Decode(p.message, codec.Limits{})
	if err != nil {
		return func() error { return err }
	}
	return func() error {
		in := input()
		in.Body.Value = v
		_, err := route.Request().Run(t.Context(), in)
		return err
	}
}

func failure(t *testing.T, program string, p payload) func() error {
	route := compile(t, "upstream:\n  breaker:\n    failure: |\n      (.body | "+program+") == 1\nlimits: {time: 1m}\n")
	if route == nil {
		return nil
	}
	return func() error {
		o := rules.Outcome{Status: 200, Body: p.value}
		if _, sure := route.Breaker().FailedOn(o, json.Codec{}, p.text, codec.Limits{}, time.Unix(0, 0)); sure {
			return nil
		}
		_, err := route.Breaker().Failed(t.Context(), o, time.Unix(0, 0))
		return err
	}
}

func messageCodec(t *testing.T) codec.Codec {
	files, err := protobuf.NewFiles(protobuf.File{Name: "hostile.proto", Data: []byte(`syntax = "proto3";
		import "google/protobuf/struct.proto";
		message Hostile { google.protobuf.Value body = 1; }`)})
	if err != nil {
		t.Fatal(err)
	}
	message, err := files.Message("Hostile")
	if err != nil {
		t.Fatal(err)
	}
	return message
}
