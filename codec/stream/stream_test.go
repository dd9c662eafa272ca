package stream_test

import (
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/stream"
)

type (
	o = map[string]any
	a = []any
	e = codectest.Edit
)

func nested(before, after string) func(n int) []byte {
	return func(n int) []byte {
		return []byte(before + strings.Repeat("[", n) + strings.Repeat("]", n) + after)
	}
}

func TestNDJSON(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   stream.NDJSON{},
		Deep:    nested("", "\n"),
		Invalid: []string{"", " \n", "{", "1 2\n", "{\n}\n", "1\n2\n", "1\n\n", "\xff"},
		Cases: []codectest.Case{
			{
				Name: "a line", In: " {\"a\" : 1.10, \"b\":[ 1 ]}\t\r\n", Value: o{"a": 1.1, "b": a{1}},
				Edits: []e{
					{JQ: `.b[0] = 2`, Out: " {\"a\" : 1.10, \"b\":[ 2 ]}\t\r\n"},
					{JQ: `.c = "\n"`, Out: " {\"a\" : 1.10, \"b\":[ 1 ], \"c\":\"\\n\"}\t\r\n"},
					{JQ: `.a`, Out: " 1.10\t\r\n"},
					{JQ: `.b[0] = nan`, Err: "ndjson: .b[0]: JSON has no NaN"},
				},
			},
			{Name: "the last line", In: "[1]", Value: a{1}, Edits: []e{{JQ: `.[0] = 2`, Out: "[2]"}}},
			{Name: "a byte order mark", In: "\ufeff1\n", Value: 1, Edits: []e{{JQ: `2`, Out: "\ufeff2\n"}}},
		},
	})
}

func TestJSONSeq(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   stream.JSONSeq{},
		Deep:    nested("\x1e", "\n"),
		Invalid: []string{"", "\x1e", "\x1e\n", "1\n", "\x1e1", "\x1etrue", "\x1enull", "\x1e-1.5", "\x1e{\n", "\x1e1\n2\n", "\x1e\x1e1\n", " \x1e1\n", "{}\n"},
		Cases: []codectest.Case{
			{
				Name: "lines", In: "\x1e {\n\"a\": 1}\n", Value: o{"a": 1},
				Edits: []e{
					{JQ: `.a = 2`, Out: "\x1e {\n\"a\": 2}\n"},
					{JQ: `null`, Out: "\x1e null\n"},
					{JQ: `.a = infinite`, Err: "json-seq: .a: JSON has no infinity"},
				},
			},
			{Name: "no line end", In: "\x1e[1]", Value: a{1}, Edits: []e{{JQ: `. + [2]`, Out: "\x1e[1,2]"}, {JQ: `7`, Out: "\x1e7\n"}, {JQ: `"x"`, Out: "\x1e\"x\""}}},
			{Name: "a number", In: "\x1e1 ", Value: 1, Edits: []e{{JQ: `false`, Out: "\x1efalse "}}},
		},
	})
}

func TestSSE(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   stream.SSE{},
		Deep:    nested("data: ", "\n\n"),
		Invalid: []string{"data: 1\n\ndata: 2\n\n", "\n\n", "\r\n\n", "data\n\n:\n"},
		Cases: []codectest.Case{
			{
				Name: "an event", In: "event:add\r\n: note\r\nid: 7\r\ndata: {\"a\" : 1.10}\r\nretry: 10\r\nx\r\n\r\n",
				Value: o{"event": "add", "id": "7", "data": o{"a": 1.1}},
				Edits: []e{
					{JQ: `.data.a = 2`, Out: "event:add\r\n: note\r\nid: 7\r\ndata: {\"a\" : 2}\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.data = "a\nb"`, Out: "event:add\r\n: note\r\nid: 7\r\ndata: \"a\\nb\"\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.event = "del"`, Out: "event:del\r\n: note\r\nid: 7\r\ndata: {\"a\" : 1.10}\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.event = " x"`, Out: "event:  x\r\n: note\r\nid: 7\r\ndata: {\"a\" : 1.10}\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.id = 8`, Out: "event:add\r\n: note\r\nid: 8\r\ndata: {\"a\" : 1.10}\r\nretry: 10\r\nx\r\n\r\n", Normal: true},
					{JQ: `del(.id) | .event = null`, Out: ": note\r\ndata: {\"a\" : 1.10}\r\nretry: 10\r\nx\r\n\r\n", Normal: true},
					{JQ: `del(.data)`, Out: "event:add\r\n: note\r\nid: 7\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.data = null`, Out: "event:add\r\n: note\r\nid: 7\r\ndata: null\r\nretry: 10\r\nx\r\n\r\n"},
					{JQ: `.retry = 1`, Err: "sse: .retry: an event has event, id and data alone"},
					{JQ: `.event = "a\nb"`, Err: "sse: .event: there is no place for a line end, nor for NUL in an id"},
					{JQ: `.id = "\u0000"`, Err: "sse: .id: there is no place for a line end, nor for NUL in an id"},
					{JQ: `.id = true`, Err: "sse: .id: it is a string, and boolean is none"},
					{JQ: `.data.a = nan`, Err: "sse: .data.a: JSON has no NaN"},
					{JQ: `.data = [nan]`, Err: "sse: .data[0]: JSON has no NaN"},
					{JQ: `.data`, Err: "sse: .a: an event has event, id and data alone"},
					{JQ: `1`, Err: "sse: .: an event is an object, and number is none"},
				},
			},
			{
				Name: "plain text", In: "data: a\ndata\ndata:  b\n\n", Value: o{"data": "a\n\n b"},
				Edits: []e{
					{JQ: `.data = "a\nx"`, Out: "data: a\ndata: x\n\n"},
					{JQ: `.data += "\n c\nd"`, Out: "data: a\ndata\ndata:  b\ndata:  c\ndata: d\n\n"},
					{JQ: `.data = "1"`, Out: "data: 1\n\n", Normal: true},
					{JQ: `.data = ""`, Out: "data: \n\n"},
					{JQ: `.data = {a: 1}`, Out: "data: {\"a\":1}\n\n"},
					{JQ: `.data = "\r"`, Err: "sse: .data: a carriage return has no place in a plain text"},
					{JQ: `.id = "1" | .event = "e"`, Out: "event: e\nid: 1\ndata: a\ndata\ndata:  b\n\n"},
				},
			},
			{
				Name: "lines of JSON", In: "data:{\rdata:\"a\": 1,\rid\rdata:\"b\": 2}\r\r", Value: o{"id": "", "data": o{"a": 1, "b": 2}},
				Edits: []e{
					{JQ: `.data.a = 3`, Out: "data:{\rdata:\"a\": 3,\rid\rdata:\"b\": 2}\r\r"},
					{JQ: `.data = [1]`, Out: "data:[1]\rid\r\r"},
					{JQ: `.id = "x"`, Out: "data:{\rdata:\"a\": 1,\rid: x\rdata:\"b\": 2}\r\r"},
				},
			},
			{
				Name: "fields of one name", In: "id: 1\nid: a\x00\nevent: a\nid: 2\nevent: b\ndata: x\n\n", Value: o{"id": "2", "event": "b", "data": "x"},
				Edits: []e{
					{JQ: `.id = "3"`, Out: "id: a\x00\nevent: a\nid: 3\nevent: b\ndata: x\n\n"},
					{JQ: `del(.event)`, Out: "id: 1\nid: a\x00\nid: 2\ndata: x\n\n"},
				},
			},
			{
				Name: "line ends of all kinds", In: "data: x\rid: 1\n\n", Value: o{"data": "x", "id": "1"},
				Edits: []e{{JQ: `del(.id)`, Out: "data: x\r\n\n"}},
			},
			{
				Name: "no end", In: "id: 1\r\ndata: x", Value: o{"data": "x", "id": "1"},
				Edits: []e{{JQ: `.data = "a\nb"`, Out: "id: 1\r\ndata: a\r\ndata: b\r\n"}, {JQ: `.data = "a"`, Out: "id: 1\r\ndata: a"}},
			},
			{Name: "not UTF-8", In: "data: a\xff\ndata: b\n\n", Value: o{"data": "a\ufffd\nb"}, Edits: []e{{JQ: `.data = "a\ufffd\nc"`, Out: "data: a\xff\ndata: c\n\n"}}},
			{
				Name: "nothing", In: "", Value: o{},
				Edits: []e{{JQ: `{data: "1"}`, Out: "data: \"1\"\n"}, {JQ: `{data: "[DONE]"}`, Out: "data: [DONE]\n"}, {JQ: `{data: "\r"}`, Out: "data: \"\\r\"\n"}},
			},
			{Name: "a byte order mark", In: "\ufeffdata: 1\n\n", Value: o{"data": 1}, Edits: []e{{JQ: `.id = "x"`, Out: "\ufeffid: x\ndata: 1\n\n"}}},
			{Name: "a comment alone", In: ": x", Value: o{}, Edits: []e{{JQ: `.data = 1`, Out: ": x\ndata: 1\n"}}},
		},
	})
}

func TestNewSSE(t *testing.T) {
	out, err := stream.SSE{}.Encode(nil, o{"event": "e", "id": "1", "data": o{"a": "\n"}})
	if want := "event: e\nid: 1\ndata: {\"a\":\"\\n\"}\n\n"; err != nil || string(out) != want {
		t.Errorf("Encode = %q, %v, want %q", out, err, want)
	}
}

func TestNoBytesStayNone(t *testing.T) {
	v, original, err := stream.SSE{}.Decode(nil, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := (stream.SSE{}).Encode(original, v); err != nil || len(out) > 0 {
		t.Errorf("Encode = %q, %v", out, err)
	}
}

func TestTerminate(t *testing.T) {
	for _, test := range []struct {
		format  stream.Format
		in, out string
	}{
		{stream.NDJSON{}, "1", "1\n"},
		{stream.NDJSON{}, "1\r\n", "1\r\n"},
		{stream.JSONSeq{}, "\x1e{}", "\x1e{}\n"},
		{stream.SSE{}, "data: 1", "data: 1\n\n"},
		{stream.SSE{}, "data: 1\r\n", "data: 1\r\n\r\n"},
		{stream.SSE{}, "data: 1\r", "data: 1\r\r"},
		{stream.SSE{}, "data: 1\r\r", "data: 1\r\r"},
		{stream.SSE{}, "data: 1\r\n\r", "data: 1\r\n\r"},
		{stream.SSE{}, "data: 1\n\r\n", "data: 1\n\r\n"},
		{stream.SSE{}, "\n", "\n"},
		{stream.SSE{}, "", ""},
	} {
		if got := test.format.Terminate([]byte(test.in)); string(got) != test.out {
			t.Errorf("%s: Terminate(%q) = %q, want %q", test.format.Name(), test.in, got, test.out)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	const text = `{"a":1,"a":2}`
	for _, test := range []struct {
		format stream.Format
		msg    string
		want   bool
	}{
		{stream.NDJSON{}, text, true},
		{stream.JSONSeq{}, "\x1e" + text, true},
		{stream.SSE{}, "data: " + text + "\n\n", true},
		{stream.SSE{}, "data: x\n\n", false},
	} {
		_, original, err := test.format.Decode([]byte(test.msg), codec.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := original.(interface{ Ambiguous() bool }).Ambiguous(); got != test.want {
			t.Errorf("%s: Ambiguous of %q = %v, want %v", test.format.Name(), test.msg, got, test.want)
		}
	}
}

// An Original of another codec is none: its text may have lines, which a message
// must not.
func TestOriginalsOfOthersAreNone(t *testing.T) {
	v, original, err := json.Codec{}.Decode([]byte("{\n\"a\": 1}"), codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := (stream.NDJSON{}).Encode(original, v); err != nil || string(out) != "{\"a\":1}\n" {
		t.Errorf("Encode = %q, %v", out, err)
	}
}
