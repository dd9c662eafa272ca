package http1

import (
	"strings"
	"testing"
)

func TestHeadIsEditedByLines(t *testing.T) {
	const in = "GET / HTTP/1.1\nHost: h\nX-One:  1\t\nx-TWO:2\nX-One: 3"
	for name, c := range map[string]struct {
		line  string
		edits []LineEdit
		want  string
	}{
		"nothing":                     {want: in},
		"the start line":              {line: "GET /b HTTP/1.1", want: "GET /b HTTP/1.1" + strings.TrimPrefix(in, "GET / HTTP/1.1")},
		"a value":                     {edits: []LineEdit{{Index: 2, Value: "new"}}, want: "GET / HTTP/1.1\nHost: h\nX-One:  1\t\nx-TWO:new\nX-One: 3"},
		"a value within its space":    {edits: []LineEdit{{Index: 1, Name: "x-one", Value: "new"}}, want: "GET / HTTP/1.1\nHost: h\nX-One:  new\t\nx-TWO:2\nX-One: 3"},
		"a name":                      {edits: []LineEdit{{Index: 2, Name: "Three", Value: "3"}}, want: "GET / HTTP/1.1\nHost: h\nX-One:  1\t\nThree: 3\nX-One: 3"},
		"one line less":               {edits: []LineEdit{{Index: 1, Remove: true}}, want: "GET / HTTP/1.1\nHost: h\nx-TWO:2\nX-One: 3"},
		"one line more":               {edits: []LineEdit{{Index: 4, Name: "A", Value: "b"}, {Index: 4, Name: "A", Value: ""}}, want: in + "\nA: b\nA: "},
		"two for one":                 {edits: []LineEdit{{Index: 3, Value: "3"}, {Index: 3, Name: "X-One", Value: "4"}}, want: in + "\nX-One: 4"},
		"in any order":                {edits: []LineEdit{{Index: 4, Name: "A", Value: "b"}, {Index: 1, Remove: true}}, want: "GET / HTTP/1.1\nHost: h\nx-TWO:2\nX-One: 3\nA: b"},
		"value that would end a line": {edits: []LineEdit{{Index: 4, Name: "A", Value: "b\r\nHost: x\x00"}}, want: in + "\nA: b  Host: x "},
		"name that is none":           {edits: []LineEdit{{Index: 4, Name: "A: b\r\nB", Value: "c"}}, want: in},
	} {
		t.Run(name, func(t *testing.T) {
			r := parseRequest(t, crlf(in))
			line := r.Line
			if c.line != "" {
				line = []byte(c.line)
			}
			if got := string(AppendEdited([]byte("before"), line, r.Fields, c.edits)); got != "before"+crlf(c.want) {
				t.Errorf("got %q, want %q", got, "before"+crlf(c.want))
			}
		})
	}
}

func TestLinesThatAreWrittenAreRead(t *testing.T) {
	line := AppendRequestLine(nil, "PUT", "/a?b", 1)
	r := parseRequest(t, string(AppendEdited(nil, line, nil, []LineEdit{{Name: "Host", Value: "h"}})))
	if string(r.Method) != "PUT" || string(r.Target) != "/a?b" || r.Minor != 1 || string(r.Authority) != "h" {
		t.Errorf("got %s %s 1.%d %s", r.Method, r.Target, r.Minor, r.Authority)
	}
	var resp Response
	in := AppendEdited(nil, AppendStatusLine(nil, 0, 503, "no\nway"), nil, nil)
	if n, err := resp.Parse(in, Limits{}, "GET"); n != len(in) || err != nil || resp.Status != 503 || string(resp.Reason) != "no way" || resp.Minor != 0 {
		t.Errorf("got %d, %v, %d %q 1.%d", n, err, resp.Status, resp.Reason, resp.Minor)
	}
}

func TestChunksThatAreWritten(t *testing.T) {
	out := AppendChunk(nil, []byte(strings.Repeat("a", 26)))
	out = AppendChunk(out, nil)
	out = AppendLastChunk(out, []byte("A: b\r\n"))
	if want := "1a\r\n" + strings.Repeat("a", 26) + "\r\n0\r\nA: b\r\n\r\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestWhatMayBeWritten(t *testing.T) {
	for _, s := range []string{"A", "x-1!", "~"} {
		if !ValidName(s) {
			t.Errorf("name %q refused", s)
		}
	}
	for _, s := range []string{"", "a b", "a:", "\xe4", "a\n"} {
		if ValidName(s) {
			t.Errorf("name %q taken", s)
		}
	}
	for _, s := range []string{"", "a b\tc", "\xe4"} {
		if !ValidValue(s) {
			t.Errorf("value %q refused", s)
		}
	}
	for _, s := range []string{" a", "a\t", "a\nb", "\x00", "a\x7fbcdefghij"} {
		if ValidValue(s) {
			t.Errorf("value %q taken", s)
		}
	}
	for _, s := range []string{"GET", "HEAD", "get", "X-1"} {
		if !ValidMethod(s) {
			t.Errorf("method %q refused", s)
		}
	}
	for _, s := range []string{"", "PRI", "Head", "connect", "G T"} {
		if ValidMethod(s) {
			t.Errorf("method %q taken", s)
		}
	}
	for target, method := range map[string]string{"/a?b": "GET", "*": "OPTIONS", "h:1": "CONNECT", "http://h": "GET"} {
		if !ValidTarget(method, target) {
			t.Errorf("target %q refused", target)
		}
	}
	for target, method := range map[string]string{"": "GET", "a": "GET", "/a b": "GET", "/a#b": "GET", "*": "GET", "/": "CONNECT"} {
		if ValidTarget(method, target) {
			t.Errorf("target %q taken", target)
		}
	}
}
