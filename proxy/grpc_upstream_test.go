package proxy_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// startBreaking is an HTTP/2 server that answers each call with a frame of
// break's choice, and says so to nobody else.
func startBreaking(t *testing.T, brk func(f *http2.Framer, conn *net.TCPConn, stream uint32)) string {
	t.Helper()
	l := testbed.Loopback(t)
	testbed.ServeConns(t, l, func(conn *net.TCPConn) {
		preface := make([]byte, len(http2.ClientPreface))
		if n, _ := conn.Read(preface); n != len(preface) {
			return
		}
		f := http2.NewFramer(conn, conn)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					f.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				brk(f, conn, frame.StreamID)
			}
		}
	})
	return l.Addr().String()
}

func writeHead(f *http2.Framer, stream uint32) {
	var b strings.Builder
	e := hpack.NewEncoder(&b)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	e.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(b.String()), EndHeaders: true})
}

func TestAnUpstreamThatBreaksOff(t *testing.T) {
	s := startEcho(t, true)
	rst := func(code http2.ErrCode, early bool) func(*http2.Framer, *net.TCPConn, uint32) {
		return func(f *http2.Framer, _ *net.TCPConn, stream uint32) {
			if early {
				writeHead(f, stream)
			}
			f.WriteRSTStream(stream, code)
		}
	}
	for name, test := range map[string]struct {
		brk  func(*http2.Framer, *net.TCPConn, uint32)
		code string
	}{
		"reset with CANCEL":                   {rst(http2.ErrCodeCancel, false), "CANCELED"},
		"reset with CANCEL after the head":    {rst(http2.ErrCodeCancel, true), "CANCELED"},
		"reset with INTERNAL_ERROR":           {rst(http2.ErrCodeInternal, false), "INTERNAL"},
		"reset with ENHANCE_YOUR_CALM":        {rst(http2.ErrCodeEnhanceYourCalm, false), "RESOURCE_EXHAUSTED"},
		"connection reset":                    {func(_ *http2.Framer, c *net.TCPConn, _ uint32) { _ = testbed.Reset(c) }, "UNAVAILABLE"},
		"connection ended":                    {func(_ *http2.Framer, c *net.TCPConn, _ uint32) { c.Close() }, "UNAVAILABLE"},
		"connection reset after the head":     {func(f *http2.Framer, c *net.TCPConn, n uint32) { writeHead(f, n); _ = testbed.Reset(c) }, "UNAVAILABLE"},
		"half a call: no trailers at its end": {func(f *http2.Framer, _ *net.TCPConn, n uint32) { writeHead(f, n); f.WriteData(n, true, nil) }, "INTERNAL"},
	} {
		t.Run(name, func(t *testing.T) {
			car := startSidecar(t, startBreaking(t, test.brk), []string{"route: r\nmatch: {grpc: \"test.v1.Items/*\"}\non_error: pass\nrequest: [{jq: .}]\nresponse: [{jq: .}]\n"})
			conn := dialCalls(t, car.addr)
			e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")})
			r := car.record(get)
			if r.Error == nil || r.Error.Origin != proxy.OriginUpstream {
				t.Fatalf("record: %+v %v", r, r.Error)
			}
			if err := isReject(e, test.code, "r/upstream; "+r.Error.Reason); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusedStaysRefusedWhereNoRuleAnswers(t *testing.T) {
	s := startEcho(t, true)
	car := startSidecar(t, testbed.Refused(t), []string{untouching})
	e := s.call(t.Context(), t, dialCalls(t, car.addr), get, []*dynamicpb.Message{s.named("x")})
	if e.status.Code() != codes.Unavailable || len(e.trailer) > 0 {
		t.Errorf("got %v, want a connection that was reset", e)
	}
	await(car, func(c *proxy.ConnClosed) bool { return true })
}

// The connection for calls is not kept from an upstream that is back, and does
// not dial when nobody calls.
func TestAnUpstreamThatComesBackIsFoundAtOnce(t *testing.T) {
	l := testbed.Loopback(t)
	addr := l.Addr().String()
	l.Close()
	s := startEcho(t, true)
	car := startSidecar(t, addr, []string{"route: r\nmatch: {grpc: \"test.v1.Items/*\"}\nrequest: [{when: '.name == \"bad\"', reject: {grpc: ABORTED}}]\non_error: pass\n"})
	conn := dialCalls(t, car.addr)
	for range 3 {
		if e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")}); e.status.Code() != codes.Unavailable {
			t.Fatalf("got %v", e)
		}
	}
	back := testbed.ListenTCP(t, addr)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return s.echo("", stream) }))
	go server.Serve(back)
	t.Cleanup(server.Stop)
	if e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")}); !slices.Equal(e.names, []string{"x"}) {
		t.Errorf("got %v", e)
	}
}

const callBreaking = `
route: b
match: {grpc: "test.v1.Items/*"}
response:
  - jq: .name = "step:" + .name
upstream:
  breaker:
    FAILURE
    trip: .failures >= 2
    open: 60s
    FALLBACK
`

func callBreaker(failure, fallback string) string {
	return strings.NewReplacer("FAILURE", failure, "FALLBACK", fallback).Replace(callBreaking)
}

func TestBreakersCountCalls(t *testing.T) {
	item := mustItem(t)
	base := &items{item: item}
	s := startItems(t, false, func(method string, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		if md.Get("fail") == nil {
			return base.echo(method, stream)
		}
		if md.Get("late") != nil {
			stream.SendMsg(base.named("first"))
		}
		if md.Get("hang") != nil {
			<-stream.Context().Done()
		}
		return status.Error(codes.Unavailable, "down")
	})
	for name, test := range map[string]struct {
		method  string
		fields  []string
		failure string
		opens   bool
	}{
		"unary, trailers only":             {get, []string{"fail", "1"}, "", true},
		"at the end of a stream":           {chat, []string{"fail", "1", "late", "1"}, "", true},
		"in time":                          {get, []string{"fail", "1", "hang", "1"}, "", true},
		"no failure":                       {get, nil, "", false},
		"a failure in the message":         {get, nil, `failure: .body.name == "x"`, true},
		"a failure in a stream's message":  {chat, nil, `failure: .body.name == "x"`, true},
		"a status that the rule forgives":  {get, []string{"fail", "1"}, `failure: .grpc_status == "INTERNAL"`, false},
		"a status that the rule names":     {list, []string{"fail", "1"}, `failure: .grpc_status == "UNAVAILABLE"`, true},
		"a status that is in the trailers": {list, []string{"fail", "1"}, `failure: .trailers["grpc-status"] == "14" or .headers["grpc-status"] == "14"`, true},
	} {
		testBothWays(t, name, func(t *testing.T, strip func(string) string) {
			car := startSidecar(t, s.addr, []string{strip(callBreaker(test.failure, ""))})
			conn := dialCalls(t, car.addr)
			ctx := metadata.AppendToOutgoingContext(t.Context(), test.fields...)
			for range 2 {
				ctx := ctx
				if slices.Contains(test.fields, "hang") {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
					defer cancel()
				}
				s.call(ctx, t, conn, test.method, []*dynamicpb.Message{s.named("x")})
			}
			if test.opens {
				await(car, func(c *proxy.BreakerChange) bool { return c.To == "open" })
			}
			e := s.call(ctx, t, conn, test.method, []*dynamicpb.Message{s.named("x")})
			if !test.opens {
				if e.trailer.Get("x-sluice-error") != nil {
					t.Errorf("got %v", e)
				}
				return
			}
			if err := isReject(e, "UNAVAILABLE", "b/upstream.breaker; open"); err != nil {
				t.Error(err)
			}
		})
	}
}

// testBothWays runs a test with rules that read messages, and with the same
// rules less the step that does: the call passes as plain HTTP/2 then.
func testBothWays(t *testing.T, name string, test func(t *testing.T, strip func(rule string) string)) {
	t.Run(name+", message by message", func(t *testing.T) { test(t, func(rule string) string { return rule }) })
	t.Run(name+", as HTTP/2", func(t *testing.T) {
		test(t, strings.NewReplacer("response:\n  - jq: .name = \"step:\" + .name\n", "").Replace)
	})
}

// What a rule refuses and what a caller breaks off says nothing of the upstream.
func TestWhatIsNoFailureOfTheUpstream(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{callBreaker("", "") + "request: [{when: '.name == \"bad\"', reject: {grpc: UNAVAILABLE}}]\n"})
	conn := dialCalls(t, car.addr)
	for range 5 {
		s.call(t.Context(), t, conn, chat, []*dynamicpb.Message{s.named("good"), s.named("bad")})
		s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("bad")})
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := conn.NewStream(ctx, bothWays, chat)
		if err != nil {
			t.Fatal(err)
		}
		stream.SendMsg(s.named("good"))
		_, _ = s.recv(stream)
		cancel()
	}
	if e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")}); !slices.Equal(e.names, []string{"step:x"}) {
		t.Errorf("got %v", e)
	}
	for _, b := range car.Breakers() {
		if b.Counts.Failures != 0 {
			t.Errorf("%s counts %d failures", b.Name, b.Counts.Failures)
		}
	}
}

func TestFallbacksOfCalls(t *testing.T) {
	s := startItems(t, false, func(string, grpc.ServerStream) error { return status.Error(codes.Unavailable, "down") })
	for name, test := range map[string]struct {
		fallback string
		want     string
	}{
		"a message": {`fallback: {headers: {x-stale: "1"}, body: {name: old, big: 9007199254740993}}`, "[step:old] OK  [1]"},
		"a status":  {`fallback: {grpc: NOT_FOUND, message: nothing}`, "[] NotFound nothing []"},
	} {
		testBothWays(t, name, func(t *testing.T, strip func(string) string) {
			car := startSidecar(t, s.addr, []string{strip(callBreaker("", test.fallback))})
			if strip("response:\n  - jq: .name = \"step:\" + .name\n") == "" {
				test.want = strings.Replace(test.want, "step:", "", 1)
			}
			conn := dialCalls(t, car.addr)
			for range 2 {
				s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")})
			}
			await(car, func(c *proxy.BreakerChange) bool { return c.To == "open" })
			for _, method := range []string{get, list, chat} {
				e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("x")})
				if got := fmt.Sprint(e.names, " ", e.status.Code(), " ", e.status.Message(), " ", e.header.Get("x-stale")); got != test.want || e.trailer.Get("x-sluice-error") != nil {
					t.Errorf("%s: got %s (%v), want %s", method, got, e, test.want)
				}
			}
			r := await(car, func(r *proxy.Record) bool { return r.Answered == "fallback" })
			if r.Error != nil || r.Attempts != 0 || r.Breaker != "b@"+s.addr {
				t.Errorf("record: %+v", r)
			}
		})
	}
}
