package protobuf

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec"
)

// script is a reflection server that answers as a test wants.
type script struct {
	reflectionv1.UnimplementedServerReflectionServer
	answer func(*reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error)
}

func (s script) ServerReflectionInfo(stream grpc.BidiStreamingServer[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		response, err := s.answer(request)
		if err != nil {
			return err
		}
		if response == nil { // hang
			<-stream.Context().Done()
			return nil
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func scripted(answer func(*reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error)) func(*grpc.Server) {
	return func(s *grpc.Server) { reflectionv1.RegisterServerReflectionServer(s, script{answer: answer}) }
}

func filesAnswer(files ...*descriptorpb.FileDescriptorProto) *reflectionv1.ServerReflectionResponse {
	answer := new(reflectionv1.FileDescriptorResponse)
	for _, f := range files {
		b, _ := proto.Marshal(f)
		answer.FileDescriptorProto = append(answer.FileDescriptorProto, b)
	}
	return &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: answer}}
}

func file(name string, imports ...string) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{Name: proto.String(name), Dependency: imports}
}

func TestReflectionIsBoundedAgainstTheServer(t *testing.T) {
	type request = reflectionv1.ServerReflectionRequest
	type response = reflectionv1.ServerReflectionResponse
	count := 0
	for _, test := range []struct {
		name   string
		answer func(*request) (*response, error)
		within time.Duration
	}{
		{"hangs", func(*request) (*response, error) { return nil, nil }, 2 * time.Second},
		{"refuses", func(*request) (*response, error) { return nil, status.Error(codes.PermissionDenied, "no") }, 0},
		{"answers nothing", func(*request) (*response, error) { return &response{}, nil }, 0},
		{"answers garbage", func(*request) (*response, error) {
			return &response{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{
				FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: [][]byte{{0xff}}},
			}}, nil
		}, 0},
		{"answers another file", func(*request) (*response, error) { return filesAnswer(file("other.proto")), nil }, 0},
		{"imports in a circle", func(r *request) (*response, error) {
			if r.GetFileByFilename() == "b.proto" {
				return filesAnswer(file("b.proto", "a.proto")), nil
			}
			return filesAnswer(file("a.proto", "b.proto")), nil
		}, 0},
		{"imports without end", func(r *request) (*response, error) {
			count++
			return filesAnswer(file(strings.Repeat("x", count), strings.Repeat("x", count+1))), nil
		}, 2 * time.Second},
		{"11 MB in one answer", func(*request) (*response, error) {
			f := file("big.proto")
			f.Options = &descriptorpb.FileOptions{GoPackage: proto.String(strings.Repeat("x", 11<<20))}
			return filesAnswer(f), nil
		}, 0},
		{"11 MB in many answers", func(r *request) (*response, error) {
			f := file(r.GetFileByFilename()+"x", r.GetFileByFilename()+"xx")
			f.Options = &descriptorpb.FileOptions{GoPackage: proto.String(strings.Repeat("x", 1<<20))}
			return filesAnswer(f), nil
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *Reflection) {
				server := serve(t, scripted(test.answer))
				for range 2 { // the second time from the negative cache
					start := time.Now()
					_, err := r.Find(t.Context(), server.Server, "shop.Orders", "Get")
					if err == nil {
						t.Fatal("found a method")
					}
					if waited := time.Since(start); waited > test.within {
						t.Errorf("waited %v, want %v at most: %v", waited, test.within, err)
					}
					test.within = 0
				}
				if n := server.dials.Load(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

func TestReflectionTakesMissingImportsAsUnknownFields(t *testing.T) {
	f := file("shop.proto", "gone.proto", "google/protobuf/timestamp.proto")
	f.Package, f.Syntax = proto.String("shop"), proto.String("proto3")
	field := func(name string, number int32, typeName string) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: proto.String(name), Number: proto.Int32(number), TypeName: proto.String(typeName),
			Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	f.MessageType = []*descriptorpb.DescriptorProto{{
		Name:  proto.String("Order"),
		Field: []*descriptorpb.FieldDescriptorProto{field("gone", 1, ".gone.Gone"), field("at", 2, ".google.protobuf.Timestamp")},
	}}
	f.Service = []*descriptorpb.ServiceDescriptorProto{{
		Name:   proto.String("Orders"),
		Method: []*descriptorpb.MethodDescriptorProto{{Name: proto.String("Get"), InputType: proto.String(".shop.Order"), OutputType: proto.String(".gone.Gone")}},
	}}
	bubble(t, func(t *testing.T, r *Reflection) {
		server := serve(t, scripted(func(request *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
			if request.GetFileContainingSymbol() == "shop.Orders" {
				return filesAnswer(f), nil
			}
			return &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_ErrorResponse{
				ErrorResponse: &reflectionv1.ErrorResponse{ErrorCode: int32(codes.NotFound), ErrorMessage: "no such file"},
			}}, nil
		}))
		m, err := r.Find(t.Context(), server.Server, "shop.Orders", "Get")
		if err != nil {
			t.Fatal(err)
		}
		in := sized(1, "\x08\x01") + sized(2, "\x08\x01")
		v, original, err := m.Input.Decode([]byte(in), codec.Limits{})
		if err != nil || v.(map[string]any)["at"] != "1970-01-01T00:00:01Z" {
			t.Fatalf("decoded %v, %v", v, err)
		}
		edited := map[string]any{"gone": v.(map[string]any)["gone"], "at": "1970-01-01T00:00:02Z"}
		out, err := m.Input.Encode(original, edited)
		if want := sized(1, "\x08\x01") + sized(2, "\x08\x02"); err != nil || string(out) != want {
			t.Errorf("encoded %q, %v, want %q", out, err, want)
		}
	})
}

func TestHungServerDoesNotDelayOthers(t *testing.T) {
	bubble(t, func(t *testing.T, r *Reflection) {
		hung := serve(t, scripted(func(*reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
			return nil, nil
		}))
		hung.Key = "hung"
		done := make(chan struct{})
		for _, service := range []string{"a.A", "b.B", "c.C"} {
			go func() {
				start := time.Now()
				if _, err := r.Find(t.Context(), hung.Server, service, "Get"); err == nil || time.Since(start) > 2*time.Second {
					t.Errorf("%s: error %v after %v", service, err, time.Since(start))
				}
				done <- struct{}{}
			}()
		}
		server := serve(t, v1(testFiles(t)))
		start := time.Now()
		if _, err := r.Find(t.Context(), server.Server, "kinds.Kinds", "Get"); err != nil || time.Since(start) > 0 {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		for range 3 {
			<-done
		}
		if n := hung.dials.Load(); n != 1 {
			t.Errorf("%d connections to the hung server, want 1", n)
		}
	})
}
