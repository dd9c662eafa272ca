package protobuf

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec"
)

func setOf(t *testing.T, files *Files) []byte {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	files.schema.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !isStandard(f.Path()) {
			set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
		}
		return true
	})
	data, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFilesOfASetKnowTheSameMethods(t *testing.T) {
	sources := testFiles(t)
	set, err := NewFiles(File{"all.binpb", setOf(t, sources)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.Methods(), []string{"kinds.Kinds/Chat", "kinds.Kinds/Get"}; !slices.Equal(got, want) {
		t.Errorf("methods %v, want %v", got, want)
	}
	m, err := set.Find(context.Background(), Server{}, "kinds.Kinds", "Get")
	if err != nil || m.ClientStreaming || m.ServerStreaming {
		t.Errorf("found %+v, %v", m, err)
	}
	for _, unknown := range [][2]string{{"kinds.Kinds", "Put"}, {"kinds.All", "Get"}, {"nobody", "Get"}, {"", ""}} {
		if _, err := set.Find(context.Background(), Server{}, unknown[0], unknown[1]); !errors.Is(err, ErrUnknownMethod) {
			t.Errorf("%v: error %v, want ErrUnknownMethod", unknown, err)
		}
	}
}

func TestSourcesImportEachOther(t *testing.T) {
	orders := `syntax = "proto3"; package shop; import "shop/v1/item.proto"; import "google/protobuf/timestamp.proto"; import "kinds.proto";
		message Order { Item item = 1; google.protobuf.Timestamp at = 2; kinds.Node node = 3; } service Orders { rpc Get(Order) returns (Order); }`
	item := `syntax = "proto3"; package shop; message Item { int32 id = 1; }`
	for _, name := range []string{"shop/v1/item.proto", "descriptors/shop/v1/item.proto", "./shop/v1/item.proto", "/etc/sluice/shop/v1/item.proto"} {
		files, err := NewFiles(File{"all.binpb", setOf(t, testFiles(t))}, File{"descriptors/orders.proto", []byte(orders)}, File{name, []byte(item)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := files.Find(context.Background(), Server{}, "shop.Orders", "Get")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v, _, err := m.Input.Decode([]byte(sized(1, varint(1, 7))), codec.Limits{}); err != nil || v.(map[string]any)["item"].(map[string]any)["id"] != 7 {
			t.Errorf("%s: decoded %v, %v", name, v, err)
		}
	}
}

func TestFilesRefuseWhatIsWrong(t *testing.T) {
	source := func(text string) File { return File{"a.proto", []byte(text)} }
	for _, test := range []struct {
		name  string
		files []File
		want  string
	}{
		{"a syntax error", []File{source("syntax = \"proto3\";\nmessage A { int32 = 1; }")}, "a.proto:2:19: syntax error"},
		{"every error", []File{source("syntax = \"proto3\";\nmessage A { B b = 1;\n C c = 2; }")}, "a.proto:3:2:"},
		{"an unknown import", []File{source("syntax = \"proto3\";\nimport \"b.proto\";")}, "a.proto:2:8:"},
		{"garbage in a set", []File{{"x.binpb", []byte("\xff")}}, "read descriptor set x.binpb: "},
		{"an empty set", []File{{"x.binpb", nil}}, "read descriptor set x.binpb: no files in it"},
	} {
		_, err := NewFiles(test.files...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestCodecsAreSafeForConcurrentUse(t *testing.T) {
	files := testFiles(t)
	in := []byte(sized(34, sized(1, "x/kinds.Node")+sized(2, "\x10\x01")) + sized(17, "\x10\x01"))
	v, original, err := mustMessage(t, files, "kinds.All").Decode(in, codec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			m, err := files.Find(context.Background(), Server{}, "kinds.Kinds", "Get")
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := m.Input.Decode(in, codec.Limits{}); err != nil {
				t.Error(err)
			}
			edited := map[string]any{"any": v.(map[string]any)["any"], "node": map[string]any{"weight": 2}}
			if _, err := m.Input.Encode(original, edited); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
