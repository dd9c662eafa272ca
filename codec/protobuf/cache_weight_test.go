package protobuf

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec"
)

// 10 MiB that a server says may not become gigabytes here.
func TestDescriptorsCostLittleMoreThanTheirBytes(t *testing.T) {
	const size = 10 << 20
	deep := ""
	for range 1000 {
		deep = sized(3, deep) // nested_type
	}
	for name, data := range map[string][]byte{
		"empty messages":  bytes.Repeat([]byte{0x22, 0}, size/2),
		"empty imports":   bytes.Repeat([]byte{0x1a, 0}, size/2),
		"public imports":  bytes.Repeat([]byte{0x50, 0}, size/2),
		"unknown fields":  bytes.Repeat([]byte{0xf8, 0x7f, 0}, size/3),
		"open groups":     bytes.Repeat([]byte{0xfb, 0x7f}, size/2),
		"deep messages":   []byte(sized(4, deep)),
		"locations":       bytes.Repeat([]byte{0x4a, 2, 0x0a, 0}, size/4),
		"noise":           bytes.Repeat([]byte{0xff}, size),
		"a length beyond": {0x22, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		left := maxElements
		_, _, err := readDescriptor(data, &left)
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc-before.TotalAlloc) - 8*len(data); n > 1<<20 {
			t.Errorf("%s: %d bytes cost %d more than eight times theirs", name, len(data), n)
		}
		if bad := name != "unknown fields" && name != "locations"; bad != (errors.Is(err, errTooMuch) || errors.Is(err, errDescriptor)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDescriptorsLoseOnlyTheirSourceInfo(t *testing.T) {
	var all []*descriptorpb.FileDescriptorProto
	for _, name := range []string{"google/protobuf/descriptor.proto", "kinds.proto", "old.proto"} {
		set := descriptors{"x": {Name: proto.String("x"), Dependency: []string{name}}}
		if set.addStandard(); set[name] != nil {
			all = append(all, set[name])
			continue
		}
		f, err := testFiles(t).schema.files.FindFileByPath(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, protodesc.ToFileDescriptorProto(f))
	}
	for _, want := range all {
		want.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{LeadingComments: proto.String("long")}}}
		data, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		left := maxElements
		got, slim, err := readDescriptor(data, &left)
		want.SourceCodeInfo = nil
		if err != nil || !proto.Equal(got, want) || bytes.Contains(slim, []byte("long")) || left < maxElements-2000 {
			t.Errorf("%s: %v, %d elements, got %v", want.GetName(), err, maxElements-left, got)
		}
	}
}

// Two versions behind one address describe themselves in turn: what the other
// one means is kept as it is, and never read as something else.
func TestTwoVersionsBehindOneAddressReadNothingWrongly(t *testing.T) {
	versions := map[string]string{
		"old": `int64 id = 1; string note = 2; int64 count = 4;`,
		"new": `int64 id = 1; int64 note_id = 2; string secret = 3; repeated int64 counts = 4;`,
	}
	synctest.Test(t, func(t *testing.T) {
		for name, fields := range versions {
			files, err := NewFiles(File{"shop.proto", []byte(`syntax = "proto3"; package shop; message Order {` + fields + `} service Orders { rpc Get(Order) returns (Order); }`)})
			if err != nil {
				t.Fatal(err)
			}
			store := &memory{records: make(map[string][]byte)}
			life(store, func(r *Reflection) { _, _ = find(t, r, sameKey(serve(t, v1(files))), "Get") })
			life(store, func(r *Reflection) { // and after a restart
				m, err := r.Find(t.Context(), sameKey(outOfOrder(t)["absent"]).Server, "shop.Orders", "Get")
				if err != nil {
					t.Fatal(err)
				}
				for by, rest := range map[string]string{
					"old": sized(2, "hello") + "\x20\x05",
					"new": "\x10\x07" + sized(3, "secret") + sized(4, "\x05\x06"),
				} {
					v, original, err := m.Input.Decode([]byte("\x08\x01"+rest), codec.Limits{})
					if err != nil {
						t.Fatalf("%s reads %s: %v", name, by, err)
					}
					edited := make(map[string]any)
					for k, each := range v.(map[string]any) {
						if edited[k] = each; by != name && (k == "note" && each != "" || k == "note_id" && each != "0" && each != 0) {
							t.Errorf("%s reads %s: %v", name, by, v)
						}
					}
					edited["id"] = 2
					out, err := m.Input.Encode(original, edited)
					if want := "\x08\x02" + rest; err != nil || string(out) != want {
						t.Errorf("%s edits %s: got %q, %v, want %q", name, by, out, err, want)
					}
				}
			})
		}
	})
}
