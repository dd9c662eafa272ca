package http2

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHeadsComeAsTheyWere relays heads of which many come again, while both
// peers change their tables, and looks at what arrives.
func TestHeadsComeAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		toCaller, toUpstream := new(sink), new(sink)
		r := newPlain(toCaller, toUpstream)
		toUpstream.b = toUpstream.b[len(Preface):]
		caller, upstream := newTalker(r.caller, toCaller), newTalker(r.upstream, toUpstream)
		caller.say(t, AppendSettings(nil))
		upstream.say(t, AppendSettings(nil))
		caller.hear(t)
		upstream.hear(t)
		for id := uint32(1); id < 60; id += 2 {
			for _, each := range []*talker{caller, upstream} {
				if rapid.IntRange(0, 9).Draw(t, "settings") == 0 {
					size := rapid.SampledFrom([]uint32{0, 60, 200, 4096}).Draw(t, "size")
					each.say(t, AppendSettings(nil, Setting{SettingHeaderTableSize, size}))
					caller.hear(t)
					upstream.hear(t)
				}
			}
			request := append([]Field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}}, someFields(t)...)
			caller.say(t, caller.enc.AppendHead(nil, id, request, true, DefaultMaxFrame))
			upstream.expect(t, request)
			answer := append([]Field{{Name: ":status", Value: rapid.SampledFrom([]string{"200", "404"}).Draw(t, "status")}}, someFields(t)...)
			trailers := append(someFields(t), Field{Name: "grpc-status", Value: "0"})
			upstream.say(t, upstream.enc.AppendHead(upstream.enc.AppendHead(nil, id, answer, false, DefaultMaxFrame), id, trailers, true, DefaultMaxFrame))
			caller.expect(t, answer, trailers)
		}
	})
}

func someFields(t *rapid.T) []Field {
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "content-type", "x-long-name-of-a-field"}), 0, 4).Draw(t, "names")
	var fields []Field
	for _, name := range names {
		fields = append(fields, Field{
			Name: name, Value: rapid.SampledFrom([]string{"", "1", "application/grpc", "another value, which is longer"}).Draw(t, "value"),
			Sensitive: rapid.IntRange(0, 15).Draw(t, "sensitive") == 0,
		})
	}
	return fields
}

// talker is a peer that encodes and decodes heads.
type talker struct {
	hop   *Hop
	in    *sink
	enc   *Encoder
	dec   *Decoder
	heads [][]Field
}

func newTalker(hop *Hop, in *sink) *talker {
	return &talker{hop: hop, in: in, enc: NewEncoder(), dec: NewDecoder()}
}

func (k *talker) say(t *rapid.T, b []byte) {
	if n, err := k.hop.walk(b); err != nil || n != len(b) {
		t.Fatalf("%d of %d bytes: %v", n, len(b), err)
	}
	k.hop.link.Flush()
}

// hear takes in what came.
func (k *talker) hear(t *rapid.T) {
	for len(k.in.b) > 0 {
		f, n := Parse(k.in.b)
		if f.Type == FrameHeaders {
			fields, err := k.dec.Decode(f.Fragment())
			if err != nil {
				t.Fatal(err)
			}
			k.heads = append(k.heads, slices.Clone(fields))
		}
		k.in.b = k.in.b[n:]
	}
}

func (k *talker) expect(t *rapid.T, want ...[]Field) {
	k.hear(t)
	if len(k.heads) != len(want) {
		t.Fatalf("%d heads came, want %d", len(k.heads), len(want))
	}
	for i := range want {
		if !slices.Equal(k.heads[i], want[i]) {
			t.Fatalf("got %v\nwant %v", k.heads[i], want[i])
		}
	}
	k.heads = nil
}
