package proxy_test

import (
	"bytes"
	"compress/flate"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// chatRule2 is chatRule for extended CONNECT, whose method is CONNECT.
var chatRule2 = strings.Replace(chatRule, "GET /chat", "CONNECT /chat", 1)

// openChat2 begins a WebSocket on stream 1 (RFC 8441, 5.1) through a sidecar.
func openChat2(t *testing.T, rule string, fields ...string) *rawTalk {
	t.Helper()
	talk := startTalk(t, []string{rule}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	talk.caller.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/chat", ":authority", "a.test", "sec-websocket-version", "13")
	if got := talk.upstream().next(); !strings.HasPrefix(got, "HEADERS 1 :method=CONNECT :protocol=websocket :scheme=http :path=/chat ") {
		t.Fatal(got)
	}
	talk.up.head(1, false, append([]string{":status", "200"}, fields...)...)
	if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=200") {
		t.Fatal(got)
	}
	return talk
}

func TestWebSocketMessagesOverHTTP2MeetTheStepsOfTheirRoute(t *testing.T) {
	talk := openChat2(t, chatRule2)
	caller, up := talk.caller, talk.up
	for _, each := range []struct{ said, heard string }{
		{fromCaller(wsText, `{"op": "hi"}`), fromCaller(wsText, `{"op": "hi","seen": 0}`)},
		{fromCaller(wsText, "no json"), fromCaller(wsText, "no json")},
		{fromCaller(wsBinary, `{"op": "hi"}`), fromCaller(wsBinary, `{"op": "hi"}`)},
		{fromCaller(wsText, `{"op": "drop"}`) + fromCaller(wsPing, "now"), fromCaller(wsPing, "now")},
		{fromCaller(wsText, `{"op": "two"}`), fromCaller(wsText, `{"n": 1}`) + fromCaller(wsText, `{"n": 2}`)},
	} {
		caller.WriteData(1, false, []byte(each.said))
		up.expect("DATA 1 " + each.heard)
	}
	whole := fromUpstream(wsText, `{"secret": "x",  "b": 1.10}`)
	up.WriteData(1, false, []byte(whole[:7])) // frames of HTTP/2 are not those of WebSocket
	up.WriteData(1, false, []byte(whole[7:]+fromUpstream(wsBinary, `{"secret": "x"}`)))
	if got, _ := caller.data(1, 46); string(got) != fromUpstream(wsText, `{"secret": "***",  "b": 1.10}`)+fromUpstream(wsBinary, `{"secret": "x"}`) {
		t.Fatalf("got %q", got)
	}
	caller.WriteData(1, true, []byte(fromCaller(wsClose, closing(1000, ""))))
	if got, ended := up.data(1, 9); string(got) != fromCaller(wsClose, closing(1000, "")) || !ended {
		t.Fatalf("got %q, %v", got, ended)
	}
	up.WriteData(1, true, []byte(fromUpstream(wsClose, closing(1000, ""))))
	if got, ended := caller.data(1, 5); string(got) != fromUpstream(wsClose, closing(1000, "")) || !ended {
		t.Fatalf("got %q, %v", got, ended)
	}
	r := talk.record("/chat")
	if r.Status != 200 || r.Error != nil || r.Request.MessageCount != 4 || r.Response.MessageCount != 1 || r.Request.Out.Fields.Get("x-room") != "7" || r.Response.Out.Fields.Get("x-any") != "1" {
		t.Errorf("record: %+v, %v", r, r.Error)
	}
	m := await(talk.sidecar, func(m *proxy.Message) bool { return m.Upstream && m.Index == 0 })
	if m.Route != "chat" || m.Exchange != r.ID || !m.Edited || string(m.Out[0].Bytes) != `{"secret": "***",  "b": 1.10}` {
		t.Errorf("message: %+v", m)
	}
}

func TestARefusedWebSocketMessageOverHTTP2ClosesBothSides(t *testing.T) {
	failing := "route: chat\nmatch: {http: CONNECT /chat}\nlimits: {message: 100B}\nrequest: [{jq: '.a.b = 1'}]\n"
	rejecting := strings.Replace(chatRule2, "  - jq: 'if", "  - when: .op == \"bad\"\n    reject: {status: 403, message: not here}\n  - jq: 'if", 1)
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
			"a step fails", failing, fromCaller(wsText, `{"a": 1}`), 1011, "chat/request[0].jq; jq_error",
			func(r *proxy.Record) bool { return r.Error != nil && r.Error.Reason == string(rules.ReasonRuntime) },
		},
		{
			"not the protocol", chatRule2, fromCaller(0x83, "{}"), 1002, "unknown opcode",
			func(r *proxy.Record) bool {
				return r.Error != nil && r.Error.Origin == proxy.OriginCaller && r.Error.Reason == "protocol"
			},
		},
	} {
		for _, leaves := range []bool{true, false} {
			t.Run(test.name, func(t *testing.T) {
				end := closing(test.code, test.reason)
				talk := openChat2(t, test.rule)
				talk.caller.WriteData(1, false, []byte(test.message))
				hears := func(e *rawEnd, want string) {
					if got, ended := e.data(1, len(want)+1); string(got) != want || !ended {
						t.Errorf("at the %s: got %q, %v, want %q", e.name, got, ended, want)
					}
				}
				hears(talk.up, fromCaller(wsClose, end))
				hears(talk.caller, fromUpstream(wsClose, end))
				if leaves {
					talk.caller.WriteData(1, true, nil)
					talk.up.WriteData(1, true, nil)
				} else { // neither hangs up: both are reset after a moment
					talk.caller.expect("RST_STREAM 1 NO_ERROR")
					talk.up.expect("RST_STREAM 1 CANCEL")
				}
				if r := talk.record("/chat"); !test.is(r) {
					t.Errorf("record: %+v, %v", r, r.Error)
				}
			})
		}
	}
}

func TestCompressedWebSocketMessagesOverHTTP2MeetTheStepsOfTheirRoute(t *testing.T) {
	for _, test := range []struct{ sent, want []string }{
		{[]string{`{"secret":"***"}`, `{"secret":"***","again":"***"}`}, []string{`{"secret":"***"}`, `{"secret":"***","again":"***"}`}},
		{[]string{`{"secret":"one"}`, `{"secret":"one","two":"one"}`}, []string{`{"secret":"***"}`, `{"secret":"***","two":"one"}`}},
	} {
		talk := openChat2(t, chatRule2, "sec-websocket-extensions", "permessage-deflate")
		var got []byte
		for _, packed := range squeeze(test.sent...) {
			talk.up.WriteData(1, false, []byte(fromUpstream(wsPacked, packed)))
			text, ok := strings.CutPrefix(talk.caller.next(), "DATA 1 ")
			if !ok || text[0] != wsPacked || int(text[1]) != len(text)-2 {
				t.Fatalf("got %q", text)
			}
			got = append(got, text[2:]+"\x00\x00\xff\xff"...)
		}
		var plain bytes.Buffer
		plain.ReadFrom(flate.NewReader(bytes.NewReader(got)))
		if want := strings.Join(test.want, ""); plain.String() != want {
			t.Errorf("got %s, want %s", plain.String(), want)
		}
	}
}

func TestAWebSocketOverHTTP2ThatIsNotOpenedIsAnAnswerLikeOthers(t *testing.T) {
	talk := startTalk(t, []string{chatRule2}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	talk.caller.head(3, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/chat", ":authority", "a.test")
	talk.upstream().next()
	talk.up.head(1, false, ":status", "403", "content-type", "application/json")
	talk.up.WriteData(1, true, []byte(`{"secret":"x"}`))
	if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 3 :status=403 ") {
		t.Fatal(got)
	}
	if got, ended := talk.caller.data(3, 17); string(got) != `{"secret":"***"}` || !ended {
		t.Fatalf("got %q, %v", got, ended)
	}
	talk.caller.WriteData(3, true, nil)
	talk.up.expect("DATA 1 end ")
}

func TestAWebSocketOverHTTP2OfARouteMirrorsResets(t *testing.T) {
	talk := openChat2(t, chatRule2)
	talk.caller.WriteRSTStream(1, http2.ErrCodeCancel)
	talk.up.expect("RST_STREAM 1 CANCEL")
	if r := talk.record("/chat"); r.Error == nil || r.Error.Origin != proxy.OriginCaller {
		t.Errorf("record: %+v, %v", r, r.Error)
	}
	talk = openChat2(t, chatRule2)
	talk.up.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm)
	talk.caller.expect("RST_STREAM 1 ENHANCE_YOUR_CALM")
	if r := talk.record("/chat"); r.Error == nil || r.Error.Origin != proxy.OriginUpstream {
		t.Errorf("record: %+v, %v", r, r.Error)
	}
}

// The exchange lane says no SETTINGS_ENABLE_CONNECT_PROTOCOL, whatever the
// upstream says, so no caller may ask for one; one that does is told at once.
func TestTheExchangeLaneOffersNoExtendedConnect(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }), []string{chatRule2}, inLane(proxy.LaneExchange))
	c := testbed.Dial(t, s.addr)
	io.WriteString(c, http2.ClientPreface)
	caller := newRawEnd(t, "caller", c)
	caller.WriteSettings()
	caller.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/chat", ":authority", "a.test")
	caller.expect("RST_STREAM 1 PROTOCOL_ERROR")
	if on := caller.settings[http2.SettingEnableConnectProtocol]; on != 0 {
		t.Errorf("SETTINGS_ENABLE_CONNECT_PROTOCOL is %d", on)
	}
}
