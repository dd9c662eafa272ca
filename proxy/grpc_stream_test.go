package proxy_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// within fails the test if done is not closed, or told, in time.
func within[T any](t testing.TB, what string, done <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-done:
	case <-time.After(testbed.Patience):
		t.Fatalf("%s: nothing after %v", what, testbed.Patience)
	}
	return v
}

func TestHeadersReachTheCallerBeforeAMessage(t *testing.T) {
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			seen := make(chan struct{})
			s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
				stream.SendHeader(metadata.Pairs("h", "early"))
				select {
				case <-seen:
				case <-stream.Context().Done():
				}
				return nil
			})
			conn := dialCalls(t, startSidecar(t, s.addr, files).addr)
			ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
			defer cancel()
			stream, err := conn.NewStream(ctx, bothWays, chat)
			if err != nil {
				t.Fatal(err)
			}
			if h, err := stream.Header(); err != nil || !slices.Equal(h.Get("h"), []string{"early"}) {
				t.Fatalf("got %v, %v", h, err)
			}
			close(seen)
			stream.CloseSend()
			if e := s.read(stream); e.status.Code() != codes.OK {
				t.Errorf("got %v", e)
			}
		})
	}
}

func TestDeadlinesReachTheUpstream(t *testing.T) {
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			if way == "no route" && os.Getenv("SLUICE_TEST_LANE") == string(proxy.LaneExchange) {
				t.Skip("net/http does not tell the code of the upstream's reset, which may be the first to come")
			}
			left := make(chan time.Duration, 1)
			ends := make(chan error, 1)
			s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
				deadline, _ := stream.Context().Deadline()
				left <- time.Until(deadline)
				<-stream.Context().Done()
				ends <- stream.Context().Err()
				return status.FromContextError(stream.Context().Err()).Err()
			})
			car := startSidecar(t, s.addr, files)
			conn := dialCalls(t, car.addr)
			s.call(t.Context(), t, dialCalls(t, car.addr), "/test.v1.Items/None", nil) // descriptors are asked for only once
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			e := s.call(ctx, t, conn, get, []*dynamicpb.Message{s.named("x")})
			if e.status.Code() != codes.DeadlineExceeded {
				t.Errorf("got %v", e)
			}
			if d := within(t, "call", left); d <= 0 || d > 300*time.Millisecond {
				t.Errorf("got %v left upstream", d)
			}
			_ = within(t, "end of the call", ends)
		})
	}
}

// A caller that only waits, as one with a timeout of its own, is told.
func TestDeadlineIsAnsweredByName(t *testing.T) {
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		if md, _ := metadata.FromIncomingContext(stream.Context()); md.Get("early") != nil {
			stream.SendHeader(nil)
		}
		<-make(chan struct{})
		return nil
	})
	t.Cleanup(func() {})
	car := startSidecar(t, s.addr, []string{untouching})
	for _, early := range []bool{false, true} {
		fields := []string{"Grpc-Timeout", "200m"}
		if early {
			fields = append(fields, "Early", "1")
		}
		resp, _ := callRaw(t, car.addr, get, "\x00\x00\x00\x00\x00", fields...)
		h := resp.Header
		if early {
			h = resp.Trailer
		}
		if h.Get("Grpc-Status") != "4" || h.Get("X-Sluice-Error") != "same/upstream; timeout" {
			t.Errorf("early head %v: got %v, trailer %v, want DEADLINE_EXCEEDED", early, resp.Header, resp.Trailer)
		}
	}
}

func TestCancellationReachesTheUpstreamAsSuch(t *testing.T) {
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			began, ended := make(chan struct{}, 1), make(chan error, 1)
			s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
				began <- struct{}{}
				err := stream.RecvMsg(dynamicpb.NewMessage(mustItem(t)))
				ended <- err
				return err
			})
			car := startSidecar(t, s.addr, files)
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := dialCalls(t, car.addr).NewStream(ctx, bothWays, chat)
			if err != nil {
				t.Fatal(err)
			}
			within(t, "call", began)
			cancel()
			if err := within(t, "end", ended); status.Code(err) != codes.Canceled {
				t.Errorf("the upstream sees %v", err)
			}
			if err := stream.RecvMsg(nil); status.Code(err) != codes.Canceled {
				t.Errorf("the caller sees %v", err)
			}
			if r := car.record(chat); r.Error == nil || r.Error.Origin != proxy.OriginCaller || r.Error.Reason != "cancelled" || r.Status != 0 {
				t.Errorf("record: %+v %v", r, r.Error)
			}
		})
	}
}

func TestAServerMayEndAStreamFirst(t *testing.T) {
	item := mustItem(t)
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		_ = stream.RecvMsg(dynamicpb.NewMessage(item))
		stream.SetTrailer(metadata.Pairs("t", "1"))
		return status.Error(codes.OutOfRange, "enough")
	})
	for way, files := range everyWay {
		t.Run(way, func(t *testing.T) {
			conn := dialCalls(t, startSidecar(t, s.addr, files).addr)
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
				stream, err := conn.NewStream(ctx, bothWays, chat)
				if err != nil {
					t.Fatal(err)
				}
				stream.SendMsg(s.named("a")) // and no half-close
				if e := s.read(stream); e.status.Code() != codes.OutOfRange || e.trailer.Get("t") == nil {
					t.Fatalf("got %v", e)
				}
				cancel()
			}
		})
	}
}

// stops waits until sent grows no more: nothing new for a while.
func stops(t testing.TB, sent *atomic.Int64) int64 {
	t.Helper()
	last, since := int64(-1), time.Now()
	testbed.Eventually(t, testbed.Patience, func() error {
		if n := sent.Load(); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) < 500*time.Millisecond {
			return io.ErrNoProgress
		}
		return nil
	})
	return last
}

func TestASlowCallerHoldsAFastUpstreamBack(t *testing.T) {
	const chunk, total = 64 << 10, 16 << 20
	var sent atomic.Int64
	base := &items{item: mustItem(t)}
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		m := base.named(strings.Repeat("x", chunk))
		for sent.Load() < total {
			if err := stream.SendMsg(m); err != nil {
				return err
			}
			sent.Add(chunk)
		}
		return nil
	})
	car := startSidecar(t, s.addr, []string{untouching})
	stream, err := dialCalls(t, car.addr).NewStream(t.Context(), bothWays, chat)
	if err != nil {
		t.Fatal(err)
	}
	if n := stops(t, &sent); n > 4<<20 {
		t.Errorf("%d bytes were taken for a caller that reads nothing", n)
	}
	stream.CloseSend()
	if e := s.read(stream); e.status.Code() != codes.OK || len(e.names) != total/chunk {
		t.Errorf("got %d items, %v", len(e.names), e.status)
	}
}

func TestASlowUpstreamHoldsAFastCallerBack(t *testing.T) {
	release := make(chan struct{})
	item := mustItem(t)
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		select {
		case <-release:
		case <-stream.Context().Done():
		}
		for {
			if err := stream.RecvMsg(dynamicpb.NewMessage(item)); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
	})
	car := startSidecar(t, s.addr, []string{untouching})
	stream, err := dialCalls(t, car.addr).NewStream(t.Context(), bothWays, chat)
	if err != nil {
		t.Fatal(err)
	}
	const chunk, total = 64 << 10, 16 << 20
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() {
		m := s.named(strings.Repeat("x", chunk))
		for sent.Load() < total {
			if err := stream.SendMsg(m); err != nil {
				done <- err
				return
			}
			sent.Add(chunk)
		}
		done <- stream.CloseSend()
	}()
	if n := stops(t, &sent); n > 4<<20 {
		t.Errorf("%d bytes were taken for an upstream that reads nothing", n)
	}
	close(release)
	if err := within(t, "sender", done); err != nil {
		t.Fatal(err)
	}
	if e := s.read(stream); e.status.Code() != codes.OK {
		t.Errorf("got %v", e)
	}
}

func TestNewRulesReachARunningStream(t *testing.T) {
	s := startEcho(t, false)
	tag := func(name string) string {
		return "route: " + name + "\nmatch: {grpc: test.v1.Items/Chat}\nrequest: [{jq: '.name = \"" + name + ":\" + .name'}]\n"
	}
	car := startSidecar(t, s.addr, []string{tag("one")})
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	stream, err := dialCalls(t, car.addr).NewStream(ctx, bothWays, chat)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(want string) {
		t.Helper()
		if err := stream.SendMsg(s.named("x")); err != nil {
			t.Fatal(err)
		}
		if m, err := s.recv(stream); err != nil || nameOf(m) != want {
			t.Fatalf("got %v, %v, want %s", m, err, want)
		}
	}
	ask("one:x")
	car.use(tag("two"))
	ask("two:x")
	car.use() // no rules
	ask("x")
	car.use(tag("three"))
	ask("three:x")
	stream.CloseSend()
	if e := s.read(stream); e.status.Code() != codes.OK {
		t.Errorf("got %v", e)
	}
}

func TestAThousandStreamsLeaveNothingBehind(t *testing.T) {
	testbed.Leaks(t)
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, []string{shouting})
	conns := make([]*grpc.ClientConn, 10)
	for i := range conns {
		conns[i] = dialCalls(t, car.addr)
	}
	results := make(chan ended, 100)
	call := func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), 3*testbed.Patience)
		defer cancel()
		stream, err := conns[i%len(conns)].NewStream(ctx, bothWays, chat)
		if err != nil {
			results <- ended{status: status.Convert(err)}
			return
		}
		stream.SendMsg(s.named("a"))
		if i%3 == 0 {
			m, err := s.recv(stream)
			cancel() // the caller leaves
			results <- ended{names: []string{nameOf(m)}, status: status.Convert(err)}
			return
		}
		stream.CloseSend()
		results <- s.read(stream)
	}
	for i := range 1000 {
		go call(i)
	}
	for range 1000 {
		if e := within(t, "calls", results); e.status.Code() != codes.OK || !slices.Equal(e.names, []string{"out:in:a"}) {
			t.Fatalf("got %v", e)
		}
	}
}
