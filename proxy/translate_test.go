package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/msgpack"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/codec/xml"
	"github.com/sluice-proxy/sluice/codec/yaml"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func allFormats(c *proxy.Config) {
	c.Codecs = codec.NewRegistry(
		codec.Format{Codec: json.Codec{}, Types: []string{"application/json", "+json"}},
		codec.Format{Codec: xml.Codec{}, Types: []string{"application/xml", "text/xml"}},
		codec.Format{Codec: yaml.Codec{}, Types: []string{"application/yaml"}},
		codec.Format{Codec: csv.Codec{}, Types: []string{"text/csv"}},
		codec.Format{Codec: form.Codec{}, Types: []string{"application/x-www-form-urlencoded"}},
		codec.Format{Codec: msgpack.Codec{}, Types: []string{"application/msgpack"}},
		codec.Format{Codec: stream.NDJSON{}, Types: []string{"application/x-ndjson"}},
	)
}

// service says what it was sent and answers with a body of a type.
func service(t *testing.T, contentType, body string, status int) (addr string, heard chan string) {
	heard = make(chan string, 10)
	return testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		heard <- fmt.Sprintf("%s %s %s", r.Header.Get("Content-Type"), r.Header.Get("Accept"), b)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})), heard
}

func TestAServiceIsSpokenToInItsFormat(t *testing.T) {
	const rows = "route: r\nupstream: {format: %s}\n"
	for _, test := range []struct {
		name, rule           string
		contentType, accept  string
		sent, heard          string
		answerType, answered string
		want                 string
	}{
		{
			"XML to JSON", "route: r\nupstream: {format: json}\nrequest: [{jq: .order}]\nresponse: [{jq: '{order: .}'}]\n",
			"application/xml; charset=utf-8", "", "<order id='7'><item>a</item><item>b</item></order>", `application/json application/json {"@id":"7","item":["a","b"]}`,
			"application/json", `{"id": 7, "ok": true}`, "application/xml; charset=utf-8 <order><id>7</id><ok>true</ok></order>",
		},
		{
			"form to JSON, answered in YAML", fmt.Sprintf(rows, "json"),
			"application/x-www-form-urlencoded", "text/html, application/yaml;q=0.5, */*;q=0.1", "a=1&b=x+y&b=z", `application/json application/json {"a":"1","b":["x y","z"]}`,
			"application/json; charset=utf-8", `{"n": 1}`, "application/yaml \"n\": 1\n",
		},
		{
			"JSON to CSV", fmt.Sprintf(rows, "csv"),
			"application/json", "", `[{"a":"1","b":"x"},{"a":"2","b":"y"}]`, "text/csv text/csv a,b\r\n1,x\r\n2,y\r\n",
			"text/csv", "n\n1\n", `application/json [{"n":"1"}]`,
		},
		{
			"NDJSON to JSON", fmt.Sprintf(rows, "json"),
			"application/x-ndjson", "", "{\"a\":1}\n{\"a\":2}\n", `application/json application/json [{"a":1},{"a":2}]`,
			"application/json", `[1,2]`, "application/x-ndjson 1\n2\n",
		},
		{
			"JSON to NDJSON", fmt.Sprintf(rows, "ndjson"),
			"application/json", "", `[{"a":1},{"a":2}]`, "application/x-ndjson application/x-ndjson {\"a\":1}\n{\"a\":2}\n",
			"application/x-ndjson", "{\"b\":1}\n\n{\"b\":2}", `application/json [{"b":1},{"b":2}]`,
		},
		{
			"MessagePack to JSON", fmt.Sprintf(rows, "json"),
			"application/msgpack", "", "\x81\xa1a\x01", `application/json application/json {"a":1}`,
			"application/json", `{"b":[]}`, "application/msgpack \x81\xa1b\x90",
		},
		{
			"the same format is edited in place", fmt.Sprintf(rows, "json"),
			"application/json", "", `{"a" : 1.0}`, `application/json application/json {"a" : 1.0}`,
			"application/json", `{"b" : 1.0}`, `application/json {"b" : 1.0}`,
		},
		{
			"a page is no format", fmt.Sprintf(rows, "json"),
			"application/xml", "", "<a/>", `application/json application/json {"a":""}`,
			"text/html", `<p>`, "text/html <p>",
		},
	} {
		for _, version := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s h2 %v", test.name, version), func(t *testing.T) {
				testbed.Leaks(t)
				addr, heard := service(t, test.answerType, test.answered, 200)
				s := startSidecar(t, addr, []string{test.rule}, allFormats)
				r := testbed.Request(t, "POST", "http://x/", test.sent, "Content-Type", test.contentType)
				if test.accept != "" {
					r.Header.Set("Accept", test.accept)
				}
				got := testbed.Do(t, testbed.Client(t, version, s.addr), r)
				if h := <-heard; h != test.heard {
					t.Errorf("the service heard %q, want %q", h, test.heard)
				}
				if text := got.Header.Get("Content-Type") + " " + got.Text; text != test.want || got.StatusCode != 200 {
					t.Errorf("got %d %q, want %q", got.StatusCode, text, test.want)
				}
			})
		}
	}
}

func TestWhatCannotBeSpokenIsAnErrorInTheCallersFormat(t *testing.T) {
	testbed.Leaks(t)
	addr, _ := service(t, "application/json", `{"a": 1, "b": 2}`, 200)
	s := startSidecar(t, addr, []string{"route: r\nupstream: {format: json}\n"}, allFormats)
	got := testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x/", "<a/>", "Content-Type", "application/xml"))
	if got.StatusCode != 502 || got.Header.Get("Content-Type") != "application/xml" || !strings.Contains(got.Text, "<message>the result has no form in xml: .</message>") ||
		got.Header.Get("X-Sluice-Error") != "r/response.format; encode" {
		t.Errorf("got %d %q %v", got.StatusCode, got.Text, got.Header)
	}
	got = testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x/", "hello", "Content-Type", "text/plain"))
	if got.StatusCode != 400 || got.Header.Get("X-Sluice-Error") != "r/request.format; skipped_format" {
		t.Errorf("got %d %q %v", got.StatusCode, got.Text, got.Header)
	}
}

// A route may know better than the content type.
func TestFormatIsWhatTheRouteSays(t *testing.T) {
	testbed.Leaks(t)
	addr, heard := service(t, "text/plain", `{"b" : 1}`, 200)
	s := startSidecar(t, addr, []string{"route: r\nformat: json\nrequest: [{jq: .a = 1}]\nresponse: [{jq: .b = 2}]\n"}, allFormats)
	got := testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "POST", "http://x/", `{"x" : 1}`, "Content-Type", "text/plain"))
	if h := <-heard; h != `text/plain  {"x" : 1,"a" : 1}` || got.Text != `{"b" : 2}` || got.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("heard %q, got %q %v", h, got.Text, got.Header)
	}
}

func TestAGetOfAnotherFormat(t *testing.T) {
	testbed.Leaks(t)
	addr, heard := service(t, "application/json", `{"a": {"b": [1, 2]}}`, 404)
	s := startSidecar(t, addr, []string{"route: r\nupstream: {format: json}\n"}, allFormats)
	got := testbed.Get(t, testbed.Client(t, false, s.addr), "http://x/", "Accept", "text/xml")
	if h := <-heard; h != " application/json " || got.StatusCode != 404 || got.Text != "<a><b>1</b><b>2</b></a>" {
		t.Errorf("heard %q, got %d %q %v", h, got.StatusCode, got.Text, got.Header)
	}
	head := testbed.Do(t, testbed.Client(t, false, s.addr), testbed.Request(t, "HEAD", "http://x/", "", "Accept", "text/xml"))
	if head.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD: %v", head.Header)
	}
}
