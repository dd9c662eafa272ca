package shop

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

//go:embed orders.proto
var protoText string

const (
	protoPath   = "shop/v1/orders.proto"
	serviceName = "shop.v1.Orders"
)

// schema is the compiled .proto: the messages that server and client work on.
type schema struct {
	file    protoreflect.FileDescriptor
	service protoreflect.ServiceDescriptor
	own     *protoregistry.Files // holds file
}

func compileSchema(ctx context.Context) (*schema, error) {
	sources := protocompile.SourceAccessorFromMap(map[string]string{protoPath: protoText})
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: sources})}
	files, err := compiler.Compile(ctx, protoPath)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", protoPath, err)
	}
	file, own := files[0], new(protoregistry.Files)
	if err := own.RegisterFile(file); err != nil {
		return nil, fmt.Errorf("register %s: %w", protoPath, err)
	}
	return &schema{file: file, service: file.Services().ByName("Orders"), own: own}, nil
}

// message returns a new message of the schema, filled from JSON text.
func (s *schema) message(name protoreflect.Name, text string) (*dynamicpb.Message, error) {
	m := s.empty(name)
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return m, nil
}

func (s *schema) empty(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(s.file.Messages().ByName(name))
}

// FindFileByPath and FindDescriptorByName make a schema what the reflection
// service asks: its own file first, then what the program was linked with,
// which describes the reflection service itself.
func (s *schema) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if found, err := s.own.FindFileByPath(path); err == nil {
		return found, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (s *schema) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if found, err := s.own.FindDescriptorByName(name); err == nil {
		return found, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

var _ protodesc.Resolver = (*schema)(nil)

// grpcSide answers the shop's gRPC calls.
type grpcSide struct{ schema *schema }

// newGRPCServer returns the shop's gRPC server with reflection in both
// versions.
func newGRPCServer(ctx context.Context) (*grpc.Server, error) {
	s, err := compileSchema(ctx)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	side := &grpcSide{schema: s}
	server.RegisterService(side.serviceDesc(), side)
	options := reflection.ServerOptions{Services: server, DescriptorResolver: s}
	v1.RegisterServerReflectionServer(server, reflection.NewServerV1(options))
	v1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
	return server, nil
}

func (s *grpcSide) serviceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: s.handleGet}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", Handler: s.watch, ServerStreams: true},
			{StreamName: "Upload", Handler: s.upload, ClientStreams: true},
			{StreamName: "Chat", Handler: s.chat, ServerStreams: true, ClientStreams: true},
		},
		Metadata: protoPath,
	}
}

// handleGet is get in the shape that grpc.MethodDesc wants.
//
//nolint:revive // context-as-argument: the shape is grpc's
func (s *grpcSide) handleGet(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := s.schema.empty("GetRequest")
	if err := decode(in); err != nil {
		return nil, err
	}
	if intercept == nil {
		return s.get(ctx, in)
	}
	info := &grpc.UnaryServerInfo{Server: s, FullMethod: "/" + serviceName + "/Get"}
	return intercept(ctx, in, info, func(ctx context.Context, _ any) (any, error) { return s.get(ctx, in) })
}

func (s *grpcSide) get(ctx context.Context, in *dynamicpb.Message) (*dynamicpb.Message, error) {
	id := field(in, "id").Int()
	if id <= 0 {
		return nil, status.Error(codes.NotFound, "no such order")
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-shop", "orders")); err != nil {
		return nil, err
	}
	return s.order(id, "STATUS_PAID")
}

func (s *grpcSide) watch(_ any, stream grpc.ServerStream) error {
	in := s.schema.empty("WatchRequest")
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	steps := []string{"STATUS_PLACED", "STATUS_PAID", "STATUS_SHIPPED"}
	updates := int(field(in, "updates").Int())
	if updates <= 0 {
		updates = len(steps)
	}
	for i := range updates {
		update, err := s.order(field(in, "id").Int(), steps[min(i, len(steps)-1)])
		if err != nil {
			return err
		}
		if err := stream.SendMsg(update); err != nil {
			return err
		}
	}
	return nil
}

func (s *grpcSide) upload(_ any, stream grpc.ServerStream) error {
	summary := s.schema.empty("UploadSummary")
	fields := summary.Descriptor().Fields()
	ids := summary.Mutable(fields.ByName("ids")).List()
	var count int32
	var total int64
	for {
		placed := s.schema.empty("Order")
		err := stream.RecvMsg(placed)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		count++
		total += field(placed, "total_cents").Int()
		ids.Append(field(placed, "id"))
	}
	summary.Set(fields.ByName("orders"), protoreflect.ValueOfInt32(count))
	summary.Set(fields.ByName("total_cents"), protoreflect.ValueOfInt64(total))
	return stream.SendMsg(summary)
}

func (s *grpcSide) chat(_ any, stream grpc.ServerStream) error {
	for {
		said := s.schema.empty("ChatMessage")
		err := stream.RecvMsg(said)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := s.schema.message("ChatMessage", `{"from": "shop"}`)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%s said: %s", field(said, "from").String(), field(said, "text").String())
		answer.Set(answer.Descriptor().Fields().ByName("text"), protoreflect.ValueOfString(text))
		if err := stream.SendMsg(answer); err != nil {
			return err
		}
	}
}

func (s *grpcSide) order(id int64, state string) (*dynamicpb.Message, error) {
	return s.schema.message("Order", fmt.Sprintf(`{
		"id": "%d", "customer": "Ada Lovelace", "customer_email": "ada@example.com", "card_number": "4111111111111111",
		"status": %q, "items": [{"sku": "gear-12", "quantity": 2, "price_cents": "4995"}, {"sku": "crank", "quantity": 1, "price_cents": "3000"}],
		"total_cents": "12990", "coupon": "", "pickup_point": "Marylebone", "labels": {"channel": "post"},
		"placed_at": "1843-09-05T10:00:00Z", "internal_note": "margin 31 %%"
	}`, id, state))
}

func field(m *dynamicpb.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}
