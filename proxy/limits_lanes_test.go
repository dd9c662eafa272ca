package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// An explanation runs into no limit, waits for no delay and takes every sample, but
// runs the programs of both.
func TestExplanationsOfLimitsAndFaults(t *testing.T) {
	set, problems := rules.Compile([]rules.File{{Name: "a.yaml", Text: []byte(`
rate_limit: {rate: 1/h, burst: 1, key: .id}
fault: {when: $body.id == 7, delay: 1h, abort: {status: 418}, sample: 1%}
`)}})
	if set == nil {
		t.Fatal(problems)
	}
	live := new(rules.Live)
	live.Swap(set)
	rehearsal := proxy.NewRehearsal(proxy.Config{Rules: live, Codecs: codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}})})
	defer rehearsal.Close()
	began := time.Now()
	for _, test := range []struct{ body, want string }{
		{`{"id": 1}`, `"" "" rate_limit allowed, fault.when when_false`},
		{`{"id": 1}`, `"" "" rate_limit allowed, fault.when when_false`},
		{`{"id": 7}`, `"fault" "a/fault; fault" rate_limit allowed, fault.when allowed, fault rejected`},
		{`{"id": []}`, `"error" "a/rate_limit.key; bad_key" rate_limit failed`},
	} {
		e, err := rehearsal.Exchange(t.Context(), proxy.Question{
			Direction: rules.Inbound, Body: []byte(test.body),
			Head: &rules.Head{Method: "POST", Path: "/", Host: "x", Fields: rules.Fields{{Name: "content-type", Value: "application/json"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		if e.Answer != nil {
			said = e.Answer.Error
		}
		got := fmt.Sprintf("%q %q", e.Record.Answered, said)
		for i, s := range e.Record.Request.Steps {
			if i > 0 {
				got += ","
			}
			got += " " + s.Step + " " + s.Result
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.body, got, test.want)
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it has waited for %v", took)
	}
}

// What asks for a WebSocket has no message: a key of the message is that of null, and
// a fault by the message sees none.
func TestRequestsForWebSocketsAreLimitedAndFaulted(t *testing.T) {
	upstream := startHTTP(t, echo)
	s := startSidecar(t, upstream, []string{
		"route: limited\nmatch: {http: /limited}\nrate_limit: {rate: 1/h, burst: 1, key: .id}\n",
		"route: faulty\nmatch: {http: /faulty}\nfault: {when: $body == null, abort: {status: 418}}\n",
	})
	for i, test := range []struct{ path, want string }{
		{"/limited", "HTTP/1.1 200 "}, {"/limited", "HTTP/1.1 429 "}, {"/faulty", "HTTP/1.1 418 "},
	} {
		c := testbed.Dial(t, s.addr)
		err := testbed.Play(c, testbed.Send("GET "+test.path+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := testbed.ReadUntil(c, endHead); err != nil || !strings.HasPrefix(string(answer), test.want) {
			t.Errorf("%d: got %q, %v, want %s", i, answer, err, test.want)
		}
		c.Close()
	}
}
