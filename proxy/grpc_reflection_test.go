package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// The messages of v1alpha are those of v1 on the wire.
type (
	question = reflectionv1.ServerReflectionRequest
	answer   = reflectionv1.ServerReflectionResponse
)

// answers makes a service describe itself as a test wants, for methods that
// begin with prefix. A nil answer hangs.
func answers(prefix string, answer func(*question) *answer) grpc.ServerOption {
	return grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		if !strings.HasPrefix(method, prefix) {
			return status.Error(codes.Unimplemented, "unknown service")
		}
		for {
			q := new(question)
			if err := s.RecvMsg(q); err != nil {
				return nil //nolint:nilerr // the caller has its answers
			}
			a := answer(q)
			if a == nil {
				<-s.Context().Done()
				return nil
			}
			if err := s.SendMsg(a); err != nil {
				return err
			}
		}
	})
}

func filesOf(t *testing.T, files ...*descriptorpb.FileDescriptorProto) *answer {
	t.Helper()
	all := new(reflectionv1.FileDescriptorResponse)
	for _, f := range files {
		b, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		all.FileDescriptorProto = append(all.FileDescriptorProto, b)
	}
	return &answer{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: all}}
}

// Whatever a service says of itself, a call whose rule needs that waits 2 s at
// most, and all other traffic of the same connection not at all.
func TestReflectionDelaysNoOtherTraffic(t *testing.T) {
	items := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(itemsFile), items); err != nil {
		t.Fatal(err)
	}
	big := proto.CloneOf(items)
	for i := range 40_000 { // 9 MB
		big.MessageType = append(big.MessageType, &descriptorpb.DescriptorProto{Name: proto.String(fmt.Sprintf("M%0200d", i))})
	}
	circle := func(name, imports string) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{Name: proto.String(name), Dependency: []string{imports}}
	}
	const v1, alpha, both = "/grpc.reflection.v1.", "/grpc.reflection.v1alpha.", "/grpc.reflection."
	good, huge := filesOf(t, items), filesOf(t, big)
	for _, test := range []struct {
		name, prefix string
		answer       func(*question) *answer
		edited       bool
	}{
		{"good", v1, func(*question) *answer { return good }, true},
		{"v1alpha only", alpha, func(*question) *answer { return good }, true},
		{"large", v1, func(*question) *answer { return huge }, true},
		{"absent", "none", nil, false},
		{"hung", both, func(*question) *answer { return nil }, false},
		{"lying", both, func(*question) *answer { return filesOf(t, circle("a.proto", "google/protobuf/any.proto")) }, false},
		{"circular", both, func(q *question) *answer {
			if q.GetFileByFilename() == "b.proto" {
				return filesOf(t, circle("b.proto", "a.proto"))
			}
			return filesOf(t, circle("a.proto", "b.proto"))
		}, false},
		{"without end", both, func(q *question) *answer {
			return filesOf(t, circle(q.GetFileByFilename()+"x", q.GetFileByFilename()+"xx"))
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.Leaks(t)
			s := startEcho(t, true, answers(test.prefix, test.answer))
			car := startSidecar(t, s.addr, []string{
				"route: r\nmatch: {grpc: test.v1.Items/Get}\non_error: pass\nresponse: [{jq: '.name += \"!\"'}]\n",
				"route: h\nmatch: {grpc: test.v1.Items/List}\nresponse: [{head: '.headers[\"x-by\"] = \"rule\"'}]\n",
			})
			conn := dialCalls(t, car.addr)
			in := []*dynamicpb.Message{s.named("a")}
			s.call(t.Context(), t, conn, chat, in) // the connection stands

			waits := make(chan string, 1)
			go func() {
				began := time.Now()
				e := s.call(t.Context(), t, conn, get, in)
				want := "a"
				if test.edited {
					want = "a!"
				}
				if took := time.Since(began); took > 4*time.Second || !slices.Equal(e.names, []string{want}) {
					waits <- fmt.Sprintf("after %v: %v, want %s", took, e, want)
				}
				close(waits)
			}()
			for others, over := 0, false; !over || others < 3; others++ {
				for _, method := range []string{chat, list} {
					began := time.Now()
					e := s.call(t.Context(), t, conn, method, in)
					if took := time.Since(began); took > time.Second || !slices.Equal(e.names, []string{"a"}) {
						t.Errorf("another call took %v: %v", took, e)
					}
				}
				select {
				case wrong, ok := <-waits:
					if ok {
						t.Error(wrong)
					}
					over = true
				default:
				}
			}
		})
	}
}
