package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Write(body)
}

// shadowed waits for what a route in shadow would have done to the exchange with
// that path.
func (s *sidecar) shadowed(path string) *proxy.Shadowed {
	s.t.Helper()
	return await(s, func(e *proxy.Shadowed) bool { return e.Call.Head.Path == path })
}

const masks = `
route: v2
mode: shadow
match: {http: /v2/}
request:
  - when: .refuse == true
    reject: {status: 422, message: "no"}
  - jq: del(.debug) | .n += 1
response:
  - head: .headers["x-v"] = "2"
  - jq: .email |= "***"
`

func TestARouteInShadowTellsWhatItWouldDo(t *testing.T) {
	upstream := startHTTP(t, echo)
	for _, h2 := range []bool{false, true} {
		s := startSidecar(t, upstream, []string{masks, "route: v1\nmatch: {http: /v2/exact}\n", "route: rough\nmode: shadow\nmatch: {http: /rough/, where: .path | tonumber > 1}\n"})
		for i, tt := range []struct {
			path, body   string
			outcome      proxy.ShadowOutcome
			reason, step string
			sent         string // by the sample's request, if it has one
		}{
			{"/v2/change", `{"n": 1,  "debug": 1, "email": "a@b"}`, proxy.ShadowChange, "", "", `{"n": 2, "email": "a@b"}`},
			{"/v2/reject", `{"refuse": true}`, proxy.ShadowReject, "", "request[0].reject", ""},
			{"/v2/fail", `{"n": "x", "email": 7}`, proxy.ShadowError, "jq_error", "request[1].jq", ""},
			{"/v2/garbled", `{"n": `, proxy.ShadowError, "decode", "request[0].when", ""},
			{"/v2/exact", `{}`, proxy.ShadowOutranked, "", "", ""},
			{"/v2/long", `{"n": 1, "x": "` + strings.Repeat("x", 1<<20) + `"}`, proxy.ShadowSkipped, "too_large", "", ""},
			{"/rough/1", `{}`, proxy.ShadowError, "jq_error", "match.where", ""},
		} {
			t.Run(fmt.Sprintf("%d h2 %v", i, h2), func(t *testing.T) {
				resp, err := client(t, h2).Post("http://"+s.addr+tt.path, "application/json", strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != tt.body || resp.StatusCode != 200 || resp.Header.Get("X-V") != "" {
					t.Errorf("the caller got %d %.60q, %v, %v", resp.StatusCode, got, resp.Header, err)
				}
				r, e := s.record(tt.path), s.shadowed(tt.path)
				if e.Outcome != tt.outcome || e.Reason != tt.reason || e.Step != tt.step || e.Exchange != r.ID {
					t.Errorf("got %s %s %s of %s, want %s %s %s of %s", e.Outcome, e.Reason, e.Step, e.Exchange, tt.outcome, tt.reason, tt.step, r.ID)
				}
				if r.Route == "v2" || r.Request.Edited || r.Response.Edited || len(r.Request.Steps)+len(r.Response.Steps) > 0 {
					t.Errorf("the exchange's own record: %+v", r)
				}
				if len(e.Call.Head.Fields) > 0 {
					t.Errorf("header lines are told: %v", e.Call.Head.Fields)
				}
				if tt.sent == "" {
					return
				}
				if e.Record == nil || string(e.Record.Request.Sent.Bytes) != tt.sent || e.Record.Response.Out.Fields.Get("x-v") != "2" {
					t.Errorf("sample: %+v", e.Record)
				}
				for _, step := range e.Steps {
					if step.Took <= 0 && step.Result == "ran" && !step.InPlace || step.Body != nil || step.Head != nil {
						t.Errorf("step %+v", step)
					}
				}
			})
		}
		shadows := s.Shadows()
		if len(shadows) != 2 || shadows[1].Route != "v2" || shadows[1].Counts[proxy.ShadowChange] != 1 || shadows[1].Counts[proxy.ShadowOutranked] != 1 || shadows[1].Last == nil {
			t.Errorf("shadows: %+v", shadows)
		}
		s.use("route: v2\nmatch: {http: /v2/}\n")
		if left := s.Shadows(); len(left) != 0 {
			t.Errorf("a route that acts is among those in shadow: %+v", left)
		}
	}
}

// A body is not held back for the steps of a route in shadow, however long it
// takes to come.
func TestStreamsPassLiveBesideARouteInShadow(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		testbed.Leaks(t)
		gate := make(chan struct{})
		pieces := []string{"data: {\"secret\":1}\n\n", "data: {\"b\":1}\n\n", "data: {\"c\":1}\n\n"}
		s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/event-stream", gate, pieces...)), []string{"mode: shadow\n" + feedRule})
		resp, err := testbed.Client(t, h2, s.addr).Do(testbed.Request(t, "GET", "http://x/feed", ""))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range pieces {
			if i > 0 {
				gate <- struct{}{}
			}
			b := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
				t.Fatalf("h2 %v: got %q, %v, want %q", h2, b, err, want)
			}
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		e := s.shadowed("/feed")
		if e.Outcome != proxy.ShadowChange || e.Record == nil || len(e.Messages) != 3 || !e.Messages[0].Edited || e.Messages[1].Edited {
			t.Errorf("h2 %v: %+v", h2, e)
		}
	}
}

func TestAWebSocketPassesAsItIsBesideARouteInShadow(t *testing.T) {
	sent, answered := fromCaller(wsText, `{"op": "drop"}`), fromUpstream(wsText, `{"secret": "x"}`)
	s, c := openChat(t, "mode: shadow\n"+chatRule, "",
		testbed.Expect(sent), testbed.Send(answered), testbed.ExpectEnd())
	if err := testbed.Play(c, testbed.Send(sent), testbed.Expect(answered), testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	if e := s.shadowed("/chat"); e.Outcome != proxy.ShadowChange || e.Record.Request.Out.Fields.Get("x-room") != "7" {
		t.Errorf("%+v", e)
	}
}

func TestBreakersLimitsAndFaultsInShadowDoNotAct(t *testing.T) {
	s := startSidecar(t, startHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }),
		[]string{"mode: shadow\nrate_limit: {rate: 1/h, burst: 1}\nfault: {delay: 1h, abort: {status: 418}}\nupstream: {breaker: {trip: .requests >= 1, fallback: {status: 200}}}\n"})
	for range 5 {
		resp, err := client(t, false).Get("http://" + s.addr + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 500 {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
	if e := s.shadowed("/a"); e.Outcome != proxy.ShadowUnchanged || len(s.Breakers()) > 0 {
		t.Errorf("%+v, %v", e, s.Breakers())
	}
}

// What an exchange's own route hides is hidden by the one in shadow too.
func TestSamplesOfShadowsAreRedacted(t *testing.T) {
	s := startSidecar(t, startHTTP(t, echo), []string{
		"route: own\nmatch: {http: /}\nredact: {body: [.card]}\n",
		"route: tried\nmode: shadow\nmatch: {http: /}\nredact: {headers: [x-key], body: [.pin]}\nrequest: [{jq: .n = 1}]\n",
	})
	req, _ := http.NewRequest("POST", "http://"+s.addr+"/a", strings.NewReader(`{"card": "4111", "pin": "1234"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Key", "s3cret")
	resp, err := client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	e := s.shadowed("/a")
	text := fmt.Sprintf("%+v %s %s %v", e.Record, e.Record.Request.Body.Bytes, e.Record.Request.Sent.Bytes, e.Record.Request.In.Fields)
	for _, secret := range []string{"4111", "1234", "s3cret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is told: %s", secret, text)
		}
	}
	if e.Outcome != proxy.ShadowChange || !strings.Contains(string(e.Record.Request.Sent.Bytes), `"n":1`) {
		t.Errorf("%+v", e)
	}
}

// A proxy that nobody observes runs nothing beside the traffic.
func TestNobodyIsToldOfShadowsWithoutObservers(t *testing.T) {
	s := startSidecar(t, startHTTP(t, echo), []string{masks}, func(c *proxy.Config) { c.Observer, c.Capture = proxy.Observers(nil), codec.Bytes(-1) })
	resp, err := client(t, false).Post("http://"+s.addr+"/v2/a", "application/json", strings.NewReader(`{"n": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(resp.Body)
	if resp.Body.Close(); string(got) != `{"n": 1}` || len(s.Shadows()) > 0 {
		t.Errorf("got %s, %v", got, s.Shadows())
	}
}
