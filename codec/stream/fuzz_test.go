package stream_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/stream"
)

var seeds = []string{
	"{\"a\":1}\n\n[2]\r\n3", "\ufeffdata: {\"a\":1}\r\n\r\n: x\r\n\r\nid: 1\ndata: x\ndata:y\n\n", "\x1e{\"a\":\n1}\n\x1e2\n\x1e\"\\\"\"", "data:1\r\rdata:2\r\r\n",
	"event: e\rid\rdata: [\rdata: 1]\r\n\r", "id: \x00\nid:1\nretry: 3\ndata\n\n", "\x1e1\x1etrue\n\x1e", "data: a\xff\ndata\n", ":\n:\r\n:\r:",
}

// FuzzSplit checks that messages are the same however the bytes are cut, that
// nothing is lost, and that a message that is read and not edited is written as
// it was.
func FuzzSplit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i), []byte{1, 0, 2, 5})
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8, pieces []byte) {
		format, text := formats[int(which)%len(formats)], string(data)
		messages, all, err := split(format.Split(codec.Limits{}), text, nil)
		if err != nil || all != text {
			t.Fatalf("%q splits into %q, %v", text, all, err)
		}
		var cuts []int
		at := 0
		for _, piece := range pieces {
			if at += int(piece) % 16; at < len(text) {
				cuts = append(cuts, at)
			}
		}
		for _, cuts := range [][]int{cuts, every(1, text)} {
			again, all, err := split(format.Split(codec.Limits{}), text, cuts)
			if err != nil || all != text || !slices.Equal(again, messages) {
				t.Fatalf("%q cut at %v: %q, all %q, %v, want %q", text, cuts, again, all, err, messages)
			}
		}
		for _, msg := range messages {
			unchanged(t, format, msg)
		}
	})
}

func unchanged(t *testing.T, format stream.Format, msg string) {
	v, _, err := codectest.Keeps(t, format, []byte(msg))
	switch {
	case errors.Is(err, codec.ErrTooLarge):
		return
	case err != nil && format.Name() == "sse":
		t.Fatalf("Decode(%q): %v", msg, err)
	case err != nil:
		return
	}
	out := codectest.ComesBack(t, format, v)
	ended := string(format.Terminate([]byte(msg)))
	if !strings.HasPrefix(ended, msg) {
		t.Fatalf("Terminate(%q) = %q", msg, ended)
	}
	if twice, _, err := split(format.Split(codec.Limits{}), ended+string(out), nil); err != nil || len(twice) < 1 || twice[0][:len(msg)] != msg {
		t.Fatalf("%q followed by %q splits into %q, %v", ended, out, twice, err)
	}
}

var programs = []string{
	".id = \"n\"", ".event = \"n\"", ".data = {n: 1}", ".data = \"n\"", ".data = \"n\\n n\"", "del(.id)", "del(.event)", "del(.data)",
	".data[0] = \"n\"", ".data.a = [\"n\"]", ".data |= tostring", ".id = null | .event = 7", "{data}", "{}",
	".data += \"\\n\"", ".data |= (split(\"\\n\") | reverse | join(\"\\n\"))",
}

// FuzzSSEEdit checks that an edited event reads as the edit left it, and that
// lines of other fields are as they were, in their order.
func FuzzSSEEdit(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i))
		f.Add([]byte(s), uint8(i+7))
	}
	f.Fuzz(func(t *testing.T, data []byte, program uint8) {
		messages, _, err := split(stream.SSE{}.Split(codec.Limits{}), string(data), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range messages {
			v, original, err := stream.SSE{}.Decode([]byte(msg), codec.Limits{})
			if err != nil {
				return
			}
			edited, err := codectest.JQ(programs[int(program)%len(programs)], v)
			if err != nil {
				return
			}
			out, err := stream.SSE{}.Encode(original, edited)
			if err != nil {
				t.Fatalf("Encode of %#v onto %q: %v", edited, msg, err)
			}
			again, _, err := stream.SSE{}.Decode(out, codec.Limits{})
			if err != nil || !sameEvent(edited.(map[string]any), again.(map[string]any)) {
				t.Fatalf("Encode of %#v onto %q = %q, which reads as %#v, %v", edited, msg, out, again, err)
			}
			if keepsOthers(msg, nil) != keepsOthers(string(out), nil) {
				t.Fatalf("Encode of %#v onto %q = %q: other lines changed", edited, msg, out)
			}
			for _, field := range []string{"event", "id", "data"} {
				if value.Equal(v.(map[string]any)[field], edited.(map[string]any)[field]) && keepsOthers(msg, &field) != keepsOthers(string(out), &field) {
					t.Fatalf("Encode of %#v onto %q = %q: lines of %s changed", edited, msg, out, field)
				}
			}
		}
	})
}

// sameEvent compares what was meant with what was read: null is none, and a
// plain text that stays one may read as JSON.
func sameEvent(want, got map[string]any) bool {
	for _, field := range []string{"event", "id"} {
		w, ok := want[field]
		if n, number := w.(int); number && n == 7 {
			w = "7"
		}
		if g, has := got[field]; w != g || has != (ok && w != nil) {
			return false
		}
	}
	if text, ok := want["data"].(string); ok {
		out, err := stream.SSE{}.Encode(nil, map[string]any{"data": got["data"]})
		if err == nil && strings.TrimPrefix(strings.ReplaceAll(string(out), "\ndata: ", "\n"), "data: ") == text+"\n\n" {
			return true
		}
		return value.Equal(text, got["data"])
	}
	_, has := got["data"]
	_, wants := want["data"]
	return has == wants && value.Equal(want["data"], got["data"])
}

// keepsOthers returns the lines of msg that are of one field, or of no field
// that jq sees, each with LF at its end.
func keepsOthers(msg string, field *string) string {
	var b strings.Builder
	for line := range strings.FieldsFuncSeq(msg, func(r rune) bool { return r == '\n' || r == '\r' }) {
		name, text, _ := strings.Cut(strings.TrimPrefix(line, "\ufeff"), ":")
		known := name == "event" || name == "data" || name == "id" && !strings.Contains(text, "\x00")
		if field == nil && !known || field != nil && known && name == *field {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
