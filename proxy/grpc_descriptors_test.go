package proxy_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
)

// A server that does not describe itself is rewritten by a descriptor set file.
func TestDescriptorsFromAFile(t *testing.T) {
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(itemsFile), &file); err != nil {
		t.Fatal(err)
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{&file}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := protobuf.NewFiles(protobuf.File{Name: "items.binpb", Data: set})
	if err != nil {
		t.Fatal(err)
	}
	s := startEcho(t, true)
	reflection := protobuf.NewReflection(protobuf.ReflectionConfig{})
	t.Cleanup(func() { reflection.Close() })
	car := startSidecar(t, s.addr, []string{`
route: r
match: {grpc: "test.v1.Items/*"}
response:
  - jq: .name += "!"
`}, func(c *proxy.Config) { c.Methods = protobuf.Sources(files, reflection) })
	conn := dialCalls(t, car.addr)
	for _, method := range []string{get, chat} {
		e := s.call(t.Context(), t, conn, method, []*dynamicpb.Message{s.named("a")})
		if want := []string{"a!"}; !slices.Equal(e.names, want) {
			t.Errorf("%s: got %v, want %q", method, e, want)
		}
	}
}
