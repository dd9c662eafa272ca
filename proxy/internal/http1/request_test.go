package http1

import (
	"errors"
	"strings"
	"testing"
)

// crlf ends every line of a head that is written with plain newlines, and adds
// the empty line.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") + "\r\n\r\n" }

func parseRequest(t *testing.T, in string) *Request {
	t.Helper()
	var r Request
	n, err := r.Parse([]byte(in), Limits{})
	if err != nil || n != len(in) {
		t.Fatalf("Parse(%q): got %d, %v, want %d, nil", in, n, err, len(in))
	}
	return &r
}

func TestRequestsThatAreTaken(t *testing.T) {
	for name, c := range map[string]struct {
		in                      string
		form                    Form
		path, query, authority  string
		framing                 Framing
		closes, upgrade, expect bool
	}{
		"origin form":               {in: "GET /a/b?c=d HTTP/1.1\nHost: h", path: "/a/b", query: "c=d", authority: "h"},
		"query of two marks":        {in: "GET /?a?b HTTP/1.1\nHost: h", path: "/", query: "a?b", authority: "h"},
		"double slash":              {in: "GET //a HTTP/1.1\nHost: h", path: "//a", authority: "h"},
		"unescaped bytes":           {in: "GET /\xc3\xa4|{}\\?\"<> HTTP/1.1\nHost: h", path: "/\xc3\xa4|{}\\", query: "\"<>", authority: "h"},
		"lower case method":         {in: "get / HTTP/1.1\nHost: h", path: "/", authority: "h"},
		"absolute form":             {in: "GET http://h:81/p?q HTTP/1.1\nHost: H:81", form: Absolute, path: "/p", query: "q", authority: "h:81"},
		"absolute, default port":    {in: "GET http://h HTTP/1.1\nHost: h:80", form: Absolute, authority: "h"},
		"absolute, query alone":     {in: "GET http://h?q HTTP/1.1\nHost: h", form: Absolute, query: "q", authority: "h"},
		"absolute in 1.0":           {in: "GET http://h/ HTTP/1.0", form: Absolute, path: "/", authority: "h", closes: true},
		"connect":                   {in: "CONNECT h:443 HTTP/1.1\nHost: h:443", form: AuthorityOnly, authority: "h:443"},
		"connect, host sans port":   {in: "CONNECT h:443 HTTP/1.1\nHost: h\nContent-Length: 0", form: AuthorityOnly, authority: "h:443", framing: Framing{Kind: Length}},
		"connect to an address":     {in: "CONNECT [::1]:443 HTTP/1.1\nHost: [::1]:443", form: AuthorityOnly, authority: "[::1]:443"},
		"asterisk":                  {in: "OPTIONS * HTTP/1.1\nHost: h", form: Asterisk, path: "*", authority: "h"},
		"empty host":                {in: "GET / HTTP/1.1\nHost:", path: "/"},
		"host is an address":        {in: "GET / HTTP/1.1\nHost: [fe80::1%25eth0]:8080", path: "/", authority: "[fe80::1%25eth0]:8080"},
		"host with underscore":      {in: "GET / HTTP/1.1\nHost: my_service:8080", path: "/", authority: "my_service:8080"},
		"1.0 without host":          {in: "GET / HTTP/1.0", path: "/", closes: true},
		"1.0 kept alive":            {in: "GET / HTTP/1.0\nConnection: foo\nConnection: a, ,Keep-Alive ,b", path: "/"},
		"close":                     {in: "GET / HTTP/1.1\nHost: h\nConnection: x,\tClose", path: "/", authority: "h", closes: true},
		"close wins":                {in: "GET / HTTP/1.0\nConnection: keep-alive, close", path: "/", closes: true},
		"length":                    {in: "POST / HTTP/1.1\nHost: h\ncontent-LENGTH:  12 ", path: "/", authority: "h", framing: Framing{Kind: Length, Length: 12}},
		"length of zero":            {in: "POST / HTTP/1.1\nHost: h\nContent-Length: 0", path: "/", authority: "h", framing: Framing{Kind: Length}},
		"greatest length":           {in: "POST / HTTP/1.1\nHost: h\nContent-Length: 9223372036854775807", path: "/", authority: "h", framing: Framing{Kind: Length, Length: 1<<63 - 1}},
		"chunked":                   {in: "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: Chunked", path: "/", authority: "h", framing: Framing{Kind: Chunked, Length: -1}},
		"upgrade":                   {in: "GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: keep-alive, Upgrade", path: "/", authority: "h", upgrade: true},
		"upgrade not listed":        {in: "GET / HTTP/1.1\nHost: h\nUpgrade: websocket", path: "/", authority: "h"},
		"upgrade of nothing":        {in: "GET / HTTP/1.1\nHost: h\nConnection: upgrade", path: "/", authority: "h"},
		"upgrade in 1.0":            {in: "GET / HTTP/1.0\nUpgrade: websocket\nConnection: keep-alive, Upgrade", path: "/"},
		"expect":                    {in: "POST / HTTP/1.1\nHost: h\nExpect: 100-Continue", path: "/", authority: "h", expect: true},
		"expect in 1.0":             {in: "POST / HTTP/1.0\nExpect: 100-continue", path: "/", closes: true},
		"expect something else":     {in: "POST / HTTP/1.1\nHost: h\nExpect: foo", path: "/", authority: "h"},
		"values of every kind":      {in: "GET / HTTP/1.1\nHost: h\nA:\nB: a\tb\xff:\nC:\t \t", path: "/", authority: "h"},
		"kelvin sign is not a k":    {in: "GET / HTTP/1.0\nConnection: \u212aeep-alive", path: "/", closes: true},
		"names of the same letters": {in: "GET / HTTP/1.1\nHost: h\nHosts: a\nXost: b\ncontent_length: 5", path: "/", authority: "h"},
	} {
		t.Run(name, func(t *testing.T) {
			in := crlf(c.in)
			r := parseRequest(t, in)
			if c.framing == (Framing{}) {
				c.framing.Length = -1
			}
			if string(r.Raw) != in || r.Form != c.form || string(r.Path) != c.path || string(r.Query) != c.query ||
				string(r.Authority) != c.authority || r.Framing != c.framing {
				t.Errorf("got form %d path %q query %q authority %q framing %v, want %d %q %q %q %v",
					r.Form, r.Path, r.Query, r.Authority, r.Framing, c.form, c.path, c.query, c.authority, c.framing)
			}
			if r.Close != c.closes || r.Upgrade != c.upgrade || r.ExpectContinue != c.expect {
				t.Errorf("got close %t upgrade %t expect %t, want %t %t %t", r.Close, r.Upgrade, r.ExpectContinue, c.closes, c.upgrade, c.expect)
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	with := func(fields string) string { return crlf("POST / HTTP/1.1\nHost: h\n" + fields) }
	line := func(s string) string { return crlf(s + "\nHost: h") }
	for name, c := range map[string]struct {
		in     string
		status int
		reason string
	}{
		"both framings":                {with("Content-Length: 3\nTransfer-Encoding: chunked"), 400, "length_and_chunked"},
		"both framings, other order":   {with("Transfer-Encoding: chunked\nContent-Length: 3"), 400, "length_and_chunked"},
		"two lengths":                  {with("Content-Length: 3\nContent-Length: 4"), 400, "two_lengths"},
		"two equal lengths":            {with("Content-Length: 3\nX: y\nContent-Length: 3"), 400, "two_lengths"},
		"list of lengths":              {with("Content-Length: 3, 3"), 400, "two_lengths"},
		"signed length":                {with("Content-Length: +3"), 400, "bad_length"},
		"negative length":              {with("Content-Length: -3"), 400, "bad_length"},
		"parted length":                {with("Content-Length: 3 3"), 400, "bad_length"},
		"hexadecimal length":           {with("Content-Length: 0x3"), 400, "bad_length"},
		"empty length":                 {with("Content-Length:"), 400, "bad_length"},
		"length over 63 bits":          {with("Content-Length: 9223372036854775808"), 400, "bad_length"},
		"length over 64 bits":          {with("Content-Length: 18446744073709551619"), 400, "bad_length"},
		"coding besides chunked":       {with("Transfer-Encoding: gzip, chunked"), 501, "transfer_encoding"},
		"coding behind chunked":        {with("Transfer-Encoding: chunked, identity"), 501, "transfer_encoding"},
		"identity":                     {with("Transfer-Encoding: identity"), 501, "transfer_encoding"},
		"chunked with parameter":       {with("Transfer-Encoding: chunked;q=1"), 501, "transfer_encoding"},
		"quoted chunked":               {with("Transfer-Encoding: \"chunked\""), 501, "transfer_encoding"},
		"vertical tab in coding":       {with("Transfer-Encoding: \vchunked"), 400, "control_character"},
		"chunked twice":                {with("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"), 400, "bad_transfer_encoding"},
		"chunked in 1.0":               {crlf("POST / HTTP/1.0\nTransfer-Encoding: chunked"), 400, "bad_transfer_encoding"},
		"connect with a length":        {crlf("CONNECT h:1 HTTP/1.1\nHost: h:1\nContent-Length: 3"), 400, "unexpected_body"},
		"connect with chunks":          {crlf("CONNECT h:1 HTTP/1.1\nHost: h:1\nTransfer-Encoding: chunked"), 400, "unexpected_body"},
		"folded line":                  {with("A: b\n c"), 400, "obs_fold"},
		"folded line, tab":             {with("A: b\n\tc: d"), 400, "obs_fold"},
		"fold before the first":        {crlf("GET / HTTP/1.1\n Host: h"), 400, "obs_fold"},
		"bare CR in a value":           {with("A: b\rc"), 400, "bare_cr"},
		"bare CR before CRLF":          {with("A: b\r"), 400, "bare_cr"},
		"bare CR in a name":            {with("A\rb: c"), 400, "bare_cr"},
		"bare LF behind a field":       {"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "bare_lf"},
		"bare LF behind the line":      {"GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "bare_lf"},
		"bare LF at the end":           {"GET / HTTP/1.1\r\nHost: h\r\n\n", 400, "bare_lf"},
		"NUL in a value":               {with("A: b\x00c"), 400, "nul"},
		"NUL in a name":                {with("A\x00: c"), 400, "nul"},
		"control in a value":           {with("A: 0123456789\x01"), 400, "control_character"},
		"DEL in a value":               {with("A: b\x7f"), 400, "control_character"},
		"space before the colon":       {with("A : b"), 400, "space_before_colon"},
		"tab before the colon":         {with("Transfer-Encoding\t: chunked"), 400, "space_before_colon"},
		"space in a name":              {with("A b: c"), 400, "bad_name"},
		"empty name":                   {with(": c"), 400, "bad_name"},
		"name beyond ASCII":            {with("\xc3\xa4: c"), 400, "bad_name"},
		"no colon":                     {with("Abc"), 400, "no_colon"},
		"no host":                      {crlf("GET / HTTP/1.1\nA: b"), 400, "missing_host"},
		"no host, absolute":            {crlf("GET http://h/ HTTP/1.1\nA: b"), 400, "missing_host"},
		"two hosts":                    {with("Host: h"), 400, "two_hosts"},
		"host with a path":             {crlf("GET / HTTP/1.1\nHost: h/x"), 400, "bad_host"},
		"host with user information":   {crlf("GET / HTTP/1.1\nHost: u@h"), 400, "bad_host"},
		"host with a space":            {crlf("GET / HTTP/1.1\nHost: a b"), 400, "bad_host"},
		"host with an escape":          {crlf("GET / HTTP/1.1\nHost: %68"), 400, "bad_host"},
		"host with a port of letters":  {crlf("GET / HTTP/1.1\nHost: h:http"), 400, "bad_host"},
		"host with two ports":          {crlf("GET / HTTP/1.1\nHost: h:80:80"), 400, "bad_host"},
		"host beyond ASCII":            {crlf("GET / HTTP/1.1\nHost: \xc3\xa4"), 400, "bad_host"},
		"host with an open bracket":    {crlf("GET / HTTP/1.1\nHost: [::1"), 400, "bad_host"},
		"host behind the bracket":      {crlf("GET / HTTP/1.1\nHost: [::1]x:80"), 400, "bad_host"},
		"two hosts in a list":          {crlf("GET / HTTP/1.1\nHost: a, b"), 400, "bad_host"},
		"other host than the target":   {crlf("GET http://a/ HTTP/1.1\nHost: b"), 400, "host_mismatch"},
		"other port than the target":   {crlf("GET http://a/ HTTP/1.1\nHost: a:443"), 400, "host_mismatch"},
		"other port, short scheme":     {crlf("GET x://h HTTP/1.1\nHost: h:443"), 400, "host_mismatch"},
		"other host than CONNECT's":    {crlf("CONNECT a:443 HTTP/1.1\nHost: b:443"), 400, "host_mismatch"},
		"fragment":                     {line("GET /a#b HTTP/1.1"), 400, "bad_target"},
		"authority without CONNECT":    {line("GET h:80 HTTP/1.1"), 400, "bad_target"},
		"relative path":                {line("GET a/b HTTP/1.1"), 400, "bad_target"},
		"asterisk without OPTIONS":     {line("GET * HTTP/1.1"), 400, "bad_target"},
		"asterisk and more":            {line("OPTIONS *a HTTP/1.1"), 400, "bad_target"},
		"path with CONNECT":            {line("CONNECT / HTTP/1.1"), 400, "bad_target"},
		"CONNECT without port":         {line("CONNECT h HTTP/1.1"), 400, "bad_target"},
		"CONNECT to a URL":             {line("CONNECT http://h:80/ HTTP/1.1"), 400, "bad_target"},
		"user information":             {line("GET http://u@h/ HTTP/1.1"), 400, "bad_target"},
		"no authority":                 {line("GET http:///a HTTP/1.1"), 400, "bad_target"},
		"port alone":                   {line("GET http://:80/ HTTP/1.1"), 400, "bad_target"},
		"bad scheme":                   {line("GET 1http://h/ HTTP/1.1"), 400, "bad_target"},
		"control in the target":        {line("GET /a\x01 HTTP/1.1"), 400, "control_character"},
		"tab behind the method":        {line("GET\t/ HTTP/1.1"), 400, "control_character"},
		"NUL in the target":            {line("GET /a\x00 HTTP/1.1"), 400, "nul"},
		"bare CR in the target":        {line("GET /a\rb HTTP/1.1"), 400, "bare_cr"},
		"two spaces behind the method": {line("GET  / HTTP/1.1"), 400, "bad_target"},
		"two spaces before version":    {line("GET /  HTTP/1.1"), 400, "bad_request_line"},
		"space behind the version":     {line("GET / HTTP/1.1 "), 400, "bad_request_line"},
		"space in the target":          {line("GET /a b HTTP/1.1"), 400, "bad_request_line"},
		"CR behind the version":        {line("GET / HTTP/1.1\r"), 400, "bare_cr"},
		"space before the method":      {line(" GET / HTTP/1.1"), 400, "bad_method"},
		"method that is no token":      {line("G(T / HTTP/1.1"), 400, "bad_method"},
		"HEAD in lower case":           {line("head / HTTP/1.1"), 400, "bad_method"},
		"CONNECT in other case":        {line("Connect / HTTP/1.1"), 400, "bad_method"},
		"hundred connection options":   {with("Connection: " + strings.Repeat("a,", 40) + "\nConnection: " + strings.Repeat(",", 40)), 431, "too_many_options"},
		"HTTP/2 preface":               {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_method"},
		"PRI in 1.1":                   {line("PRI * HTTP/1.1"), 400, "bad_method"},
		"HTTP/0.9":                     {line("GET /"), 400, "bad_request_line"},
		"method alone":                 {line("GET"), 400, "bad_request_line"},
		"lower case version":           {line("GET / http/1.1"), 400, "bad_request_line"},
		"minor of two digits":          {line("GET / HTTP/1.10"), 400, "bad_request_line"},
		"HTTP/1.2":                     {line("GET / HTTP/1.2"), 505, "bad_version"},
		"HTTP/2.0":                     {line("GET / HTTP/2.0"), 505, "bad_version"},
		"HTTP/0.9 by name":             {line("GET / HTTP/0.9"), 505, "bad_version"},
		"too many empty lines":         {"\r\n\r\n\r\n\r\n\r\n" + line("GET / HTTP/1.1"), 400, "empty_lines"},
		"bare CR before the line":      {"\r" + line("GET / HTTP/1.1"), 400, "bare_cr"},
		"bare LF before the line":      {"\n" + line("GET / HTTP/1.1"), 400, "bare_lf"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(c.in), Limits{})
			wantError(t, err, c.status, c.reason)
			if n != 0 {
				t.Errorf("got %d bytes with an error", n)
			}
			if again, err2 := parseInPieces(c.in); again != 0 || err2 == nil || err2.Error() != err.Error() {
				t.Errorf("byte by byte: got %d, %v, want %v", again, err2, err)
			}
		})
	}
}

func wantError(t *testing.T, err error, status int, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != status || e.Reason != reason {
		t.Errorf("got %v, want %d %s", err, status, reason)
	}
}

// parseInPieces is what Parse says when the bytes come one by one.
func parseInPieces(in string) (n int, err error) {
	var r Request
	b := make([]byte, 0, len(in))
	for i := range len(in) {
		b = append(b, in[i])
		if n, err = r.Parse(b, Limits{}); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

func TestEmptyLinesBeforeARequestAreSkipped(t *testing.T) {
	head := crlf("GET / HTTP/1.1\nHost: h")
	in := "\r\n\r\n" + head
	var r Request
	n, err := r.Parse([]byte(in+"rest"), Limits{})
	if n != len(in) || err != nil || string(r.Raw) != head {
		t.Errorf("got %d, %v, raw %q, want %d, nil, %q", n, err, r.Raw, len(in), head)
	}
}

func TestLimitsHoldToTheByte(t *testing.T) {
	head := crlf("GET /" + strings.Repeat("a", 100) + " HTTP/1.1\nHost: h\nA: b\nC: d")
	line := strings.Index(head, "\r\n")
	for name, c := range map[string]struct {
		exact, less Limits
		status      int
		reason      string
	}{
		"head":   {Limits{Head: len(head)}, Limits{Head: len(head) - 1}, 431, "head_too_large"},
		"line":   {Limits{Line: line}, Limits{Line: line - 1}, 414, "line_too_long"},
		"fields": {Limits{Fields: 3}, Limits{Fields: 2}, 431, "too_many_fields"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Request
			if n, err := r.Parse([]byte(head+"body"), c.exact); n != len(head) || err != nil {
				t.Errorf("got %d, %v, want %d, nil", n, err, len(head))
			}
			_, err := r.Parse([]byte(head), c.less)
			wantError(t, err, c.status, c.reason)
		})
	}
}

func TestHeadLimitHoldsWithinTheRequestLine(t *testing.T) {
	var r Request
	for _, in := range []string{"GET /aaaaaaaa", crlf("GET /aaaaaaaa HTTP/1.1\nHost: h")} {
		_, err := r.Parse([]byte(in), Limits{Head: 10})
		wantError(t, err, 431, "head_too_large")
	}
}

func TestEndlessLineIsRefusedBeforeItEnds(t *testing.T) {
	var r Request
	_, err := r.Parse([]byte("GET /"+strings.Repeat("a", 8<<10)), Limits{})
	wantError(t, err, 414, "line_too_long")
	_, err = r.Parse([]byte("GET / HTTP/1.1\r\nA: "+strings.Repeat("a", 60<<10)), Limits{})
	wantError(t, err, 431, "head_too_large")
}

func TestPrefixesOfAHeadNeverErr(t *testing.T) {
	in := []byte("\r\n" + typicalRequest)
	var grown, fresh Request
	for i := range in {
		if n, err := grown.Parse(in[:i], Limits{}); n != 0 || err != nil {
			t.Fatalf("first %d bytes: got %d, %v, want 0, nil", i, n, err)
		}
		moved := append([]byte(nil), in[:i]...)
		if n, err := fresh.Parse(moved, Limits{}); n != 0 || err != nil {
			t.Fatalf("first %d bytes elsewhere: got %d, %v, want 0, nil", i, n, err)
		}
	}
	n, err := grown.Parse(in, Limits{})
	if n != len(in) || err != nil || len(grown.Fields) != 7 || string(grown.Raw) != typicalRequest {
		t.Errorf("got %d, %v, %d fields, want %d, nil, 7", n, err, len(grown.Fields), len(in))
	}
}

func TestGreatestHeadMayComeByteByByte(t *testing.T) {
	in := crlf("GET / HTTP/1.1\nHost: h" + strings.Repeat("\nX-Long: "+strings.Repeat("a", 590), 99))
	if n, err := parseInPieces(in); n != len(in) || err != nil {
		t.Errorf("got %d, %v, want %d, nil", n, err, len(in))
	}
	in = crlf("GET / HTTP/1.1\nHost: h\nX-Long: " + strings.Repeat("a", 60_000))
	if n, err := parseInPieces(in); n != len(in) || err != nil {
		t.Errorf("one line: got %d, %v, want %d, nil", n, err, len(in))
	}
}

func TestParsesFollowOneAnother(t *testing.T) {
	in := []byte(crlf("POST /a HTTP/1.1\nHost: a\nContent-Length: 0\nExpect: 100-continue\nConnection: x") + crlf("GET /b HTTP/1.1\nHost: b"))
	var r Request
	n, err := r.Parse(in, Limits{})
	if err != nil || string(r.Path) != "/a" {
		t.Fatalf("got %d, %v, path %q", n, err, r.Path)
	}
	in = in[n:]
	n, err = r.Parse(in, Limits{})
	if n != len(in) || err != nil || string(r.Path) != "/b" || len(r.Fields) != 1 ||
		r.ExpectContinue || r.Framing != (Framing{Length: -1}) || r.Index(ContentLength) != -1 || r.Listed {
		t.Errorf("got %d, %v and %+v", n, err, r)
	}
}

func TestResetLetsGoOfTheBuffer(t *testing.T) {
	in := []byte(typicalRequest)
	var r Request
	if _, err := r.Parse(in[:len(in)-1], Limits{}); err != nil {
		t.Fatal(err)
	}
	r.Reset()
	for _, f := range r.Fields[:cap(r.Fields)] {
		if f.Line != nil {
			t.Fatalf("kept %q", f.Line)
		}
	}
	copy(in, "POST")
	if n, err := r.Parse(in, Limits{}); n != 0 || err == nil {
		t.Errorf("another head at the same place: got %d, %v, %q, want an error", n, err, r.Method)
	}
}

func TestFieldsOfThisHop(t *testing.T) {
	r := parseRequest(t, crlf("GET / HTTP/1.1\nHost: h\nConnection: close, X-Own\nConnection: TE\nx-own: 1\nTE: trailers\nX-Other: 2\nKeep-Alive: timeout=5"))
	want := map[string]bool{"Connection": true, "x-own": true, "Keep-Alive": true}
	for i := range r.Fields {
		if name := string(r.Fields[i].Name); r.Hop(i) != want[name] {
			t.Errorf("%s: got hop-by-hop %t, want %t", name, r.Hop(i), want[name])
		}
	}
	if !r.AcceptsTrailers {
		t.Error("TE: trailers was not seen")
	}
	if !r.Lists(Connection, "te") || !r.Lists(Connection, "x-own") || r.Lists(Connection, "x") || r.Lists(UpgradeField, "h2c") {
		t.Error("lists are read otherwise")
	}
}

func TestParsingDoesNotAllocate(t *testing.T) {
	in, out := []byte(typicalRequest), []byte(typicalResponse)
	var r Request
	var resp Response
	var body Body
	chunks := AppendLastChunk(AppendChunk(nil, in), nil)
	got := testing.AllocsPerRun(100, func() {
		if n, err := r.Parse(in, Limits{}); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := resp.Parse(out, Limits{}, "GET"); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		body.Reset(Framing{Kind: Chunked})
		if n, done, err := body.Pass(chunks); n != len(chunks) || !done || err != nil {
			t.Fatal(n, done, err)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}
