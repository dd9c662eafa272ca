package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestRuledHeadsKeepOrderAndFlags(t *testing.T) {
	talk := startTalk(t, []string{elsewhere})
	talk.caller.head(1, true, getFields("/a?b=c&", "x-b", "2", "x-a", "1", "x-b", "3", "!authorization", "secret", "cookie", "a=1", "cookie", "b=2", "te", "trailers", "x-empty", "")...)
	up := talk.upstream()
	up.expect("HEADERS 1 end :method=GET :scheme=http :authority=a.test :path=/a?b=c& x-b=2 x-a=1 x-b=3 !authorization=secret cookie=a=1 cookie=b=2 te=trailers x-empty=")
	up.head(1, false, ":status", "103", "link", "x")
	up.head(1, false, ":status", "200", "date", "today", "content-length", "2", "!set-cookie", "s", "x-z", "1", "x-y", "2")
	up.WriteData(1, false, []byte("o"))
	up.WriteDataPadded(1, true, []byte("k"), make([]byte, 30))
	talk.caller.expect(
		"HEADERS 1 :status=103 link=x",
		"HEADERS 1 :status=200 date=today content-length=2 !set-cookie=s x-z=1 x-y=2",
	)
	if body, ended := talk.caller.data(1, 2); string(body) != "ok" || !ended {
		t.Errorf("got %q, ended %v", body, ended)
	}
	r := talk.record("/a")
	if r.Lane != proxy.LaneRelay || r.Route != "" || r.Status != 200 || r.Error != nil || r.Attempts != 1 || string(r.Response.Body.Bytes) != "ok" {
		t.Errorf("record: %+v %v", r, r.Error)
	}
}

func TestRuledStreamsEndAsTheyEnded(t *testing.T) {
	rule := "route: r\nmatch: {http: \"/ruled\"}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n"
	for _, path := range []string{"/plain", "/ruled"} {
		t.Run(path[1:], func(t *testing.T) {
			talk := startTalk(t, []string{elsewhere, rule})
			seen := ""
			if path == "/ruled" {
				seen = " x-r=1"
			}
			id := uint32(1)
			ask := func() (uint32, *rawEnd) {
				talk.caller.head(id, true, getFields(path)...)
				up := talk.upstream()
				up.expect(fmt.Sprintf("HEADERS %d end :method=GET :scheme=http :authority=a.test :path=%s", id, path))
				id += 2
				return id - 2, up
			}
			n, up := ask() // trailers after no DATA
			up.head(n, false, ":status", "404")
			up.head(n, true, "grpc-status", "5", "x-t", "1")
			talk.caller.expect(fmt.Sprintf("HEADERS %d :status=404%s", n, seen), fmt.Sprintf("HEADERS %d end grpc-status=5 x-t=1", n))

			n, up = ask() // one head is all
			up.head(n, true, ":status", "200", "grpc-status", "5")
			talk.caller.expect(fmt.Sprintf("HEADERS %d end :status=200 grpc-status=5%s", n, seen))

			n, up = ask() // an empty DATA frame ends it
			up.head(n, false, ":status", "200")
			up.WriteData(n, true, nil)
			talk.caller.expect(fmt.Sprintf("HEADERS %d :status=200%s", n, seen), fmt.Sprintf("DATA %d end ", n))

			n, up = ask() // data, then trailers
			up.head(n, false, ":status", "200")
			up.WriteData(n, false, []byte("x"))
			up.head(n, true, "x-t", "1")
			talk.caller.expect(fmt.Sprintf("HEADERS %d :status=200%s", n, seen), fmt.Sprintf("DATA %d x", n), fmt.Sprintf("HEADERS %d end x-t=1", n))
		})
	}
}

func TestRuledRequestTrailersAndEarlyResponse(t *testing.T) {
	rule := "route: r\nmatch: {http: \"/ruled\"}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n"
	for path, seen := range map[string]string{"/plain": "", "/ruled": " x-r=1"} {
		talk := startTalk(t, []string{elsewhere, rule})
		talk.caller.head(1, false, postFields(path)...)
		talk.caller.WriteData(1, false, []byte("abc"))
		talk.caller.head(1, true, "x-sum", "3")
		up := talk.upstream()
		up.expect("HEADERS 1 :method=POST :scheme=http :authority=a.test :path="+path, "DATA 1 abc", "HEADERS 1 end x-sum=3")
		up.head(1, true, ":status", "204")
		talk.caller.expect("HEADERS 1 end :status=204" + seen)

		// The upstream answers before the request's end, and says that the rest is
		// of no use.
		talk.caller.head(3, false, postFields(path)...)
		talk.caller.WriteData(3, false, []byte("abc"))
		up.expect("HEADERS 3 :method=POST :scheme=http :authority=a.test :path="+path, "DATA 3 abc")
		up.head(3, false, ":status", "413")
		up.WriteData(3, true, []byte("no"))
		up.WriteRSTStream(3, http2.ErrCodeNo)
		talk.caller.expect("HEADERS 3 :status=413"+seen, "DATA 3 end no", "RST_STREAM 3 NO_ERROR")
		talk.caller.WriteData(3, true, []byte("late"))
		talk.caller.WritePing(false, [8]byte{'a', 'l', 'i', 'v', 'e', '.', '.', '.'})

		// Without that, the request goes on.
		talk.caller.head(5, false, postFields(path)...)
		up.next() // PING
		up.WritePing(true, [8]byte{'a', 'l', 'i', 'v', 'e', '.', '.', '.'})
		talk.caller.expect("PING ack alive...")
		up.expect("HEADERS 5 :method=POST :scheme=http :authority=a.test :path=" + path)
		up.head(5, true, ":status", "200")
		talk.caller.expect("HEADERS 5 end :status=200" + seen)
		talk.caller.WriteData(5, true, []byte("rest"))
		up.expect("DATA 5 end rest")
	}
}

func TestRuledResetsPassWithTheirCodes(t *testing.T) {
	rule := "route: r\nmatch: {http: \"/ruled\"}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n"
	for path, seen := range map[string]string{"/plain": "", "/ruled": " x-r=1"} {
		talk := startTalk(t, []string{elsewhere, rule})
		talk.caller.head(1, false, postFields(path)...)
		up := talk.upstream()
		up.expect("HEADERS 1 :method=POST :scheme=http :authority=a.test :path=" + path)
		talk.caller.WriteRSTStream(1, http2.ErrCodeHTTP11Required)
		up.expect("RST_STREAM 1 HTTP_1_1_REQUIRED")

		talk.caller.head(3, true, getFields(path)...)
		up.expect("HEADERS 3 end :method=GET :scheme=http :authority=a.test :path=" + path)
		up.head(3, false, ":status", "200")
		talk.caller.expect("HEADERS 3 :status=200" + seen)
		up.WriteRSTStream(3, http2.ErrCodeEnhanceYourCalm)
		talk.caller.expect("RST_STREAM 3 ENHANCE_YOUR_CALM")

		if path == "/plain" { // with a route it is answered
			talk.caller.head(5, true, getFields(path)...)
			up.expect("HEADERS 5 end :method=GET :scheme=http :authority=a.test :path=" + path)
			up.WriteRSTStream(5, 0x777)
			talk.caller.expect("RST_STREAM 5 unknown error code 0x777")
		}
	}
}

func TestRuledOtherFramesPassWithTheirStreams(t *testing.T) {
	reject := "route: no\nmatch: {http: \"GET /no\"}\nrequest: [{reject: {status: 403}}]\n"
	talk := startTalk(t, []string{reject})
	talk.caller.head(1, true, getFields("/no")...) // makes the numbers differ
	talk.caller.head(3, false, postFields("/")...)
	talk.caller.head(5, false, postFields("/")...)
	if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=403") {
		t.Fatal(got)
	}
	talk.caller.next()
	up := talk.upstream()
	head := " :method=POST :scheme=http :authority=a.test :path=/"
	up.expect("HEADERS 1"+head, "HEADERS 3"+head)
	talk.caller.WritePriority(5, http2.PriorityParam{StreamDep: 3, Weight: 7})
	talk.caller.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x05u=1"))
	talk.caller.WriteRawFrame(0x77, 0x5, 3, []byte("hello"))
	talk.caller.WriteRawFrame(0x77, 0x5, 0, []byte("all"))
	up.expect("PRIORITY 3 on 1 weight 7", "PRIORITY_UPDATE of 3 u=1", `type 119 on 1 "hello"`, `type 119 on 0 "all"`)
	up.WriteRawFrame(0x78, 0, 3, []byte("back"))
	talk.caller.expect(`type 120 on 5 "back"`)
}

func TestRuledSettingsPass(t *testing.T) {
	talk := startTalk(t, []string{elsewhere}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
		http2.Setting{ID: 0x99, Val: 5}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
	within(t, "connection of the first caller", talk.ups)
	talk.caller = talk.dial(http2.Setting{ID: 0x98, Val: 4}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 5000}, http2.Setting{ID: http2.SettingEnablePush, Val: 1})
	talk.caller.head(1, true, getFields("/")...)
	up := talk.upstream()
	up.next()
	up.head(1, true, ":status", "200")
	talk.caller.next()
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 7, http2.SettingEnableConnectProtocol: 1, 0x99: 5, http2.SettingInitialWindowSize: 65535, http2.SettingMaxHeaderListSize: 60 << 10,
	} {
		if got, ok := talk.caller.settings[id]; !ok || got != want {
			t.Errorf("at the caller: %v is %d, %v, want %d", id, got, ok, want)
		}
	}
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingEnablePush: 0, 0x98: 4, http2.SettingInitialWindowSize: 65535, http2.SettingMaxHeaderListSize: 5000,
	} {
		if got, ok := up.settings[id]; !ok || got != want {
			t.Errorf("at the upstream: %v is %d, %v, want %d", id, got, ok, want)
		}
	}
}

// A where that reads the id decides once, about the id that is told.
func TestRuledStreamsAreMatchedOnce(t *testing.T) {
	rule := "route: even\nmatch: {http: \"/\", where: '$request.id != \"\" and ($request.id | explode | last) % 2 == 0'}\nresponse: [{head: '.headers[\"x-r\"] = \"1\"'}]\n"
	talk := startTalk(t, []string{rule})
	up := talk.upstream()
	routes := map[string]int{}
	for i := range uint32(40) {
		id, path := 2*i+1, fmt.Sprintf("/%d", i)
		talk.caller.head(id, true, getFields(path)...)
		up.next()
		up.head(id, true, ":status", "200")
		talk.caller.next()
		r := talk.record(path)
		want := ""
		if r.ID[len(r.ID)-1]%2 == 0 {
			want = "even"
		}
		if r.Route != want || r.Call.ID != r.ID || r.Generation == 0 {
			t.Errorf("%s: route %q, want %q: %+v", r.ID, r.Route, want, r)
		}
		routes[r.Route]++
	}
	if len(routes) != 2 {
		t.Errorf("routes: %v", routes)
	}
}

// What an upstream allows, extended CONNECT (RFC 8441) for one, its callers know
// before they begin a stream.
func TestRuledSettingsComeBeforeTheFirstStream(t *testing.T) {
	talk := startTalk(t, []string{elsewhere}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	for talk.caller.settings[http2.SettingEnableConnectProtocol] == 0 {
		f, err := talk.caller.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if text := talk.caller.describe(f); text != "" {
			t.Fatal(text)
		}
	}
	up := talk.upstream()
	up.head(2, true, ":status", "200") // some violation: the end is seen at once, too
	talk.caller.expect("GOAWAY 0 NO_ERROR ", "EOF")
}

// An upstream that goes before it was asked anything is no reason to send a
// caller away to whom a route may answer.
func TestRuledUpstreamThatIsNotNeeded(t *testing.T) {
	reject := "route: no\nmatch: {http: \"/no\"}\nrequest: [{reject: {status: 403}}]\n"
	talk := startTalk(t, []string{reject})
	talk.upstream().conn.CloseWrite()
	if got := talk.upstream().next(); got != "EOF" { // Sluice has noticed
		t.Fatal(got)
	}
	talk.caller.WritePing(false, [8]byte([]byte("alone...")))
	talk.caller.expect("PING ack alone...")
	talk.caller.head(1, true, getFields("/no")...)
	if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=403") {
		t.Fatal(got)
	}
	talk.caller.next() // its body
	talk.caller.head(3, true, getFields("/")...)
	talk.up = nil
	talk.upstream().expect("HEADERS 1 end :method=GET :scheme=http :authority=a.test :path=/")
}

func TestRuledRejectReachesNoUpstream(t *testing.T) {
	reject := "route: no\nmatch: {http: \"/no\"}\nrequest: [{reject: {status: 403}}]\n"
	began := time.Now()
	talk := startTalk(t, []string{reject})
	talk.caller.head(1, false, postFields("/no")...)
	talk.caller.WriteData(1, false, []byte("some"))
	if got := talk.caller.next(); !strings.HasPrefix(got, "HEADERS 1 :status=403") || !strings.Contains(got, " x-sluice-error=no/request[0].reject; rejected") {
		t.Errorf("got %s", got)
	}
	if got := talk.caller.next(); !strings.HasPrefix(got, "DATA 1 end {") {
		t.Errorf("got %s", got)
	}
	talk.caller.expect("RST_STREAM 1 NO_ERROR")
	if len(talk.ups) > 0 && time.Since(began) < 100*time.Millisecond { // of silence it would be
		t.Error("the upstream was talked to")
	}
	talk.caller.head(3, true, getFields("/")...)
	talk.upstream().expect("HEADERS 1 end :method=GET :scheme=http :authority=a.test :path=/") // its first
	r := talk.record("/no")
	if r.Attempts != 0 || r.Answered != "reject" || r.Status != 403 {
		t.Errorf("record: %+v", r)
	}
}

func TestRuledGoAwayPassesWithItsStreams(t *testing.T) {
	reject := "route: no\nmatch: {http: \"GET /no\"}\nrequest: [{reject: {status: 403}}]\n"
	talk := startTalk(t, []string{reject})
	talk.caller.head(1, true, getFields("/no")...)
	talk.caller.next()
	talk.caller.next()
	for _, id := range []uint32{3, 5, 7} {
		talk.caller.head(id, true, getFields("/")...)
	}
	up := talk.upstream()
	for range 3 {
		up.next()
	}
	up.WriteGoAway(1<<31-1, http2.ErrCodeNo, []byte("soon"))
	talk.caller.expect("GOAWAY 2147483647 NO_ERROR soon")
	up.WriteGoAway(3, http2.ErrCodeNo, []byte("now"))
	talk.caller.expect("RST_STREAM 7 REFUSED_STREAM", "GOAWAY 5 NO_ERROR now")
	up.head(1, true, ":status", "200")
	up.head(3, true, ":status", "201")
	talk.caller.expect("HEADERS 3 end :status=200", "HEADERS 5 end :status=201")
	talk.caller.head(9, true, getFields("/")...)
	talk.caller.expect("RST_STREAM 9 REFUSED_STREAM") // its caller was told that it will not be looked at
}

func TestRuledTooManyStreamsAreRefused(t *testing.T) {
	talk := startTalk(t, []string{elsewhere})
	for i := range uint32(101) {
		talk.caller.head(2*i+1, true, getFields("/")...)
	}
	talk.caller.expect("RST_STREAM 201 REFUSED_STREAM")
	if talk.caller.settings[http2.SettingMaxConcurrentStreams] != 100 {
		t.Errorf("settings: %v", talk.caller.settings)
	}
}

func TestRuledViolationsEndTheConnection(t *testing.T) {
	for name, violate := range map[string]func(*rawEnd){
		"DATA on stream 0":       func(e *rawEnd) { e.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) },
		"DATA on an idle stream": func(e *rawEnd) { e.WriteData(7, true, nil) },
		"a window too large":     func(e *rawEnd) { e.WriteWindowUpdate(0, 1<<31-1) },
		"an even stream":         func(e *rawEnd) { e.head(2, true, getFields("/")...) },
		"a long frame":           func(e *rawEnd) { e.WriteRawFrame(0x77, 0, 0, make([]byte, 16385)) },
		"PUSH_PROMISE": func(e *rawEnd) {
			e.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, BlockFragment: h2Fields(":method", "GET")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			talk := startTalk(t, []string{elsewhere})
			talk.caller.head(1, false, postFields("/")...)
			talk.upstream().next()
			talk.caller.AllowIllegalWrites = true
			violate(talk.caller)
			if got := talk.caller.next(); !strings.HasPrefix(got, "GOAWAY 1 ") || strings.Contains(got, "NO_ERROR") {
				t.Errorf("got %s", got)
			}
			talk.caller.expect("EOF")
			talk.upstream().expect("RST_STREAM 1 CANCEL", "EOF")
		})
	}
}

// The other peer answers PINGs, but for those that a peer which has sent nothing
// in between would take for abuse.
func TestRuledPings(t *testing.T) {
	talk := startTalk(t, []string{elsewhere})
	ping := func(s string) { talk.caller.WritePing(false, [8]byte([]byte(s))) }
	up := talk.upstream()
	talk.caller.head(1, true, getFields("/")...)
	up.expect("HEADERS 1 end :method=GET :scheme=http :authority=a.test :path=/")
	up.head(1, false, ":status", "200")
	talk.caller.expect("HEADERS 1 :status=200")
	ping("first...")
	up.expect("PING first...")
	up.WritePing(true, [8]byte([]byte("first...")))
	talk.caller.expect("PING ack first...")
	up.WriteData(1, false, make([]byte, 10000))
	up.WriteData(1, false, make([]byte, 10000))
	for n := 0; n < 20000; {
		n += len(talk.caller.next()) - len("DATA 1 ")
	}
	ping("second..")
	up.expect("PING second..")
	up.WritePing(false, [8]byte([]byte("theirs..")))
	talk.caller.expect("PING theirs..")
	talk.caller.WritePing(true, [8]byte([]byte("theirs..")))
	up.expect("PING ack theirs..")
}

func TestRuledHeadsThatAreTooLarge(t *testing.T) {
	talk := startTalk(t, []string{elsewhere})
	fields := getFields("/")
	for i := range 100 {
		fields = append(fields, fmt.Sprintf("x-%d", i), "1")
	}
	for i, head := range [][]string{
		fields,
		getFields("/", "x-long", strings.Repeat("a", 14_000), "x-longer", strings.Repeat("b", 1000)),
		getFields("/" + strings.Repeat("a", 9000)),
	} {
		id := uint32(2*i + 1)
		want := []string{"431", "200", "414"}[i]
		talk.caller.head(id, true, head...)
		if want == "200" {
			talk.upstream().next()
			talk.up.head(1, true, ":status", "200")
		}
		if got := talk.caller.next(); !strings.Contains(got, ":status="+want) {
			t.Errorf("%d: got %.200s, want %s", i, got, want)
		}
		if want != "200" {
			talk.caller.next() // its body
		}
	}
}

// A caller that is asked to go while a stream is open has all of it, and is told
// the last stream then.
func TestRuledDrains(t *testing.T) {
	talk := startTalk(t, []string{elsewhere})
	talk.caller.head(1, true, getFields("/")...)
	up := talk.upstream()
	up.next()
	go talk.Drain(t.Context()) // it is over when the caller has gone
	talk.caller.expect("GOAWAY 2147483647 NO_ERROR ")
	got := talk.caller.next()
	if !strings.HasPrefix(got, "PING ") {
		t.Fatalf("got %q", got)
	}
	talk.caller.head(3, true, getFields("/late")...) // it was on its way
	up.next()
	talk.caller.WritePing(true, [8]byte([]byte(strings.TrimPrefix(got, "PING "))))
	up.head(3, true, ":status", "200")
	up.head(1, false, ":status", "200")
	up.WriteData(1, true, []byte("all"))
	talk.caller.expect("HEADERS 3 end :status=200", "HEADERS 1 :status=200", "DATA 1 end all", "GOAWAY 3 NO_ERROR ", "EOF")
}
