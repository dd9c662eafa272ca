package matrix

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/csv"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/codec/msgpack"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/codec/xml"
	"github.com/sluice-proxy/sluice/codec/yaml"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// The items of the calls among the shapes, each with a field that nobody knows.
const (
	oldItem  = "\x0a\x03old\x98\x06\x07\x1a\x01n"
	newItem  = "\x0a\x01x\x98\x06\x07\x1a\x01n"
	bareItem = "\x0a\x01x\x98\x06\x07"
	oddItem  = "\x98\x06\x07\x0a\x01k" // which Sluice would write in another order

	itemRequest  = `if .name == "old" then .name = "x" else . end`
	itemResponse = `.note = ""`
)

// enveloped are messages as the bodies of gRPC-Web and Connect hold them.
func enveloped(messages ...string) string {
	var out []byte
	for _, m := range messages {
		out = stream.AppendEnvelope(out, 0, []byte(m))
	}
	return string(out)
}

// texts are parts in base64, each padded.
func texts(parts ...string) (text string) {
	for _, part := range parts {
		text += base64.StdEncoding.EncodeToString([]byte(part))
	}
	return text
}

// shape is a format in a form that tells whether edits are differences: an
// upstream is sent sent with request's edit in it, and its caller what the
// upstream sends back, which is the same, with response's in it as well.
type shape struct {
	name        string
	types       []string // the first is sent, with parameters
	contentType string
	Codec       codec.Codec
	request     string
	response    string
	sent        string
	arrives     string
	returns     string
}

var shapes = []shape{
	{
		"json", []string{"application/json", "+json"}, "application/vnd.shop+json; charset=utf-8", json.Codec{},
		`.user.email = "x" | del(.password)`, `.n += 1`,
		`{"n": 9007199254740993, "user": {"email" : "a@b", "price": 1.50}, "password": "p"}`,
		`{"n": 9007199254740993, "user": {"email" : "x", "price": 1.50}}`,
		`{"n": 9007199254740994, "user": {"email" : "x", "price": 1.50}}`,
	},
	{
		"xml", []string{"application/xml"}, "application/xml", xml.Codec{},
		`.order.item[0]["@sku"] = "new"`, `del(.order.note)`,
		"<?xml version='1.0'?>\n<!-- kept --><order xmlns:a=\"u\">\n  <item sku='old'/>\n  <a:b/>\n  <note>n</note>\n  <item><![CDATA[x]]></item>\n</order>\n",
		"<?xml version='1.0'?>\n<!-- kept --><order xmlns:a=\"u\">\n  <item sku='new'/>\n  <a:b/>\n  <note>n</note>\n  <item><![CDATA[x]]></item>\n</order>\n",
		"<?xml version='1.0'?>\n<!-- kept --><order xmlns:a=\"u\">\n  <item sku='new'/>\n  <a:b/>\n  <item><![CDATA[x]]></item>\n</order>\n",
	},
	{
		"yaml", []string{"application/yaml"}, "application/yaml", yaml.Codec{},
		`.a.b = "x"`, `del(.drop)`,
		"# kept\na:\n  b: 'old' # why\n  c: 0x10\ndrop: 1\nlist: [1,  2]\n",
		"# kept\na:\n  b: 'x' # why\n  c: 0x10\ndrop: 1\nlist: [1,  2]\n",
		"# kept\na:\n  b: 'x' # why\n  c: 0x10\nlist: [1,  2]\n",
	},
	{
		"csv", []string{"text/csv"}, "text/csv", csv.Codec{},
		`.[0].name = "x, y"`, `del(.[1])`,
		"id,name\r\n1,\"old\"\r\n2,b\r\n\"3\",c",
		"id,name\r\n1,\"x, y\"\r\n2,b\r\n\"3\",c",
		"id,name\r\n1,\"x, y\"\r\n\"3\",c",
	},
	{
		"tsv", []string{"text/tab-separated-values"}, "text/tab-separated-values", csv.TSV(),
		`.[0].name = "x"`, `.`, "id\tname\n1\told\n", "id\tname\n1\tx\n", "id\tname\n1\tx\n",
	},
	{
		"form", []string{"application/x-www-form-urlencoded"}, "application/x-www-form-urlencoded", form.Codec{},
		`.name = "x y"`, `del(.drop)`, "a=%7e&name=old&drop=1&b=+", "a=%7e&name=x+y&drop=1&b=+", "a=%7e&name=x+y&b=+",
	},
	{
		"multipart", []string{"multipart/form-data"}, `multipart/form-data; boundary="b b"`, form.Multipart{},
		`.name = "x"`, `del(.drop)`,
		"--b b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nold\r\n--b b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n\x00\xff\r\n--b b\r\nContent-Disposition: form-data; name=\"drop\"\r\n\r\n1\r\n--b b--\r\n",
		"--b b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n\x00\xff\r\n--b b\r\nContent-Disposition: form-data; name=\"drop\"\r\n\r\n1\r\n--b b--\r\n",
		"--b b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n\x00\xff\r\n--b b--\r\n",
	},
	{
		"msgpack", []string{"application/msgpack"}, "application/msgpack", msgpack.Codec{},
		`.a = "x"`, `del(.drop)`,
		"\x83\xa1a\xa3old\xa4drop\x01\xa1b\xd1\x00\x05", "\x83\xa1a\xa1x\xa4drop\x01\xa1b\xd1\x00\x05", "\x82\xa1a\xa1x\xa1b\xd1\x00\x05",
	},
	{
		"ndjson", []string{"application/x-ndjson"}, "application/x-ndjson", stream.NDJSON{},
		`if .drop then empty else .n += 1 end`, `.i = $message.index`,
		"{\"n\" : 1}\r\n\n{\"drop\":true}\n{\"n\":2}", "{\"n\" : 2}\r\n\n{\"n\":3}", "{\"n\" : 2,\"i\" : 0}\r\n\n{\"n\":3,\"i\":1}",
	},
	{
		"sse", []string{"text/event-stream"}, "text/event-stream", stream.SSE{},
		`.data.n = 1`, `.event = "e"`,
		": hello\n\nid:7\ndata: {\"n\" : 0,\ndata: \"a\": 1.0}\n\n", ": hello\n\nid:7\ndata: {\"n\" : 1,\ndata: \"a\": 1.0}\n\n", ": hello\n\nevent: e\nid:7\ndata: {\"n\" : 1,\ndata: \"a\": 1.0}\n\n",
	},
	{
		"json sequence", []string{"application/json-seq"}, "application/json-seq", stream.JSONSeq{},
		`.n = 1`, `.`, "\x1e{}\n\x1e{\"n\" : 2}\n", "\x1e{\"n\":1}\n\x1e{\"n\" : 1}\n", "\x1e{\"n\":1}\n\x1e{\"n\" : 1}\n",
	},
	{
		name: "grpc-web", contentType: "application/grpc-web+proto", request: itemRequest, response: itemResponse,
		sent: enveloped(oldItem, oddItem), arrives: enveloped(newItem, oddItem), returns: enveloped(bareItem, oddItem),
	},
	{
		name: "grpc-web in text", contentType: "application/grpc-web-text", request: itemRequest, response: itemResponse,
		sent:    texts(enveloped(oldItem, oddItem)),
		arrives: texts(enveloped(newItem), enveloped(oddItem)), // the two shared four characters
		returns: texts(enveloped(bareItem), enveloped(oddItem)),
	},
	{
		name: "unary grpc-web", contentType: "application/grpc-web", request: itemRequest, response: itemResponse,
		sent: enveloped(oldItem), arrives: enveloped(newItem), returns: enveloped(bareItem),
	},
	{
		name: "connect", contentType: "application/connect+proto", request: itemRequest, response: itemResponse,
		sent: enveloped(oldItem, oddItem), arrives: enveloped(newItem, oddItem), returns: enveloped(bareItem, oddItem),
	},
	{
		name: "connect in json", contentType: "application/connect+json", request: itemRequest, response: `.note = 1`,
		sent: enveloped(`{"name": "old"}`, `{ "n":1.0}`), arrives: enveloped(`{"name": "x"}`, `{ "n":1.0}`),
		returns: enveloped(`{"name": "x","note": 1}`, `{ "n":1.0, "note":1}`),
	},
	{
		name: "unary connect", contentType: "application/proto", request: itemRequest, response: itemResponse,
		sent: oldItem, arrives: newItem, returns: bareItem,
	},
	{
		"an image", nil, "image/svg+xml", nil, `.svg = "x"`, `.svg = "x"`, "<svg/>", "<svg/>", "<svg/>",
	},
}

// called are the methods that shapes are messages of.
var called = map[string]string{
	"grpc-web": "/matrix.v1.Items/Bidi", "grpc-web in text": "/matrix.v1.Items/Bidi", "unary grpc-web": "/matrix.v1.Items/Unary",
	"connect": "/matrix.v1.Items/Bidi", "connect in json": "/matrix.v1.Items/Bidi", "unary connect": "/matrix.v1.Items/Unary",
}

// shapeField tells shapes of one method apart.
const shapeField = "x-shape"

// path is where the shape is sent, which is the i-th.
func (s *shape) path(i int) string {
	if path := called[s.name]; path != "" {
		return path
	}
	return fmt.Sprintf("/shape%d", i)
}

// match is what a route of its own matches.
func (s *shape) match(i int) string {
	if path := called[s.name]; path != "" {
		return fmt.Sprintf("grpc: %s, headers: {%s: %q}", path[1:], shapeField, s.name)
	}
	return "http: " + s.path(i)
}

// mirror sends back what it is sent, and remembers it by its case.
type mirror struct {
	mu   sync.Mutex
	seen map[string]string
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	m.seen[r.Header.Get(caseField)] = string(body)
	m.mu.Unlock()
	for _, name := range []string{"Content-Type", "Content-Encoding"} {
		if v := r.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Write(body)
}

// TestFormatsAreEditedAsDifferencesInEveryLane takes every format through every
// lane, protocol and content coding.
func TestFormatsAreEditedAsDifferencesInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	var files []rules.File
	for i, s := range shapes {
		files = append(files, ruleFile(fmt.Sprintf("shape%d", i), s.match(i),
			fmt.Sprintf("request:\n  - jq: |\n      %s\nresponse:\n  - jq: |\n      %s\n", s.request, s.response)))
	}
	m := &mirror{seen: map[string]string{}}
	upstream := testbed.HTTP(t, testbed.Loopback(t), m)
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, files)
		for i, s := range shapes {
			for _, protocol := range protocols {
				for _, e := range encodings {
					if e.writer == nil && e.name != "" {
						continue
					}
					id := fmt.Sprintf("%s %s %s %s", l.name, s.name, protocol, e)
					client := testbed.Client(t, protocol == "http2", car.addr)
					r := testbed.Request(t, "POST", "http://x"+s.path(i), string(e.encode(t, s.sent)), "Content-Type", s.contentType, caseField, id, shapeField, s.name)
					if e.name != "" {
						r.Header.Set("Content-Encoding", e.name)
					}
					got := testbed.Do(t, client, r)
					client.CloseIdleConnections()
					m.mu.Lock()
					arrived, err := plainOf(e.name, []byte(m.seen[id]))
					m.mu.Unlock()
					if arrived != s.arrives || err != nil {
						t.Errorf("%s: arrived %q, %v, want %q", id, arrived, err, s.arrives)
					}
					returned, err := plainOf(e.name, []byte(got.Text))
					if returned != s.returns || err != nil || got.StatusCode != 200 || got.Err != nil {
						t.Errorf("%s: returned %d %q, %v, %v, want %q", id, got.StatusCode, returned, err, got.Err, s.returns)
					}
					record, _ := car.record(t, id)
					if record.Lane != l.shown || record.Error != nil {
						t.Errorf("%s: record %+v", id, record)
					}
				}
			}
		}
	}
}

// An edit that leaves a message equal leaves its bytes.
func TestEqualFormatsPassAsTheirBytesInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	m := &mirror{seen: map[string]string{}}
	upstream := testbed.HTTP(t, testbed.Loopback(t), m)
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, []rules.File{ruleFile("same", "http: /", "request:\n  - jq: '[.][0]'\nresponse:\n  - jq: '[.][0]'\n")})
		for i, s := range shapes {
			id := l.name + " " + s.name
			got := testbed.Do(t, testbed.Client(t, false, car.addr), testbed.Request(t, "POST", "http://x"+s.path(i), s.sent, "Content-Type", s.contentType, caseField, id))
			if m.seen[id] != s.sent || got.Text != s.sent {
				t.Errorf("%s: arrived %q, returned %q", id, m.seen[id], got.Text)
			}
			if record, _ := car.record(t, id); record.Error != nil || record.Request.Edited || record.Response.Edited {
				t.Errorf("%s: record %+v", id, record)
			}
		}
	}
}
