package testbed

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

func TestUnaryDoesWhatItIsAsked(t *testing.T) {
	Leaks(t)
	server := GRPC(t, Loopback(t), GRPCConfig{})
	client := GRPCClient(t, server.Addr)
	ctx := metadata.AppendToOutgoingContext(t.Context(), EchoInitial, "first", EchoTrailingBin, "\x00\xff")
	var header, trailer metadata.MD
	got, err := client.UnaryCall(ctx, &pb.SimpleRequest{ResponseSize: 5, ResponseCompressed: &pb.BoolValue{Value: true}}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetPayload().GetBody()) != 5 || header.Get(EchoInitial)[0] != "first" || trailer.Get(EchoTrailingBin)[0] != "\x00\xff" {
		t.Errorf("got %v, header %v, trailer %v", got, header, trailer)
	}
	_, err = client.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 8, Message: "enough"}})
	if status.Code(err) != codes.ResourceExhausted || status.Convert(err).Message() != "enough" {
		t.Errorf("got %v, want RESOURCE_EXHAUSTED enough", err)
	}
	if server.Calls() != 2 {
		t.Errorf("got %d calls, want 2", server.Calls())
	}
}

func TestStreamsDoWhatTheyAreAsked(t *testing.T) {
	Leaks(t)
	client := GRPCClient(t, GRPC(t, Loopback(t), GRPCConfig{}).Addr)
	duplex, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := duplex.Header(); err != nil { // before any message
		t.Fatal(err)
	}
	for _, size := range []int32{1, 1000} {
		asked := []*pb.ResponseParameters{{Size: size}, {Size: size + 1}}
		if err := duplex.Send(&pb.StreamingOutputCallRequest{ResponseParameters: asked}); err != nil {
			t.Fatal(err)
		}
		for _, want := range asked {
			got, err := duplex.Recv()
			if err != nil || len(got.GetPayload().GetBody()) != int(want.GetSize()) {
				t.Fatalf("got %v, %v, want %d bytes", got, err, want.GetSize())
			}
		}
	}
	_ = duplex.CloseSend()
	if _, err := duplex.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}

	upload, err := client.StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = upload.Send(&pb.StreamingInputCallRequest{Payload: payload(7)})
	}
	if got, err := upload.CloseAndRecv(); err != nil || got.GetAggregatedPayloadSize() != 21 {
		t.Errorf("got %v, %v, want 21", got, err)
	}
}

func TestReflectionAnswersAsConfigured(t *testing.T) {
	Leaks(t)
	for _, test := range []struct {
		how       Reflection
		v1, alpha codes.Code
	}{
		{ReflectBoth, codes.OK, codes.OK},
		{ReflectV1, codes.OK, codes.Unimplemented},
		{ReflectAlpha, codes.Unimplemented, codes.OK},
		{ReflectNever, codes.Unimplemented, codes.Unimplemented},
		{ReflectHangs, codes.DeadlineExceeded, codes.Unimplemented},
	} {
		server := GRPC(t, Loopback(t), GRPCConfig{Reflection: test.how})
		conn := GRPCDial(t, server.Addr)
		if got := askV1(t, conn); got != test.v1 {
			t.Errorf("%v: v1: got %v, want %v", test.how, got, test.v1)
		}
		if got := askAlpha(t, conn); got != test.alpha {
			t.Errorf("%v: v1alpha: got %v, want %v", test.how, got, test.alpha)
		}
		var want int
		for _, code := range []codes.Code{test.v1, test.alpha} {
			if code != codes.Unimplemented {
				want++
			}
		}
		if server.Reflections() != want {
			t.Errorf("%v: got %d reflection streams, want %d", test.how, server.Reflections(), want)
		}
	}
}

func askV1(t *testing.T, conn *grpc.ClientConn) codes.Code {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	stream, err := v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return status.Code(err)
	}
	_ = stream.Send(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: GRPCService}})
	_, err = stream.Recv()
	return status.Code(err)
}

func askAlpha(t *testing.T, conn *grpc.ClientConn) codes.Code {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	stream, err := v1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return status.Code(err)
	}
	_ = stream.Send(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: GRPCService}})
	_, err = stream.Recv()
	return status.Code(err)
}
