package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

const rowsUp = `
route: up
match: {http: POST /rows}
limits: {body: 4KiB, message: 1KiB}
request:
  - jq: map(select(.n != "13")) | del(.[].secret)
  - when: $request.headers["x-tenant"] != null
    jq: .[].tenant = $request.headers["x-tenant"]
`

const rowsDown = `
route: down
match: {http: GET /rows}
limits: {body: 4KiB, message: 1KiB}
response:
  - head: .headers["x-any"] = "1"
  - jq: .[].name |= ascii_upcase
`

// rowsOf makes a text of 500 rows of about 40 bytes.
func rowsOf(header, row string) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range 500 {
		fmt.Fprintf(&b, row, i)
	}
	return b.String()
}

func TestRowsOfALongTextMeetTheStepsOneByOne(t *testing.T) {
	const given, left = "\"%d\",\"a, b\",hidden hidden hidden\r\n", "\"%d\",\"a, b\",acme\r\n"
	for _, version := range []bool{false, true} {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("h2 %v zipped %v", version, zipped), func(t *testing.T) {
				testbed.Leaks(t)
				s := startSidecar(t, testbed.Echo(t, testbed.Loopback(t)), []string{rowsUp}, allFormats)
				body := rowsOf("n,name,secret\r\n", given) + "\"500\",x,y"
				want := strings.Replace(rowsOf("n,name,tenant\r\n", left), "\"13\",\"a, b\",acme\r\n", "", 1) + "\"500\",x,acme"
				if zipped {
					body = gzipped(t, body)
				}
				r := testbed.Request(t, "POST", "http://x/rows", body, "Content-Type", "text/csv", "X-Tenant", "acme")
				if zipped {
					r.Header.Set("Content-Encoding", "gzip")
				}
				seen := testbed.Echoed(t, testbed.Do(t, testbed.Client(t, version, s.addr), r))
				got := string(seen.Body)
				if zipped {
					got = unzipped(t, got)
				}
				if got != want {
					t.Errorf("got %d bytes, want %d: %.200q", len(got), len(want), got)
				}
				if r := s.record("/rows"); r.Error != nil {
					t.Errorf("record: %+v", r.Error)
				}
			})
		}
	}
}

func TestRowsOfALongResponseMeetTheStepsOneByOne(t *testing.T) {
	text := rowsOf("n,name\n", "%d,some name that is not so short\n")
	want := rowsOf("n,name\n", "%d,SOME NAME THAT IS NOT SO SHORT\n")
	for _, version := range []bool{false, true} {
		for _, query := range []string{"", "?sized"} {
			testbed.Leaks(t)
			s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/csv", nil, text[:10], text[10:5000], text[5000:])), []string{rowsDown}, allFormats)
			got := testbed.Get(t, testbed.Client(t, version, s.addr), "http://x/rows"+query)
			if got.Text != want || got.Header.Get("X-Any") != "1" {
				t.Errorf("h2 %v %s: got %d bytes, %v: %.200q", version, query, len(got.Text), got.Header, got.Text)
			}
		}
	}
}

// A text within the limit is one message, for which a step may also fail.
func TestRowsThatCannotGoOnEndTheirText(t *testing.T) {
	long := strings.Repeat("x,y\n", 2000)
	for _, version := range []bool{false, true} {
		for _, test := range []struct {
			name, steps, body string
			status            int
			reason            rules.Reason
		}{
			{"a row that fails", "map(.a |= tonumber)", "a,b\n1,2\n" + long, 502, rules.ReasonRuntime},
			{"a row of too many cells", "map(.a = 1)", "a,a\n" + long, 400, rules.ReasonDecode},
			{"a row that is too long", ".[].a = \"1\"", "a,b\n" + long + strings.Repeat("x", 2000) + ",y\n", 413, rules.ReasonTooLarge},
			{"a column that comes late", ".[] |= if .a == \"z\" then .c = \"1\" else . end", "a,b\n" + long + "z,y\n", 502, rules.ReasonEncode},
			{"steps that need all rows", "sort_by(.a)", "a,b\n" + long, 413, rules.ReasonTooLarge},
		} {
			t.Run(fmt.Sprintf("%s h2 %v", test.name, version), func(t *testing.T) {
				testbed.Leaks(t)
				rule := fmt.Sprintf("route: rows\nmatch: {http: /rows}\nlimits: {body: 4KiB, message: 1KiB}\nrequest:\n  - jq: '%s'\n", test.steps)
				s := startSidecar(t, testbed.Echo(t, testbed.Loopback(t)), []string{rule}, allFormats)
				got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x/rows", test.body, "Content-Type", "text/csv"))
				if got.StatusCode != test.status {
					t.Errorf("got %d %q", got.StatusCode, got.Text)
				}
				if r := s.record("/rows"); r.Error == nil || r.Error.Reason != string(test.reason) {
					t.Errorf("record: %+v", r.Error)
				}
			})
		}
	}
}

// A text that has no end is one that nobody can hold.
func TestRowsPassLive(t *testing.T) {
	for _, version := range []bool{false, true} {
		testbed.Leaks(t)
		row := strings.Repeat("x", 100) + "\n"
		upstream := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			io.WriteString(w, "name\n")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, row); err != nil {
					return
				}
			}
		}))
		s := startSidecar(t, upstream, []string{rowsDown}, allFormats, func(c *proxy.Config) { c.Capture = 1 << 10 })
		resp, err := testbed.Client(t, version, s.addr).Do(testbed.Request(t, "GET", "http://x/rows", ""))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1<<20)
		if _, err := io.ReadFull(resp.Body, b); err != nil || !strings.HasPrefix(string(b), "name\nXXXX") || strings.ContainsRune(string(b[5:]), 'x') {
			t.Errorf("h2 %v: %v, %.200q", version, err, b)
		}
		resp.Body.Close()
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil || z.Close() != nil {
		t.Fatal("gzip", err)
	}
	return b.String()
}

func unzipped(t *testing.T, packed string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
