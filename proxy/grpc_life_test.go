package proxy_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// panicking is a source of descriptors with a bug.
type panicking struct{}

func (panicking) Find(context.Context, protobuf.Server, string, string) (*protobuf.Method, error) {
	panic("a bug")
}

// Calls are carried on goroutines of grpc-go, where a panic would end the
// process.
func TestAPanicEndsOneCall(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{untouching}, func(cfg *proxy.Config) { cfg.Methods = panicking{} })
	conn := dialCalls(t, car.addr)
	for range 2 {
		e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("x")})
		if err := isReject(e, "INTERNAL", "same; panic"); err != nil {
			t.Error(err)
		}
	}
}

func TestARejectThatReadsNoMessage(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{`
route: r
match: {grpc: "test.v1.Items/*"}
request:
  - when: $request.headers["x-user"] == null
    reject: {grpc: UNAUTHENTICATED, message: who are you}
`})
	for _, method := range []string{get, chat} {
		e := s.call(t.Context(), t, dialCalls(t, car.addr), method, []*dynamicpb.Message{s.named("x")})
		if err := isReject(e, "UNAUTHENTICATED", "r/request[0].reject; rejected"); err != nil || e.header != nil || e.status.Message() != "who are you" {
			t.Errorf("%s: %v, got %v", method, err, e)
		}
	}
}

// An upstream that sends its callers away with GOAWAY loses none of them.
func TestCallsGoOnWhenTheUpstreamSaysGoAway(t *testing.T) {
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			s := startEcho(t, false, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 50 * time.Millisecond}))
			conn := dialCalls(t, startSidecar(t, s.addr, files).addr)
			for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
				if e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("a")}); !slices.Equal(e.names, []string{"a"}) {
					t.Fatalf("got %v", e)
				}
			}
		})
	}
}

func TestALostCallerEndsItsCallsUpstream(t *testing.T) {
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			began, ended := make(chan struct{}, 1), make(chan error, 1)
			s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
				began <- struct{}{}
				<-stream.Context().Done()
				ended <- stream.Context().Err()
				return nil
			})
			car := startSidecar(t, s.addr, files)
			conn := dialCalls(t, car.addr)
			if _, err := conn.NewStream(t.Context(), bothWays, chat); err != nil {
				t.Fatal(err)
			}
			within(t, "call", began)
			conn.Close()
			_ = within(t, "end", ended)
			if r := car.record(chat); r.Error == nil || r.Error.Origin != proxy.OriginCaller {
				t.Errorf("record: %v", r.Error)
			}
		})
	}
}

func TestClosingTheProxyEndsCalls(t *testing.T) {
	testbed.Leaks(t)
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			began := make(chan struct{}, 1)
			s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
				began <- struct{}{}
				<-stream.Context().Done()
				return nil
			})
			car := startSidecar(t, s.addr, files)
			stream, err := dialCalls(t, car.addr).NewStream(t.Context(), bothWays, chat)
			if err != nil {
				t.Fatal(err)
			}
			within(t, "call", began)
			closed := make(chan struct{})
			go func() { car.Close(); close(closed) }()
			within(t, "Close", closed)
			if err := stream.RecvMsg(dynamicpb.NewMessage(s.item)); status.Code(err) != codes.Unavailable {
				t.Errorf("the caller sees %v", err)
			}
		})
	}
}

// Draining lets a call in flight end, however long it takes.
func TestDrainingLetsACallEnd(t *testing.T) {
	s := startEcho(t, false)
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			car := startSidecar(t, s.addr, files)
			ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
			defer cancel()
			stream, err := dialCalls(t, car.addr).NewStream(ctx, bothWays, chat)
			if err != nil {
				t.Fatal(err)
			}
			ask := func() {
				t.Helper()
				stream.SendMsg(s.named("x"))
				if _, err := s.recv(stream); err != nil {
					t.Fatal(err)
				}
			}
			ask()
			drained := make(chan error, 1)
			go func() { drained <- car.Drain(ctx) }()
			testbed.Eventually(t, testbed.Patience, func() error {
				if !car.Draining() {
					return context.Canceled
				}
				return nil
			})
			for range 5 {
				ask()
			}
			stream.CloseSend()
			if e := s.read(stream); e.status.Code() != codes.OK {
				t.Errorf("got %v", e)
			}
			if err := within(t, "Drain", drained); err != nil {
				t.Errorf("drain: %v", err)
			}
		})
	}
}

// A server that never answers what it is asked about itself costs a call the
// bound of the question, and then on_error decides.
func TestAServerThatHangsOnReflection(t *testing.T) {
	server := testbed.GRPC(t, testbed.Loopback(t), testbed.GRPCConfig{Reflection: testbed.ReflectHangs})
	for onError, want := range map[string]codes.Code{"pass": codes.OK, "reject": codes.Internal} {
		car := startSidecar(t, server.Addr, []string{"route: r\nmatch: {grpc: \"*\"}\non_error: " + onError + "\nrequest: [{jq: '.fill_username = true'}]\n"})
		client := testbed.GRPCClient(t, car.addr)
		began := time.Now()
		for range 3 {
			if _, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseSize: 3}); status.Code(err) != want {
				t.Errorf("%s: got %v, want %v", onError, err, want)
			}
		}
		if d := time.Since(began); d > testbed.Patience {
			t.Errorf("%s: three calls took %v", onError, d)
		}
	}
}
