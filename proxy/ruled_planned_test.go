package proxy_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-proxy/sluice/codec/protobuf"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// itemsFromFile is the Items service by a descriptor file, which is known at once.
func itemsFromFile(t *testing.T) option {
	t.Helper()
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
	return func(c *proxy.Config) { c.Methods = files }
}

// framed is a gRPC message of an Item with that name.
func framed(name string) []byte {
	message := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// planTalk is one call between a caller and an upstream that both speak frames.
type planTalk struct {
	*rawTalk
	up     *rawEnd
	stream uint32
}

// ask begins the call.
func (p *planTalk) ask(more ...string) {
	fields := append(postFields(get), "content-type", "application/grpc", "te", "trailers")
	p.caller.head(p.stream, false, append(fields, more...)...)
}

// say sends content of the request.
func (p *planTalk) say(end bool, data []byte) { p.caller.WriteData(p.stream, end, data) }

// reply begins the response.
func (p *planTalk) reply(end bool, more ...string) {
	p.up.head(p.stream, end, append([]string{":status", "200", "content-type", "application/grpc"}, more...)...)
}

func (p *planTalk) tell(end bool, data []byte) { p.up.WriteData(p.stream, end, data) }

// end ends the response.
func (p *planTalk) end(fields ...string) {
	p.up.head(p.stream, true, append([]string{"grpc-status", "0"}, fields...)...)
}

// untilEnd is what comes on a stream until its end, however it is cut.
func (e *rawEnd) untilEnd(stream uint32) string {
	var all strings.Builder
	var data []byte
	flush := func() {
		if len(data) > 0 {
			fmt.Fprintf(&all, "%q\n", data)
		}
		data = nil
	}
	for {
		e.conn.SetReadDeadline(time.Now().Add(testbed.Patience))
		f, err := e.ReadFrame()
		if err != nil {
			flush()
			return all.String() + "gone"
		}
		if f.Header().StreamID != stream {
			continue
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			data = append(data, f.Data()...)
			if f.StreamEnded() {
				flush()
				return all.String() + "end"
			}
		case *http2.MetaHeadersFrame:
			flush()
			all.WriteString(e.describe(f) + "\n")
			if f.StreamEnded() {
				return all.String()
			}
		case *http2.RSTStreamFrame:
			flush()
			return all.String() + e.describe(f)
		}
	}
}

// What a plan edits in the goroutine that reads is, for both ends and for observers,
// what a goroutine of the call's own makes of it.
func TestCallsThatPlansEditAreLikeAnyOther(t *testing.T) {
	testbed.Leaks(t)
	steps := map[string]string{
		"request":  "request: [{jq: '.name += \"?\"'}]\n",
		"response": "response: [{jq: '.name += \"!\"'}]\n",
		"both":     "request: [{jq: '.name += \"?\"'}]\nresponse: [{jq: '.name += \"!\"'}]\n",
		"rejects": "request: [{when: '.name == \"no\"', reject: {grpc: NOT_FOUND}}, {jq: '.name |= sub(\"x\"; \"y\")'}]\n" +
			"response: [{when: '.name == \"no\"', reject: {grpc: DATA_LOSS}}, {jq: del(.big)}]\n",
		"passes": "on_error: pass\nrequest: [{jq: .raw.x = 1}]\nresponse: [{when: '.name == \"a\"', jq: .name = 1}]\n",
	}
	big := framed(strings.Repeat("b", 40_000))
	zipped := append([]byte{1, 0, 0, 0, 3}, "abc"...)
	calls := map[string]struct{ ask, reply func(p *planTalk) }{
		"usual": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.end("x-t", "1")
		}},
		"no": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("no"))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("no"))
			p.end()
		}},
		"cut": {func(p *planTalk) {
			a := framed("aaa")
			p.ask()
			p.say(false, a[:3])
			p.say(false, a[3:7])
			p.say(true, a[7:])
		}, func(p *planTalk) {
			p.reply(false, "x-h", "1")
			b := framed("bbb")
			p.tell(false, b[:5])
			p.tell(false, b[5:])
			p.end()
		}},
		"ends apart": {func(p *planTalk) {
			p.ask()
			p.say(false, framed("a"))
			p.say(true, nil)
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.tell(false, nil)
			p.end()
		}},
		"no message": {func(p *planTalk) {
			p.ask()
			p.say(true, nil)
		}, func(p *planTalk) {
			p.reply(false)
			p.end()
		}},
		"request trailers": {func(p *planTalk) {
			p.ask()
			p.say(false, framed("a"))
			p.caller.head(p.stream, true, "x-r", "1")
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.end()
		}},
		"two messages": {func(p *planTalk) {
			p.ask()
			p.say(true, append(framed("a"), framed("c")...))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.tell(false, framed("d"))
			p.end()
		}},
		"large": {func(p *planTalk) {
			p.ask()
			for b := big; len(b) > 0; b = b[min(len(b), 16<<10):] {
				p.say(len(b) <= 16<<10, b[:min(len(b), 16<<10)])
			}
		}, func(p *planTalk) {
			p.reply(false)
			for b := big; len(b) > 0; b = b[min(len(b), 16<<10):] {
				p.tell(false, b[:min(len(b), 16<<10)])
			}
			p.end()
		}},
		"compressed": {func(p *planTalk) {
			p.ask("grpc-encoding", "gzip", "grpc-accept-encoding", "gzip")
			p.say(true, zipped)
		}, func(p *planTalk) {
			p.reply(true, "grpc-status", "3")
		}},
		"accepts the unknown": {func(p *planTalk) {
			p.ask("grpc-accept-encoding", "gzip,strange", "grpc-timeout", "10S", "x-b-bin", "AAA")
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(true, "grpc-status", "5", "grpc-message", "none")
		}},
		"garbage": {func(p *planTalk) {
			p.ask()
			p.say(true, []byte{0, 0, 0, 0, 2, 0xff, 0xff})
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, []byte{0, 0, 0, 0, 2, 0xff, 0xff})
			p.end()
		}},
		"trailers only": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(true, "grpc-status", "7", "grpc-message", "no")
		}},
		"fails after a message": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.up.head(p.stream, true, "grpc-status", "13", "grpc-message", "late")
		}},
		"no trailers": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(true, framed("b"))
		}},
		"interim": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.up.head(p.stream, false, ":status", "103", "link", "x")
			p.reply(false)
			p.tell(false, framed("b"))
			p.end()
		}},
		"no gRPC": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.up.head(p.stream, false, ":status", "503", "content-type", "text/html")
			p.tell(true, []byte("<html>"))
		}},
		"no gRPC at all": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.up.head(p.stream, true, ":status", "404")
		}},
		"reset at once": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.up.WriteRSTStream(p.stream, http2.ErrCodeEnhanceYourCalm)
		}},
		"reset after the head": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(false)
			p.up.WriteRSTStream(p.stream, http2.ErrCodeCancel)
		}},
		"reset after a message": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.reply(false)
			p.tell(false, framed("b"))
			p.up.WriteRSTStream(p.stream, http2.ErrCodeInternal)
		}},
		"cancelled": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.caller.WriteRSTStream(p.stream, http2.ErrCodeCancel)
			if got := p.up.untilEnd(p.stream); got != "RST_STREAM 3 CANCEL" {
				p.t.Errorf("the upstream was told %s", got)
			}
			p.caller.conn.CloseWrite()
		}},
		"gone at once": {func(p *planTalk) {
			p.ask()
			p.say(true, framed("a"))
		}, func(p *planTalk) {
			p.up.conn.Close()
		}},
	}
	for which, text := range steps {
		for name, call := range calls {
			t.Run(which+"/"+name, func(t *testing.T) {
				var told [2]string
				for i, also := range []string{"]\n", ", {head: .}]\n"} {
					rule := "route: r\nmatch: {grpc: test.v1.Items/Get}\n" + strings.ReplaceAll(text, "]\n", also)
					told[i] = planCall(t, rule, call.ask, call.reply)
				}
				if told[0] != told[1] {
					t.Errorf("got\n%s\nby a goroutine of its own\n%s", told[0], told[1])
				}
			})
		}
	}
}

// planCall is what the ends of a call and observers see of it. One like it goes
// before, so that all is known that has to be asked.
func planCall(t *testing.T, rule string, ask, reply func(*planTalk)) string {
	t.Helper()
	p := &planTalk{rawTalk: startTalkWith(t, []string{rule}, []option{itemsFromFile(t)}), stream: 1}
	p.ask("x-warm", "1")
	p.say(true, framed("w"))
	p.up = p.upstream()
	for !strings.HasPrefix(p.up.next(), "DATA 1 end") {
	}
	p.reply(true, "grpc-status", "0")
	for !strings.HasPrefix(p.caller.next(), "HEADERS 1 end") {
	}
	p.stream = 3
	asked, answered := make(chan string, 1), make(chan string, 1)
	ask(p)
	go func() { asked <- p.up.untilEnd(p.stream) }()
	go func() { answered <- p.caller.untilEnd(p.stream) }()
	heard, answer := "nothing", ""
	select {
	case heard = <-asked:
		if strings.Contains(heard, "RST_STREAM") {
			heard = "nothing" // that is whole
			break
		}
		reply(p)
	case answer = <-answered:
	}
	if answer == "" {
		answer = within(t, "answer", answered)
	}
	r := await(p.sidecar, func(r *proxy.Record) bool { return r.Call.Head.Path == get && !r.Call.Head.Fields.Has("x-warm") })
	var steps strings.Builder
	for _, half := range []*proxy.Half{&r.Request, &r.Response} {
		for _, s := range half.Steps {
			if !strings.HasSuffix(s.Step, "head") {
				fmt.Fprintf(&steps, " %s %d", s.Result, s.Count)
			}
		}
		fmt.Fprintf(&steps, "; %q %d, edited %v %q %d, %d messages, trailers %v, in %v\n", half.Body.Bytes, half.Body.Size, half.Edited, half.Sent.Bytes, half.Sent.Size, half.MessageCount, half.Trailers, half.In)
	}
	return fmt.Sprintf("%s\nanswered\n%s\nrecord: route %s, status %d %s, %d attempts, answered %q, error %v\n%s",
		heard, answer, r.Route, r.Status, r.GRPCStatus, r.Attempts, r.Answered, r.Error, &steps)
}
