package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestMain(m *testing.M) {
	proxy.RegisterEncodings()
	encoding.RegisterCodec(jsonCodec{})
	os.Exit(m.Run())
}

// jsonCodec is what speaks grpc+json.
type jsonCodec struct{}

func (jsonCodec) Name() string                  { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error) { return protojson.Marshal(v.(proto.Message)) }
func (jsonCodec) Unmarshal(data []byte, v any) error {
	return protojson.Unmarshal(data, v.(proto.Message))
}

// The methods of the service that these tests call: one of each kind.
const (
	get     = "/test.v1.Items/Get"     // unary
	list    = "/test.v1.Items/List"    // server streaming
	collect = "/test.v1.Items/Collect" // client streaming
	chat    = "/test.v1.Items/Chat"    // both
)

const itemsFile = `
name: "test/v1/items.proto" package: "test.v1" syntax: "proto3"
message_type { name: "Item"
  field { name: "name"  number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" }
  field { name: "big"   number: 2 type: TYPE_INT64  label: LABEL_OPTIONAL json_name: "big" }
  field { name: "maybe" number: 3 type: TYPE_INT32  label: LABEL_OPTIONAL json_name: "maybe" proto3_optional: true oneof_index: 0 }
  field { name: "raw"   number: 4 type: TYPE_BYTES  label: LABEL_OPTIONAL json_name: "raw" }
  oneof_decl { name: "_maybe" }
}
service { name: "Items"
  method { name: "Get"     input_type: ".test.v1.Item" output_type: ".test.v1.Item" }
  method { name: "List"    input_type: ".test.v1.Item" output_type: ".test.v1.Item" server_streaming: true }
  method { name: "Collect" input_type: ".test.v1.Item" output_type: ".test.v1.Item" client_streaming: true }
  method { name: "Chat"    input_type: ".test.v1.Item" output_type: ".test.v1.Item" client_streaming: true server_streaming: true }
}`

// itemType describes test.v1.Item.
func itemType(t testing.TB) (protoreflect.MessageDescriptor, *protoregistry.Files) {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(itemsFile), file); err != nil {
		t.Fatal(err)
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := new(protoregistry.Files)
	if err := files.RegisterFile(fd); err != nil {
		t.Fatal(err)
	}
	return fd.Messages().ByName("Item"), files
}

// items is the service behind the proxy. Its handler answers every method.
type items struct {
	addr   string
	item   protoreflect.MessageDescriptor
	server *grpc.Server
}

type itemsHandler func(method string, s grpc.ServerStream) error

// startItems runs the service until the test ends. It describes itself unless
// dumb.
func startItems(t testing.TB, dumb bool, handle itemsHandler, options ...grpc.ServerOption) *items {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	item, files := itemType(t)
	s := &items{addr: l.Addr().String(), item: item, server: grpc.NewServer(options...)}
	desc := &grpc.ServiceDesc{ServiceName: "test.v1.Items", HandlerType: (*any)(nil), Metadata: "test/v1/items.proto"}
	for _, name := range []string{"Get", "List", "Collect", "Chat"} {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: name, ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return handle("/test.v1.Items/"+name, stream) },
		})
	}
	s.server.RegisterService(desc, s)
	if !dumb {
		reflectionv1.RegisterServerReflectionServer(s.server, reflection.NewServerV1(reflection.ServerOptions{
			Services: s.server, DescriptorResolver: files,
		}))
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		s.server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// dialCalls is a caller's connection to addr.
func dialCalls(t testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(100 << 20)),
	}, options...)
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// a makes an item of protobuf's JSON.
func (s *items) a(t testing.TB, json string) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(s.item)
	if err := protojson.Unmarshal([]byte(json), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (s *items) named(name string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(s.item)
	m.Set(s.item.Fields().ByName("name"), protoreflect.ValueOfString(name))
	return m
}

func nameOf(m *dynamicpb.Message) string {
	return m.Get(m.Descriptor().Fields().ByName("name")).String()
}

// recv receives an item.
func (s *items) recv(from interface{ RecvMsg(any) error }) (*dynamicpb.Message, error) {
	m := dynamicpb.NewMessage(s.item)
	err := from.RecvMsg(m)
	return m, err
}

// ended is how a call ended for its caller.
type ended struct {
	header, trailer metadata.MD // header is nil if the answer was trailers only
	names           []string    // of the items received
	status          *status.Status
}

func (e ended) String() string {
	return fmt.Sprintf("header %v, items %q, %v %q, trailer %v", e.header, e.names, e.status.Code(), e.status.Message(), e.trailer)
}

var bothWays = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// call sends all the items, half-closes and reads to the end.
func (s *items) call(ctx context.Context, t testing.TB, conn *grpc.ClientConn, method string, in []*dynamicpb.Message, options ...grpc.CallOption) ended {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, bothWays, method, options...)
	if err != nil {
		return ended{status: status.Convert(err)}
	}
	for _, m := range in {
		if stream.SendMsg(m) != nil {
			break // its status comes below
		}
	}
	stream.CloseSend()
	return s.read(stream)
}

// read reads a stream to its end.
func (s *items) read(stream grpc.ClientStream) (e ended) {
	e.header, _ = stream.Header()
	for {
		m, err := s.recv(stream)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			e.trailer, e.status = stream.Trailer(), status.Convert(err)
			return e
		}
		e.names = append(e.names, nameOf(m))
	}
}

// echo answers every item with itself.
func (s *items) echo(_ string, stream grpc.ServerStream) error {
	for {
		m, err := s.recv(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(m); err != nil {
			return err
		}
	}
}

// startEcho runs a service that echoes.
func startEcho(t testing.TB, dumb bool, options ...grpc.ServerOption) *items {
	t.Helper()
	item, _ := itemType(t)
	return startItems(t, dumb, (&items{item: item}).echo, options...)
}

// isReject tells whether a call ended with Sluice's own answer: its code, by its
// name in rule files, and where it comes from.
func isReject(e ended, code string, where string) error {
	if got := e.status.Code().String(); !strings.EqualFold(got, strings.ReplaceAll(code, "_", "")) {
		return fmt.Errorf("got %v, want %s", e, code)
	}
	if got := e.trailer.Get("x-sluice-error"); !slices.Equal(got, []string{where}) {
		return fmt.Errorf("got x-sluice-error %q in %v, want %q", got, e, where)
	}
	return nil
}

func mustItem(t testing.TB) protoreflect.MessageDescriptor {
	item, _ := itemType(t)
	return item
}
