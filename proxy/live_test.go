package proxy_test

import (
	"bufio"
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// turns is how often an upstream speaks.
const turns = 7

// talks are streams of each protocol. open begins one through a sidecar with
// rules, whose upstream says "x", and answers with what makes the upstream say it
// once more and reads how it arrives.
var talks = map[string]struct {
	match string // of the stream's route
	edit  string // makes x of it "new"
	open  func(t *testing.T, files ...string) (*sidecar, func() string)
}{
	"events over HTTP/1": {"http: /feed", `.data = "new"`, func(t *testing.T, files ...string) (*sidecar, func() string) { return openFeed(t, false, files) }},
	"events over HTTP/2": {"http: /feed", `.data = "new"`, func(t *testing.T, files ...string) (*sidecar, func() string) { return openFeed(t, true, files) }},
	"a WebSocket":        {"http: GET /chat", `.a = "new"`, openSocket},
	"a gRPC stream":      {"grpc: test.v1.Items/Chat", `.name = "new"`, openCall},
}

func openFeed(t *testing.T, http2 bool, files []string) (*sidecar, func() string) {
	gate := make(chan struct{})
	pieces := make([]string, turns)
	for i := range pieces {
		pieces[i] = "data: \"x\"\n\n"
	}
	s := startSidecar(t, testbed.HTTP(t, testbed.Loopback(t), feed("text/event-stream", gate, pieces...)), files)
	resp, err := testbed.Client(t, http2, s.addr).Do(testbed.Request(t, "GET", "http://x/feed", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	first := true
	return s, func() string {
		if !first {
			gate <- struct{}{}
		}
		first = false
		line, err := lines.ReadString('\n')
		if _, end := lines.ReadString('\n'); err != nil || end != nil {
			t.Fatal(err, end)
		}
		return strings.Trim(strings.TrimPrefix(line, "data: "), "\"\n")
	}
}

func openSocket(t *testing.T, files ...string) (*sidecar, func() string) {
	again := make(chan struct{})
	var steps []testbed.Step
	for range turns {
		steps = append(steps, testbed.Await(again), testbed.Send(fromUpstream(wsText, `{"a":"x"}`)))
	}
	s, c := openChatUnder(t, files, "", append(steps, testbed.ExpectEnd())...)
	t.Cleanup(func() {
		if err := testbed.Play(c, testbed.HalfClose(), testbed.ExpectEnd()); err != nil {
			t.Error(err)
		}
	})
	return s, func() string {
		again <- struct{}{}
		frame, err := testbed.ReadUntil(c, `"}`)
		if err != nil {
			t.Fatal(err)
		}
		_, value, _ := strings.Cut(string(frame), `"a":"`)
		return strings.TrimSuffix(value, `"}`)
	}
}

func openCall(t *testing.T, files ...string) (*sidecar, func() string) {
	upstream := startEcho(t, false)
	s := startSidecar(t, upstream.addr, files)
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	t.Cleanup(cancel)
	stream, err := dialCalls(t, s.addr).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, chat)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() string {
		if err := stream.SendMsg(upstream.named("x")); err != nil {
			t.Fatal(err)
		}
		m, err := upstream.recv(stream)
		if err != nil {
			t.Fatal(err)
		}
		return nameOf(m)
	}
}

// The rules of the next generation are those of a stream's next message, and go as
// they came.
func TestNewRulesMeetTheNextMessageOfAStream(t *testing.T) {
	const elsewhere = "route: elsewhere\nmatch: {http: /elsewhere}\nresponse: [{jq: .a = 1}]\n"
	for name, talk := range talks {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			route := "route: stream\nmatch: {" + talk.match + "}\n"
			edits := route + "response: [{jq: '" + talk.edit + "'}]\n"
			s, say := talk.open(t, route+"response: [{jq: .}]\n")
			steps := []struct {
				rules []string
				want  string
			}{
				{nil, "x"}, {[]string{edits}, "new"}, {[]string{elsewhere}, "x"}, {[]string{elsewhere, edits}, "new"},
				{[]string{edits + "mode: off\n"}, "x"}, {[]string{}, "x"}, {[]string{strings.ReplaceAll(edits, "stream", "another")}, "new"},
			}
			for _, step := range steps[:turns] {
				if step.rules != nil {
					s.use(step.rules...)
				}
				if got := say(); got != step.want {
					t.Errorf("with %q: got %q, want %q", step.rules, got, step.want)
				}
			}
		})
	}
}
