package proxy_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// The frames of these tests are short ones, and their masks are zero.
const (
	wsText   = 0x81
	wsBinary = 0x82
	wsClose  = 0x88
	wsPing   = 0x89
	wsPacked = 0xc1 // a compressed text
)

func fromCaller(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

func fromUpstream(first byte, payload string) string {
	return string([]byte{first, byte(len(payload))}) + payload
}

// closing is the payload of a Close frame.
func closing(code int, reason string) string {
	return string([]byte{byte(code >> 8), byte(code)}) + reason
}

const chatRule = `
route: chat
match: {http: GET /chat}
request:
  - head: .headers["x-room"] = "7"
  - jq: 'if .op == "drop" then empty elif .op == "two" then {n: 1}, {n: 2} else .seen = $message.index end'
response:
  - head: .headers["x-any"] = "1"
  - jq: .secret = "***"
`

// openChat begins a WebSocket through a sidecar, at whose other end the upstream
// plays steps.
func openChat(t *testing.T, rule, extensions string, steps ...testbed.Step) (*sidecar, *net.TCPConn) {
	t.Helper()
	return openChatUnder(t, []string{rule}, extensions, steps...)
}

func openChatUnder(t *testing.T, files []string, extensions string, steps ...testbed.Step) (*sidecar, *net.TCPConn) {
	t.Helper()
	testbed.Leaks(t)
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + extensions + "\r\n"
	upstream := testbed.Script(t, testbed.Loopback(t), append([]testbed.Step{sawHead(), testbed.Send(head)}, steps...)...)
	s := startSidecar(t, upstream, files)
	c := testbed.Dial(t, s.addr)
	if err := testbed.Play(c, testbed.Send("GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := testbed.ReadUntil(c, endHead)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") {
		t.Fatalf("got %q, %v", answer, err)
	}
	return s, c
}

func TestWebSocketMessagesMeetTheStepsOfTheirRoute(t *testing.T) {
	s, c := openChat(t, chatRule, "",
		testbed.Expect(fromCaller(wsText, `{"op": "hi","seen": 0}`)),
		testbed.Expect(fromCaller(wsText, "no json")),
		testbed.Expect(fromCaller(wsBinary, `{"op": "hi"}`)),
		testbed.Expect(fromCaller(wsPing, "now")),
		testbed.Expect(fromCaller(wsText, `{"n": 1}`)+fromCaller(wsText, `{"n": 2}`)),
		testbed.Send(fromUpstream(wsText, `{"secret": "x",  "b": 1.10}`)+fromUpstream(wsBinary, `{"secret": "x"}`)+fromUpstream(wsText, `{"secret": "***"  }`)),
		testbed.Expect(fromCaller(wsClose, closing(1000, ""))), testbed.Send(fromUpstream(wsClose, closing(1000, ""))), testbed.ExpectEnd())
	if err := testbed.Play(c,
		testbed.Send(fromCaller(wsText, `{"op": "hi"}`)+fromCaller(wsText, "no json")+fromCaller(wsBinary, `{"op": "hi"}`)),
		testbed.Send(fromCaller(0x01, `{"op":`)+fromCaller(wsPing, "now")+fromCaller(0x80, ` "drop"}`)),
		testbed.Send(fromCaller(wsText, `{"op": "two"}`)),
		testbed.Expect(fromUpstream(wsText, `{"secret": "***",  "b": 1.10}`)+fromUpstream(wsBinary, `{"secret": "x"}`)+fromUpstream(wsText, `{"secret": "***"  }`)),
		testbed.Send(fromCaller(wsClose, closing(1000, ""))), testbed.Expect(fromUpstream(wsClose, closing(1000, ""))),
		testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	r := s.record("/chat")
	if r.Status != 101 || r.Error != nil || r.Request.MessageCount != 4 || r.Response.MessageCount != 2 || r.Request.Out.Fields.Get("x-room") != "7" || r.Response.Out.Fields.Get("x-any") != "1" {
		t.Errorf("record: %+v", r)
	}
	for _, want := range []struct {
		upstream bool
		index    int
		result   string
		out      []string
	}{
		{false, 0, "ran", []string{`{"op": "hi","seen": 0}`}},
		{false, 1, "skipped_format", nil},
		{false, 2, "ran", []string{}},
		{false, 3, "ran", []string{`{"n": 1}`, `{"n": 2}`}},
		{true, 0, "ran", []string{`{"secret": "***",  "b": 1.10}`}},
		{true, 1, "ran", nil},
	} {
		m := await(s, func(m *proxy.Message) bool { return m.Upstream == want.upstream && m.Index == want.index })
		var out []string
		for _, p := range m.Out {
			out = append(out, string(p.Bytes))
		}
		if got := m.Steps[len(m.Steps)-1].Result; fmt.Sprint(out) != fmt.Sprint(want.out) || m.Edited != (want.out != nil) || got != want.result || m.Route != "chat" || m.Exchange != r.ID {
			t.Errorf("%v %d: %+v, left %q, %s", want.upstream, want.index, m, out, got)
		}
	}
}

func TestARefusedWebSocketMessageClosesBothSides(t *testing.T) {
	failing := func(onError string) string {
		return "route: chat\nmatch: {http: GET /chat}\non_error: " + onError + "\nlimits: {message: 100B}\nrequest: [{jq: '.a.b = 1'}]\n"
	}
	rejecting := strings.Replace(chatRule, "  - jq: 'if", "  - when: .op == \"bad\"\n    reject: {status: 403, message: not here}\n  - jq: 'if", 1)
	big := strings.Repeat("x", 120)
	for _, test := range []struct {
		name, rule, message string
		code                int
		reason              string
		is                  func(r *proxy.Record) bool
	}{
		{
			"rejected", rejecting, fromCaller(wsText, `{"op": "bad"}`), 1008, "not here",
			func(r *proxy.Record) bool { return r.Answered == "reject" && r.Error == nil },
		},
		{
			"a step fails", failing("reject"), fromCaller(wsText, `{"a": 1}`), 1011, "chat/request[0].jq; jq_error",
			func(r *proxy.Record) bool {
				return r.Error.Origin == proxy.OriginRule && r.Error.Reason == string(rules.ReasonRuntime)
			},
		},
		{
			"too large", failing("reject"), fromCaller(wsText, big), 1009, "chat/request[0].jq; too_large",
			func(r *proxy.Record) bool { return r.Error.Reason == string(rules.ReasonTooLarge) },
		},
		{
			"not to be told whether it is rejected", rejecting, fromCaller(wsText, "no json"), 1011, "chat/request[1].when; skipped_format",
			func(r *proxy.Record) bool { return r.Error.Reason == string(rules.ReasonFormat) },
		},
		{
			"not the protocol", chatRule, fromCaller(0x83, "{}"), 1002, "unknown opcode",
			func(r *proxy.Record) bool {
				return r.Error.Origin == proxy.OriginCaller && r.Error.Reason == "protocol"
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			end := closing(test.code, test.reason)
			s, c := openChat(t, test.rule, "", testbed.Expect(fromCaller(wsClose, end)), testbed.ExpectEnd())
			if err := testbed.Play(c, testbed.Send(test.message), testbed.Expect(fromUpstream(wsClose, end)), testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
			if r := s.record("/chat"); !test.is(r) {
				t.Errorf("record: %+v, %v", r, r.Error)
			}
		})
	}
	for name, message := range map[string]string{"a step fails": fromCaller(wsText, `{"a": 1}`), "too large": fromCaller(wsText, big)} {
		t.Run(name+", and passes", func(t *testing.T) {
			s, c := openChat(t, failing("pass"), "", testbed.Expect(message), testbed.Expect(fromCaller(wsText, `{"a":{"b":1}}`)), testbed.ExpectEnd())
			if err := testbed.Play(c, testbed.Send(message+fromCaller(wsText, `{"a":{}}`)), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
			if r := s.record("/chat"); r.Error == nil {
				t.Errorf("record: %+v", r)
			}
		})
	}
}

// squeeze compresses messages one after the other, in one window.
func squeeze(messages ...string) (out []string) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	for _, m := range messages {
		b.Reset()
		w.Write([]byte(m))
		w.Flush()
		out = append(out, strings.TrimSuffix(b.String(), "\x00\x00\xff\xff"))
	}
	return out
}

func TestCompressedWebSocketMessagesMeetTheStepsOfTheirRoute(t *testing.T) {
	sent := squeeze(`{"secret":"***"}`, `{"secret":"***","again":"***"}`)
	_, c := openChat(t, chatRule, "Sec-WebSocket-Extensions: permessage-deflate\r\n",
		testbed.Send(fromUpstream(wsPacked, sent[0])+fromUpstream(wsPacked, sent[1])), testbed.ExpectEnd())
	if err := testbed.Play(c, testbed.Expect(fromUpstream(wsPacked, sent[0])+fromUpstream(wsPacked, sent[1])), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error("unchanged: ", err)
	}
	sent = squeeze(`{"secret":"one"}`, `{"secret":"one","two":"one"}`)
	_, c = openChat(t, chatRule, "Sec-WebSocket-Extensions: permessage-deflate\r\n",
		testbed.Send(fromUpstream(wsPacked, sent[0])+fromUpstream(wsPacked, sent[1])), testbed.ExpectEnd())
	var got []byte
	for range 2 {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil || head[0] != wsPacked {
			t.Fatalf("got %q, %v", head, err)
		}
		payload := make([]byte, head[1])
		io.ReadFull(c, payload)
		got = append(append(got, payload...), "\x00\x00\xff\xff"...)
	}
	var plain bytes.Buffer
	plain.ReadFrom(flate.NewReader(bytes.NewReader(got)))
	if want := `{"secret":"***"}{"secret":"***","two":"one"}`; plain.String() != want {
		t.Errorf("got %s, want %s", plain.String(), want)
	}
	if err := testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
}

func TestAWebSocketOfUnknownExtensionsIsForOnErrorToDecide(t *testing.T) {
	testbed.Leaks(t)
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: x-own\r\n\r\n"
	for onError, want := range map[string]string{"reject": "HTTP/1.1 502 ", "pass": "HTTP/1.1 101 "} {
		upstream := testbed.Script(t, testbed.Loopback(t), sawHead(), testbed.Send(head))
		s := startSidecar(t, upstream, []string{chatRule + "on_error: " + onError + "\n"})
		c := testbed.Dial(t, s.addr)
		testbed.Play(c, testbed.Send("GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
		if got, err := testbed.ReadUntil(c, endHead); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: got %q, %v", onError, got, err)
		}
		c.Close()
		if r := s.record("/chat"); r.Error == nil || r.Error.Reason != string(rules.ReasonEncoding) {
			t.Errorf("%s: %+v", onError, r)
		}
	}
}

func TestAWebSocketOfARouteMirrorsResets(t *testing.T) {
	_, c := openChat(t, chatRule, "", testbed.Send(fromUpstream(wsText, `{}`)), testbed.Abort())
	if err := testbed.Play(c, testbed.ExpectReset()); err != nil && !testbed.IsReset(err) {
		t.Error(err)
	}
	_, c = openChat(t, chatRule, "", testbed.ExpectReset())
	testbed.Play(c, testbed.Abort())
}

// What redact names is not seen in messages of a WebSocket either, and a text that
// cannot be read for it is not shown.
func TestWebSocketMessagesAreRedacted(t *testing.T) {
	s, c := openChat(t, chatRule+"redact: {headers: [x-room], body: .op}\n", "",
		testbed.Expect(fromCaller(wsText, `{"op": "hi","seen": 0}`)+fromCaller(wsText, "no json")), testbed.ExpectEnd())
	if err := testbed.Play(c, testbed.Send(fromCaller(wsText, `{"op": "hi"}`)+fromCaller(wsText, "no json")), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	for index, want := range []string{`{"op":"[redacted]"} "" map[op:[redacted] seen:0]`, ` "redact: it is not of its format" <nil>`} {
		m := await(s, func(m *proxy.Message) bool { return m.Index == index })
		got := fmt.Sprintf("%s %q %v", m.In.Bytes, m.In.Withheld, m.Steps[0].Body)
		if m.Steps[0].InPlace || len(m.Out) > 0 && !strings.Contains(string(m.Out[0].Bytes), `"op":"[redacted]"`) || got != want {
			t.Errorf("message %d: got %s, want %s; %+v", index, got, want, m)
		}
	}
	if r := s.record("/chat"); r.Request.Out.Fields.Get("x-room") != "[redacted]" {
		t.Errorf("record: %+v", r.Request.Out)
	}
}
