package http1

import (
	"testing"
)

func TestResponsesThatAreTaken(t *testing.T) {
	const untilClose, none, length, chunked = UntilClose, None, Length, Chunked
	for name, c := range map[string]struct {
		in     string
		method string
		status int
		phrase string
		kind   Kind
		length int64
		closes bool
	}{
		"length":                      {in: "HTTP/1.1 200 OK\nContent-Length: 5", status: 200, phrase: "OK", kind: length, length: 5},
		"chunked":                     {in: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", status: 200, phrase: "OK", kind: chunked, length: -1},
		"neither":                     {in: "HTTP/1.1 200 OK", status: 200, phrase: "OK", kind: untilClose, length: -1, closes: true},
		"neither, said to be kept":    {in: "HTTP/1.1 200 OK\nConnection: keep-alive", status: 200, phrase: "OK", kind: untilClose, length: -1, closes: true},
		"1.0":                         {in: "HTTP/1.0 200 OK\nContent-Length: 5", status: 200, phrase: "OK", kind: length, length: 5, closes: true},
		"1.0, kept":                   {in: "HTTP/1.0 200 OK\nContent-Length: 5\nConnection: Keep-Alive", status: 200, phrase: "OK", kind: length, length: 5},
		"empty phrase":                {in: "HTTP/1.1 200 \nContent-Length: 0", status: 200, kind: length},
		"no phrase":                   {in: "HTTP/1.1 200\nContent-Length: 0", status: 200, kind: length},
		"phrase of all sorts":         {in: "HTTP/1.1 404 a  b\t\xe4\nContent-Length: 0", status: 404, phrase: "a  b\t\xe4", kind: length},
		"status beyond 599":           {in: "HTTP/1.1 999 x\nContent-Length: 0", status: 999, phrase: "x", kind: length},
		"HEAD with length":            {in: "HTTP/1.1 200 OK\nContent-Length: 5", method: "HEAD", status: 200, phrase: "OK", kind: none, length: 5},
		"HEAD, chunked":               {in: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", method: "HEAD", status: 200, phrase: "OK", kind: none, length: -1},
		"HEAD with neither":           {in: "HTTP/1.1 200 OK", method: "HEAD", status: 200, phrase: "OK", kind: none, length: -1},
		"100":                         {in: "HTTP/1.1 100 Continue", status: 100, phrase: "Continue", kind: none, length: -1},
		"101 with a length of zero":   {in: "HTTP/1.1 101 x\nContent-Length: 0", status: 101, phrase: "x", kind: none},
		"204":                         {in: "HTTP/1.1 204 No Content", status: 204, phrase: "No Content", kind: none, length: -1},
		"204 with a length of zero":   {in: "HTTP/1.1 204 x\nContent-Length: 0", status: 204, phrase: "x", kind: none},
		"304 with a length":           {in: "HTTP/1.1 304 x\nContent-Length: 5", status: 304, phrase: "x", kind: none, length: 5},
		"304, chunked":                {in: "HTTP/1.1 304 x\nTransfer-Encoding: chunked", status: 304, phrase: "x", kind: none, length: -1},
		"CONNECT done":                {in: "HTTP/1.1 200 OK\nContent-Length: 5", method: "CONNECT", status: 200, phrase: "OK", kind: none, length: 5},
		"CONNECT refused":             {in: "HTTP/1.1 403 no\nContent-Length: 5", method: "CONNECT", status: 403, phrase: "no", kind: length, length: 5},
		"205 with a length":           {in: "HTTP/1.1 205 x\nContent-Length: 0", status: 205, phrase: "x", kind: length},
		"no host, two hosts: as told": {in: "HTTP/1.1 204 x\nServer: a\nServer: b", status: 204, phrase: "x", kind: none, length: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in := crlf(c.in)
			var r Response
			n, err := r.Parse([]byte(in+"rest"), Limits{}, c.method)
			if err != nil || n != len(in) {
				t.Fatalf("got %d, %v, want %d, nil", n, err, len(in))
			}
			if r.Status != c.status || string(r.Reason) != c.phrase || r.Framing.Kind != c.kind || r.Length != c.length || r.Close != c.closes || string(r.Raw) != in {
				t.Errorf("got %d %q %v %d close %t, want %d %q %v %d %t", r.Status, r.Reason, r.Framing.Kind, r.Length, r.Close, c.status, c.phrase, c.kind, c.length, c.closes)
			}
		})
	}
}

func TestResponsesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ in, method, reason string }{
		"both framings":            {"HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked", "GET", "length_and_chunked"},
		"both framings to HEAD":    {"HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked", "HEAD", "length_and_chunked"},
		"two equal lengths":        {"HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3", "GET", "two_lengths"},
		"gzip, chunked":            {"HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked", "GET", "transfer_encoding"},
		"chunked in 1.0":           {"HTTP/1.0 200 OK\nTransfer-Encoding: chunked", "GET", "bad_transfer_encoding"},
		"204 with a body":          {"HTTP/1.1 204 x\nContent-Length: 3", "GET", "unexpected_body"},
		"204, chunked":             {"HTTP/1.1 204 x\nTransfer-Encoding: chunked", "GET", "unexpected_body"},
		"103 with a body":          {"HTTP/1.1 103 x\nContent-Length: 3", "GET", "unexpected_body"},
		"two digits":               {"HTTP/1.1 20 OK", "GET", "bad_status_line"},
		"four digits":              {"HTTP/1.1 2000 OK", "GET", "bad_status_line"},
		"below 100":                {"HTTP/1.1 099 OK", "GET", "bad_status_line"},
		"signed":                   {"HTTP/1.1 +20 OK", "GET", "bad_status_line"},
		"phrase without space":     {"HTTP/1.1 200OK", "GET", "bad_status_line"},
		"two spaces":               {"HTTP/1.1  200 OK", "GET", "bad_status_line"},
		"tab":                      {"HTTP/1.1\t200 OK", "GET", "bad_status_line"},
		"lower case":               {"http/1.1 200 OK", "GET", "bad_status_line"},
		"icecast":                  {"ICY 200 OK", "GET", "bad_status_line"},
		"garbage":                  {"hello", "GET", "bad_status_line"},
		"HTTP/2":                   {"HTTP/2.0 200 OK", "GET", "bad_version"},
		"HTTP/1.2":                 {"HTTP/1.2 200 OK", "GET", "bad_version"},
		"control in the phrase":    {"HTTP/1.1 200 O\x01K", "GET", "control_character"},
		"NUL in the phrase":        {"HTTP/1.1 200 O\x00K", "GET", "nul"},
		"bare CR in the phrase":    {"HTTP/1.1 200 O\rK", "GET", "bare_cr"},
		"empty line before it":     {"\nHTTP/1.1 200 OK", "GET", "bad_status_line"},
		"folded line":              {"HTTP/1.1 200 OK\nA: b\n c", "GET", "obs_fold"},
		"space before the colon":   {"HTTP/1.1 200 OK\nA : b", "GET", "space_before_colon"},
		"line that is much longer": {"HTTP/1.1 200 " + string(make([]byte, 9000)), "GET", "line_too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Response
			n, err := r.Parse([]byte(crlf(c.in)), Limits{}, c.method)
			wantError(t, err, 502, c.reason)
			if n != 0 {
				t.Errorf("got %d bytes with an error", n)
			}
		})
	}
}
