package proxy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// itemsKnown gives the proxy a descriptor set with the items' service.
func itemsKnown(t *testing.T) option {
	t.Helper()
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(itemsFile), &file); err != nil {
		t.Fatal(err)
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{&file}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := protobuf.NewFiles(protobuf.File{Name: "items.binpb", Data: set})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *proxy.Config) { c.Methods = files }
}

// item is an item with a name, and a field that nobody knows.
func item(name string) string {
	return "\x0a" + string(rune(len(name))) + name + "\x98\x06\x07"
}

// envelopes are messages as bodies hold them.
func envelopes(messages ...string) string {
	var out []byte
	for _, m := range messages {
		out = stream.AppendEnvelope(out, 0, []byte(m))
	}
	return string(out)
}

func envelope(flags byte, data string) string {
	return string(stream.AppendEnvelope(nil, flags, []byte(data)))
}

func squeezed(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	io.WriteString(z, text)
	z.Close()
	return out.String()
}

// opened are the messages of a body, decompressed, each with its flags in front.
func opened(t *testing.T, body string) (messages []string) {
	t.Helper()
	for len(body) >= 5 {
		size := int(body[1])<<24 | int(body[2])<<16 | int(body[3])<<8 | int(body[4])
		if len(body) < 5+size {
			break
		}
		data := body[5 : 5+size]
		if body[0]&1 != 0 {
			z, err := gzip.NewReader(strings.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			data = string(plain)
		}
		messages = append(messages, fmt.Sprintf("%x %s", body[0], data))
		body = body[5+size:]
	}
	if body != "" {
		messages = append(messages, fmt.Sprintf("rest %q", body))
	}
	return messages
}

// inText is a body in base64, each part padded.
func inText(parts ...string) (text string) {
	for _, part := range parts {
		text += base64.StdEncoding.EncodeToString([]byte(part))
	}
	return text
}

// ofText decodes quantum by quantum.
func ofText(t *testing.T, text string) (plain string) {
	t.Helper()
	for ; len(text) >= 4; text = text[4:] {
		b, err := base64.StdEncoding.DecodeString(text[:4])
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		plain += string(b)
	}
	return plain + text
}

const (
	webProto     = "application/grpc-web+proto"
	webText      = "application/grpc-web-text"
	connectProto = "application/connect+proto"
	connectJSON  = "application/connect+json"

	webTrailers = "\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
	connectDone = "\x02\x00\x00\x00\x02{}"
)

// pieces answers with a content type, header fields and a body in pieces, each
// flushed, and tells what it was sent.
type pieces struct {
	contentType string
	fields      []string
	body        []string
	status      int
	heard       chan string
}

func (p *pieces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		sent = append(sent, "...broken off"...)
	}
	select {
	case p.heard <- string(sent):
	default:
	}
	w.Header().Set("Content-Type", p.contentType)
	for i := 0; i+1 < len(p.fields); i += 2 {
		w.Header().Set(p.fields[i], p.fields[i+1])
	}
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	for _, piece := range p.body {
		io.WriteString(w, piece)
		w.(http.Flusher).Flush()
	}
}

func (p *pieces) start(t *testing.T) string {
	t.Helper()
	p.heard = make(chan string, 1)
	return testbed.HTTP(t, testbed.Loopback(t), p)
}

const webRule = `
route: items
match: {grpc: "test.v1.Items/*"}
request:
  - when: .name == "bad"
    reject: {grpc: FAILED_PRECONDITION, message: not here}
  - jq: 'if .name == "drop" then empty elif .name == "old" then .name = "new" else . end'
response:
  - head: .headers["x-any"] = "1"
  - when: .name == "secret"
    reject: {grpc: DATA_LOSS, message: not this}
  - jq: 'if .name == "gone" then empty elif .name == "old" then .name = "changed" else . end'
`

// A gRPC-Web or Connect call is matched as gRPC, and its messages meet the steps.
func TestMessagesOfWebCallsMeetTheSteps(t *testing.T) {
	plain := []string{item("old"), item("keep"), item("gone"), ""}
	asJSON := []string{`{"name" : "old","x":1}`, `{"name":"keep" }`, `{"name":"gone"}`, "{}"}
	wantSent, wantJSON := envelopes(item("new"), item("keep"), item("gone"), ""), envelopes(`{"name" : "new","x":1}`, `{"name":"keep" }`, `{"name":"gone"}`, "{}")
	wantGot, gotJSON := envelopes(item("changed"), item("keep"), ""), envelopes(`{"name" : "changed","x":1}`, `{"name":"keep" }`, "{}")
	for _, version := range []bool{false, true} {
		for _, test := range []struct {
			media             string
			messages          []string
			end               string
			wantSent, wantGot string
		}{
			{webProto, plain, webTrailers, wantSent, wantGot},
			{webText, plain, webTrailers, wantSent, wantGot},
			{connectProto, plain, connectDone, wantSent, wantGot},
			{connectJSON, asJSON, connectDone, wantJSON, gotJSON},
		} {
			for _, size := range []int{1, 2, 5, 1000} {
				t.Run(fmt.Sprintf("h2 %v %s in pieces of %d", version, test.media, size), func(t *testing.T) {
					testbed.Leaks(t)
					request, response := envelopes(test.messages...), envelopes(test.messages...)+test.end
					read := func(s string) string { return s }
					if test.media == webText {
						request, response = inText(request[:7], request[7:]), inText(response[:20], response[20:])
						read = func(s string) string { return ofText(t, s) }
					}
					upstream := &pieces{contentType: test.media, body: cut(response, size)}
					s := startSidecar(t, upstream.start(t), []string{webRule}, itemsKnown(t))
					r := testbed.Request(t, "POST", "http://x"+chat, "", "Content-Type", test.media)
					r.Body, r.ContentLength = io.NopCloser(&slowly{cut(request, size)}), -1
					got := testbed.Do(t, testbed.Client(t, version, s.addr), r)
					if sent := read(<-upstream.heard); sent != test.wantSent {
						t.Errorf("sent %q, want %q", opened(t, sent), opened(t, test.wantSent))
					}
					if body := read(got.Text); body != test.wantGot+test.end || got.Header.Get("X-Any") != "1" || got.Header.Get("Content-Type") != test.media {
						t.Errorf("got %q, %v, want %q", opened(t, body), got.Header, opened(t, test.wantGot+test.end))
					}
					record := s.record(chat)
					if record.Error != nil || record.Request.MessageCount != 4 || record.Response.MessageCount != 4 || record.GRPCStatus != "OK" || record.Call.Service != "test.v1.Items" {
						t.Errorf("record: %+v", record)
					}
					if m := await(s, func(m *proxy.Message) bool { return m.Upstream && m.Index == 0 }); !m.Edited || string(m.In.Bytes) != test.messages[0] {
						t.Errorf("message: %+v", m)
					}
				})
			}
		}
	}
}

// cut cuts text into pieces.
func cut(text string, size int) (pieces []string) {
	for len(text) > size {
		pieces, text = append(pieces, text[:size]), text[size:]
	}
	return append(pieces, text)
}

// slowly reads one piece at a time.
type slowly struct{ pieces []string }

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; s.pieces[0] == "" {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

// A message that is compressed is so again, and only if it was.
func TestCompressedMessagesOfWebCallsMeetTheSteps(t *testing.T) {
	for media, field := range map[string]string{webProto: "Grpc-Encoding", connectProto: "Connect-Content-Encoding"} {
		for _, version := range []bool{false, true} {
			t.Run(fmt.Sprintf("h2 %v %s", version, media), func(t *testing.T) {
				testbed.Leaks(t)
				kept := envelope(1, squeezed(item("keep")))
				body := envelope(1, squeezed(item("old"))) + envelope(0, item("old")) + kept
				upstream := &pieces{contentType: media, fields: []string{field, "gzip"}, body: []string{body}}
				s := startSidecar(t, upstream.start(t), []string{webRule}, itemsKnown(t))
				got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+chat, body, "Content-Type", media, field, "gzip"))
				for _, end := range []struct{ body, name string }{{<-upstream.heard, "new"}, {got.Text, "changed"}} {
					messages := opened(t, end.body)
					if len(messages) != 3 || messages[0] != "1 "+item(end.name) || messages[1] != "0 "+item(end.name) || !strings.HasSuffix(end.body, kept) {
						t.Errorf("got %q", messages)
					}
				}
			})
		}
	}
}

// What is no message is refused as a message of gRPC that cannot be read is, or
// passes as it came where the route says so; what follows it meets the steps.
func TestHostileEnvelopes(t *testing.T) {
	const old = "\x0a\x03old\x98\x06\x07"
	for name, test := range map[string]struct {
		media, body string
		reason      rules.Reason
		code        string
		passes      string // "": as it came
	}{
		"no protobuf":             {webProto, envelope(0, "\x0a\x05x") + envelopes(old), rules.ReasonDecode, "3", envelope(0, "\x0a\x05x") + envelopes(item("new"))},
		"flags that nobody knows": {webProto, envelope(4, old), rules.ReasonDecode, "3", ""},
		"trailers of a caller":    {webProto, envelope(0x80, old), rules.ReasonDecode, "3", ""},
		"cut off":                 {webProto, envelopes(old)[:12], rules.ReasonDecode, "3", ""},
		"half a prefix":           {webProto, "\x00\x00", rules.ReasonDecode, "3", ""},
		"too large":               {webProto, envelope(0, strings.Repeat("x", 2000)) + envelopes(old), rules.ReasonTooLarge, "8", envelope(0, strings.Repeat("x", 2000)) + envelopes(item("new"))},
		"far too large":           {webProto, "\x00\xff\xff\xff\xffx", rules.ReasonTooLarge, "8", ""},
		"compressed in nothing":   {webProto, envelope(1, old), rules.ReasonEncoding, "3", ""},
		"no base64":               {webText, inText(envelopes(old)) + "AA\nAA", rules.ReasonDecode, "3", inText(envelopes(item("new"))) + "AA\nAA"},
		"half a quantum":          {webText, inText(envelopes(old)) + "AA", rules.ReasonDecode, "3", inText(envelopes(item("new"))) + "AA"},
		"far too large text":      {webText, inText("\x00\xff\xff\xff\xffxy") + "AAA", rules.ReasonTooLarge, "8", ""},
	} {
		for _, version := range []bool{false, true} {
			for _, onError := range []string{"reject", "pass"} {
				t.Run(fmt.Sprintf("%s h2 %v %s", name, version, onError), func(t *testing.T) {
					testbed.Leaks(t)
					upstream := &pieces{contentType: webProto, body: []string{webTrailers}}
					s := startSidecar(t, upstream.start(t), []string{webRule + "limits: {message: 1KiB}\non_error: " + onError + "\n"}, itemsKnown(t))
					got := testbed.Do(t, testbed.Client(t, version, s.addr), testbed.Request(t, "POST", "http://x"+chat, test.body, "Content-Type", test.media))
					record := s.record(chat)
					if record.Error == nil || record.Error.Reason != string(test.reason) {
						t.Errorf("record: %+v, %v", record, record.Error)
					}
					if onError == "reject" {
						if got.Header.Get("Grpc-Status") != test.code || got.StatusCode != 200 {
							t.Errorf("got %d %q %v", got.StatusCode, got.Text, got.Header)
						}
						return
					}
					want := test.passes
					if want == "" {
						want = test.body
					}
					if sent := <-upstream.heard; sent != want {
						t.Errorf("sent %q, want %q", sent, want)
					}
				})
			}
		}
	}
}
