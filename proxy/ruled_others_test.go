package proxy_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestRuledPrioritiesPass(t *testing.T) {
	rules := []string{
		"route: no\nmatch: {http: \"GET /no\"}\nrequest: [{reject: {status: 403}}]\n",
		"route: r\nmatch: {http: \"/ruled\"}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n",
	}
	for _, path := range []string{"/plain", "/ruled"} {
		t.Run(path[1:], func(t *testing.T) {
			talk := startTalk(t, rules)
			talk.caller.head(1, true, getFields("/no")...) // makes the numbers differ
			if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=403") {
				t.Fatal(got)
			}
			talk.caller.next()
			up := talk.upstream()
			rest := " :method=POST :scheme=http :authority=a.test :path=" + path
			talk.caller.headOn(3, false, http2.PriorityParam{Weight: 200}, postFields(path)...)
			up.expect("HEADERS 1 (on 0 weight 200 exclusive false)" + rest)
			talk.caller.headOn(5, false, http2.PriorityParam{StreamDep: 3, Exclusive: true, Weight: 9}, postFields(path)...)
			up.expect("HEADERS 3 (on 1 weight 9 exclusive true)" + rest)
			talk.caller.headOn(7, false, http2.PriorityParam{StreamDep: 1, Weight: 9}, postFields(path)...) // which is over
			up.expect("HEADERS 5" + rest)
			talk.caller.WritePriority(9, http2.PriorityParam{StreamDep: 3, Weight: 7}) // which is idle
			talk.caller.WritePriority(7, http2.PriorityParam{StreamDep: 5, Weight: 7})
			talk.caller.WritePriority(5, http2.PriorityParam{StreamDep: 0, Weight: 8})
			up.expect("PRIORITY 5 on 3 weight 7", "PRIORITY 3 on 0 weight 8")
			talk.caller.AllowIllegalWrites = true
			talk.caller.WritePriority(7, http2.PriorityParam{StreamDep: 7, Weight: 8})
			talk.caller.expect("RST_STREAM 7 PROTOCOL_ERROR")
			up.expect("RST_STREAM 5 PROTOCOL_ERROR")
		})
	}
}

// Before the upstream lets it open a stream, what is said of that waits with it.
func TestRuledPrioritiesWaitWithTheirStreams(t *testing.T) {
	talk := startTalk(t, []string{bodies["passed"]}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	up := talk.upstream()
	for talk.caller.settings[http2.SettingMaxConcurrentStreams] != 1 { // they are in force
		f, err := talk.caller.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		talk.caller.describe(f)
	}
	talk.caller.head(1, true, getFields("/inline")...)
	talk.caller.headOn(3, true, http2.PriorityParam{StreamDep: 1, Weight: 1}, getFields("/inline")...)
	talk.caller.headOn(5, true, http2.PriorityParam{Weight: 1}, getFields("/inline")...)
	talk.caller.WritePriority(3, http2.PriorityParam{Weight: 33, Exclusive: true})
	rest := " :method=GET :scheme=http :authority=a.test :path=/inline"
	talk.caller.WriteRawFrame(0x77, 0, 0, []byte("said"))
	up.expect("HEADERS 1 end"+rest, `type 119 on 0 "said"`)
	up.head(1, true, ":status", "200")
	up.expect("HEADERS 3 end (on 0 weight 33 exclusive true)" + rest)
	up.head(3, true, ":status", "200")
	up.expect("HEADERS 5 end (on 0 weight 1 exclusive false)" + rest)
}
