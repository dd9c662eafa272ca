package proxy

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

const fuzzedFile = `
name: "a.proto" package: "a" syntax: "proto3"
message_type { name: "M" field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "name" } }
service { name: "B" method { name: "C" input_type: ".a.M" output_type: ".a.M" client_streaming: true server_streaming: true } }`

// stepped is what leaves of a body that is sent to a method, through the steps of
// a rule.
func stepped(t *testing.T, methods protobuf.Source, set *rules.Set, media string, sent io.Reader) ([]byte, error) {
	live := new(rules.Live)
	live.Swap(set)
	p := &Proxy{Config: Config{Rules: live, Methods: methods}.withDefaults()}
	head := &rules.Head{Method: "POST", Path: "/a.B/C", Fields: rules.Fields{{Name: "Content-Type", Value: media}, {Name: "Grpc-Encoding", Value: "gzip"}}}
	x := &exchange{p: p, c: &conn{p: p, listener: &Listener{Upstream: "x:1"}}, set: live.Load(), cancel: func(error) {}}
	x.ctx = context.Background()
	x.kind = callKindOf(head, HTTP1)
	x.asked = x.c.call(head, x.kind)
	x.record.Call = &x.asked
	x.route = set.Routes()[0]
	x.request.in, x.request.out = head, head
	x.request.body.x, x.request.body.stream, x.request.body.size = x, io.NopCloser(sent), -1
	if err := x.readRequest(); err != nil {
		t.Fatal(err)
	}
	if err := x.transformRequest(); err != nil {
		return nil, err
	}
	out, _ := x.request.body.outgoing()
	return io.ReadAll(out)
}

// FuzzWebBodies: what steps leave equal leaves as it came, whatever it is, and
// what they change is the same however it comes.
func FuzzWebBodies(f *testing.F) {
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(fuzzedFile), &file); err != nil {
		f.Fatal(err)
	}
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{&file}})
	if err != nil {
		f.Fatal(err)
	}
	methods, err := protobuf.NewFiles(protobuf.File{Name: "a.binpb", Data: data})
	if err != nil {
		f.Fatal(err)
	}
	compiled := func(text string) *rules.Set {
		set, problems := rules.Compile([]rules.File{{Name: "rules/r.yaml", Text: []byte("match: {grpc: a.B/C}\nlimits: {message: 1KiB}\n" + text)}})
		if set == nil {
			f.Fatalf("%+v", problems)
		}
		return set
	}
	same := compiled("on_error: pass\nrequest: [{jq: '[.][0]'}]\n")
	edits := compiled("on_error: pass\nrequest: [{jq: 'if .name == \"drop\" then empty else .name += \"!\" end'}]\n")
	media := []string{"application/grpc-web", "application/grpc-web-text", "application/connect+proto", "application/connect+json"}
	for i := range media {
		b := stream.AppendEnvelope(stream.AppendEnvelope(nil, 0, []byte("\x0a\x03old\x98\x06\x07")), 0, []byte("\x0a\x04drop"))
		f.Add(stream.AppendEnvelope(b, 0, []byte(`{"name":"x"}`)), uint8(i))
	}
	f.Add([]byte("AAAAAAMKAW8=AAAAAAA=AAAAAAAAAAAAAA"), uint8(1))
	f.Add([]byte("\x01\x00\x00\x00\x01x\x80\x00\x00\x00\x00\x02\x00\x00\x00\x02{}\x00\xff\x00\x00\x00"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		if len(b) > 20_000 {
			return
		}
		media := media[int(which)%len(media)]
		got, err := stepped(t, methods, same, media, bytes.NewReader(b))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%s: %q left as %q, %v", media, b, got, err)
		}
		whole, err := stepped(t, methods, edits, media, bytes.NewReader(b))
		slowly, err2 := stepped(t, methods, edits, media, iotest.OneByteReader(bytes.NewReader(b)))
		if err != nil || err2 != nil || !bytes.Equal(whole, slowly) {
			t.Fatalf("%s: %q became %q, %v; byte by byte %q, %v", media, b, whole, err, slowly, err2)
		}
	})
}
