package testbed

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

// GRPCService is the full name of the service that [GRPC] serves.
const GRPCService = "grpc.testing.TestService"

// The metadata that the service sends back, as gRPC's interoperability tests
// name it: the first in its headers, the second in its trailers.
const (
	EchoInitial     = "x-grpc-test-echo-initial"
	EchoTrailingBin = "x-grpc-test-echo-trailing-bin"
)

// Reflection says how a gRPC server describes itself.
type Reflection int

// The ways of [Reflection].
const (
	ReflectBoth  Reflection = iota // v1 and v1alpha
	ReflectV1                      // v1 alone
	ReflectAlpha                   // v1alpha alone, as older servers
	ReflectNever                   // not at all: UNIMPLEMENTED
	ReflectHangs                   // takes the question and never answers
)

// GRPCConfig is how [GRPC] serves. The zero value reflects in both versions.
type GRPCConfig struct {
	Reflection Reflection
	Options    []grpc.ServerOption
}

// GRPCServer is a running server of gRPC's own interoperability service,
// [GRPCService], over cleartext HTTP/2:
//
//   - UnaryCall, StreamingOutputCall, StreamingInputCall and FullDuplexCall do
//     what their messages ask for: payload sizes, pauses, a status;
//   - the metadata [EchoInitial] and [EchoTrailingBin] come back;
//   - headers leave as soon as a call is there, before its first message;
//   - gzip is spoken, and used if response_compressed asks for it.
type GRPCServer struct {
	Addr string

	calls       atomic.Int64
	reflections atomic.Int64
}

// Calls tells how many calls the service has been sent.
func (s *GRPCServer) Calls() int { return int(s.calls.Load()) }

// Reflections tells how many reflection streams were opened.
func (s *GRPCServer) Reflections() int { return int(s.reflections.Load()) }

// GRPC starts a [GRPCServer].
func GRPC(t testing.TB, listener net.Listener, config GRPCConfig) *GRPCServer {
	t.Helper()
	running := &GRPCServer{Addr: listener.Addr().String()}
	options := append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(running.countCall), grpc.ChainStreamInterceptor(running.countStream)}, config.Options...)
	server := grpc.NewServer(options...)
	pb.RegisterTestServiceServer(server, testService{})
	registerReflection(server, config.Reflection)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("testbed: grpc server: %v", err)
		}
	})
	return running
}

func (s *GRPCServer) countCall(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.calls.Add(1)
	return next(ctx, in)
}

func (s *GRPCServer) countStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if strings.HasPrefix(info.FullMethod, "/grpc.reflection.") {
		s.reflections.Add(1)
	} else {
		s.calls.Add(1)
	}
	return next(service, stream)
}

func registerReflection(server *grpc.Server, how Reflection) {
	options := reflection.ServerOptions{Services: server}
	if how == ReflectHangs {
		v1.RegisterServerReflectionServer(server, hangingReflection{})
		return
	}
	if how == ReflectBoth || how == ReflectV1 {
		v1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	}
	if how == ReflectBoth || how == ReflectAlpha {
		v1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
	}
}

// hangingReflection takes questions and answers none.
type hangingReflection struct {
	v1.UnimplementedServerReflectionServer
}

func (hangingReflection) ServerReflectionInfo(stream v1.ServerReflection_ServerReflectionInfoServer) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// GRPCDial returns a client connection to addr over cleartext HTTP/2 that the
// test's end closes.
func GRPCDial(t testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// GRPCClient is a client of [GRPCService] at addr.
func GRPCClient(t testing.TB, addr string, options ...grpc.DialOption) pb.TestServiceClient {
	t.Helper()
	return pb.NewTestServiceClient(GRPCDial(t, addr, options...))
}

// testService does what its requests ask for.
type testService struct {
	pb.UnimplementedTestServiceServer
}

func (testService) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

func (testService) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if in.GetResponseCompressed().GetValue() {
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
			return nil, err
		}
	}
	initial, trailing := echoedMetadata(ctx)
	if err := grpc.SendHeader(ctx, initial); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, trailing); err != nil {
		return nil, err
	}
	if err := askedStatus(in.GetResponseStatus()); err != nil {
		return nil, err
	}
	return &pb.SimpleResponse{Payload: payload(in.GetResponseSize())}, nil
}

func (testService) StreamingOutputCall(in *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	if err := openStream(stream); err != nil {
		return err
	}
	if err := sendAsked(stream, in.GetResponseParameters()); err != nil {
		return err
	}
	return askedStatus(in.GetResponseStatus())
}

func (testService) StreamingInputCall(stream pb.TestService_StreamingInputCallServer) error {
	if err := openStream(stream); err != nil {
		return err
	}
	var size int32
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: size})
		}
		if err != nil {
			return err
		}
		size += int32(len(in.GetPayload().GetBody()))
	}
}

func (testService) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	if err := openStream(stream); err != nil {
		return err
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := askedStatus(in.GetResponseStatus()); err != nil {
			return err
		}
		if err := sendAsked(stream, in.GetResponseParameters()); err != nil {
			return err
		}
	}
}

// openStream sends the headers before the first message.
func openStream(stream grpc.ServerStream) error {
	initial, trailing := echoedMetadata(stream.Context())
	stream.SetTrailer(trailing)
	return stream.SendHeader(initial)
}

func echoedMetadata(ctx context.Context) (initial, trailing metadata.MD) {
	initial, trailing = metadata.MD{}, metadata.MD{}
	received, _ := metadata.FromIncomingContext(ctx)
	if values := received.Get(EchoInitial); len(values) > 0 {
		initial.Set(EchoInitial, values...)
	}
	if values := received.Get(EchoTrailingBin); len(values) > 0 {
		trailing.Set(EchoTrailingBin, values...)
	}
	return initial, trailing
}

func askedStatus(asked *pb.EchoStatus) error {
	if asked.GetCode() == 0 {
		return nil
	}
	return status.Error(codes.Code(asked.GetCode()), asked.GetMessage())
}

type outputStream interface {
	grpc.ServerStream
	Send(*pb.StreamingOutputCallResponse) error
}

func sendAsked(stream outputStream, asked []*pb.ResponseParameters) error {
	for _, one := range asked {
		pause := time.Duration(one.GetIntervalUs()) * time.Microsecond
		select {
		case <-time.After(pause):
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: payload(one.GetSize())}); err != nil {
			return err
		}
	}
	return nil
}

func payload(size int32) *pb.Payload {
	return &pb.Payload{Type: pb.PayloadType_COMPRESSABLE, Body: make([]byte, size)}
}
