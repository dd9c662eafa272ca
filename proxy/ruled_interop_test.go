package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// TestRuledInterop goes through what gRPC's interoperability tests ask of a
// server, with no rule for the call and with one for each message.
func TestRuledInterop(t *testing.T) {
	for way, rule := range map[string]string{
		"inline":      elsewhere,
		"by message":  "route: i\nmatch: {grpc: \"grpc.testing.TestService/*\"}\nrequest: [{jq: .}]\nresponse: [{jq: .}]\n",
		"by the head": "route: i\nmatch: {grpc: \"grpc.testing.TestService/*\"}\nrequest: [{head: '.headers[\"x-i\"] = \"1\"'}]\n",
	} {
		t.Run(way, func(t *testing.T) {
			testbed.Leaks(t)
			server := testbed.GRPC(t, testbed.Loopback(t), testbed.GRPCConfig{})
			s := startSidecar(t, server.Addr, []string{rule}, inLane(proxy.LaneRelay))
			interop(t, testbed.GRPCClient(t, s.addr))
		})
	}
}

func interop(t *testing.T, c pb.TestServiceClient) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.EmptyCall(ctx, &pb.Empty{}); err != nil {
		t.Errorf("empty call: %v", err)
	}

	ctx = metadata.AppendToOutgoingContext(ctx, testbed.EchoInitial, "first", testbed.EchoTrailingBin, "\xab\x00")
	var header, trailer metadata.MD
	large := &pb.Payload{Body: make([]byte, 271828)}
	got, err := c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 314159, Payload: large}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || len(got.GetPayload().GetBody()) != 314159 {
		t.Errorf("large unary: %d bytes, %v", len(got.GetPayload().GetBody()), err)
	}
	if v := header.Get(testbed.EchoInitial); len(v) != 1 || v[0] != "first" {
		t.Errorf("header: %v", header)
	}
	if v := trailer.Get(testbed.EchoTrailingBin); len(v) != 1 || v[0] != "\xab\x00" {
		t.Errorf("trailer: %v", trailer)
	}
	got, err = c.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 1000, Payload: large, ResponseCompressed: &pb.BoolValue{Value: true}}, grpc.UseCompressor(gzip.Name))
	if err != nil || len(got.GetPayload().GetBody()) != 1000 {
		t.Errorf("compressed unary: %v", err)
	}
	_, err = c.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 2, Message: "t\te\u00e9"}})
	if st := status.Convert(err); st.Code() != codes.Unknown || st.Message() != "t\te\u00e9" {
		t.Errorf("status: %v", err)
	}

	in, err := c.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{27182, 8, 1828, 45904} {
		if err := in.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, n)}}); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := in.CloseAndRecv(); err != nil || sum.GetAggregatedPayloadSize() != 74922 {
		t.Errorf("client streaming: %v %v", sum, err)
	}

	sizes := []int32{31415, 9, 2653, 58979}
	ask := &pb.StreamingOutputCallRequest{}
	for _, n := range sizes {
		ask.ResponseParameters = append(ask.ResponseParameters, &pb.ResponseParameters{Size: n})
	}
	out, err := c.StreamingOutputCall(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		if m, err := out.Recv(); err != nil || len(m.GetPayload().GetBody()) != int(n) {
			t.Errorf("server streaming: %v", err)
		}
	}
	if _, err := out.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("server streaming ended with %v", err)
	}
	pingPong(ctx, t, c, sizes)
}

func pingPong(ctx context.Context, t *testing.T, c pb.TestServiceClient, sizes []int32) {
	both, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range sizes {
		body := bytes.Repeat([]byte{1}, int(n))
		if err := both.Send(&pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: n}}, Payload: &pb.Payload{Body: body}}); err != nil {
			t.Fatal(err)
		}
		if m, err := both.Recv(); err != nil || len(m.GetPayload().GetBody()) != int(n) {
			t.Errorf("ping pong: %v", err)
		}
	}
	both.CloseSend()
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("ping pong ended with %v", err)
	}

	none, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	none.CloseSend()
	if _, err := none.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("an empty stream ended with %v", err)
	}

	cut, cancel := context.WithCancel(ctx)
	both, err = c.FullDuplexCall(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Send(&pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 10}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := both.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a cancelled stream ended with %v", err)
	}

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	slow, err := c.StreamingOutputCall(short, &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 1, IntervalUs: 5_000_000}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call beyond its deadline ended with %v", err)
	}
}
