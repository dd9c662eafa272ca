package websocket

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sender writes messages as a peer would, with the standard library's deflate.
type sender struct {
	masked  bool
	deflate *Deflate
	out     bytes.Buffer
	writer  *flate.Writer
}

func (s *sender) compress(message string) []byte {
	s.out.Reset()
	if s.writer == nil || s.deflate.NoContextTakeover {
		s.writer, _ = flate.NewWriter(&s.out, flate.BestCompression)
	}
	io.WriteString(s.writer, message)
	s.writer.Flush()
	return bytes.Clone(bytes.TrimSuffix(s.out.Bytes(), []byte("\x00\x00\xff\xff")))
}

// frames appends a message in parts, and between goes between them.
func (s *sender) frames(dst []byte, opcode Opcode, message string, compressed bool, cuts []int, between []byte) []byte {
	payload := []byte(message)
	if compressed {
		payload = s.compress(message)
	}
	h := header{opcode: opcode, rsv1: compressed, masked: s.masked, key: [4]byte{7, 0, 99, byte(len(message))}}
	for i := 0; ; i++ {
		part := payload
		if i < len(cuts) {
			part = payload[:min(cuts[i], len(payload))]
		}
		payload = payload[len(part):]
		h.fin, h.length = i >= len(cuts), int64(len(part))
		dst = appendHeader(dst, h)
		from := len(dst)
		dst = append(dst, part...)
		if h.masked {
			mask(dst[from:], h.key, 0)
		}
		if h.fin {
			return dst
		}
		dst = append(dst, between...)
		h.opcode, h.rsv1 = Continuation, false
	}
}

// said is what a receiver makes of frames: each message and each control frame.
func said(t interface{ Fatalf(string, ...any) }, frames []byte, masked bool, deflate *Deflate) []string {
	var out []string
	var window, content []byte
	var first header
	for len(frames) > 0 {
		h, n, err := parseHeader(frames)
		if err != nil || n == 0 || int64(len(frames)-n) < h.length {
			t.Fatalf("no frame at %.40q: %v", frames, err)
		}
		if h.masked != masked {
			t.Fatalf("masked: %v", h.masked)
		}
		payload := bytes.Clone(frames[n : n+int(h.length)])
		frames = frames[n+int(h.length):]
		if h.masked {
			for i := range payload {
				payload[i] ^= h.key[i%4]
			}
		}
		if h.opcode.control() {
			out = append(out, fmt.Sprintf("%d %s", h.opcode, payload))
			continue
		}
		if h.opcode != Continuation {
			first, content = h, nil
		}
		content = append(content, payload...)
		if !h.fin {
			continue
		}
		if first.rsv1 {
			if deflate.NoContextTakeover {
				window = nil
			}
			// A receiver has no more than the sender may refer to.
			if bits := deflate.WindowBits; bits > 0 && len(window) > 1<<bits {
				window = window[len(window)-1<<bits:]
			}
			r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(content), strings.NewReader(tail)), window)
			if content, err = io.ReadAll(r); err != nil {
				t.Fatalf("compressed wrongly: %v", err)
			}
			window = append(window, content...)
			if len(window) > maxWindow {
				window = window[len(window)-maxWindow:]
			}
		}
		out = append(out, fmt.Sprintf("%d %s", first.opcode, content))
	}
	return out
}

// edit is what the handler of these tests makes of a message.
func edit(data []byte, failed error) ([][]byte, bool, error) {
	switch s := string(data); {
	case strings.HasPrefix(s, "stop"):
		return nil, false, errStop
	case strings.HasPrefix(s, "drop"):
		return nil, true, nil
	case strings.HasPrefix(s, "two"):
		return [][]byte{[]byte("one of " + s), []byte("two of " + s)}, true, nil
	case strings.HasPrefix(s, "change"):
		return [][]byte{[]byte(strings.ToUpper(s))}, true, nil
	}
	return nil, false, nil
}

var errStop = errors.New("stop")

func passed(s *Stream, in []byte, pieces func(n int) int) (out []byte, err error) {
	for len(in) > 0 && err == nil {
		n := pieces(len(in))
		out, err = s.Append(out, in[:n])
		in = in[n:]
	}
	return out, err
}

// Whatever a peer sends in whatever parts and pieces, the other hears the same,
// but for what the handler changed; and the very bytes before it changes any.
func TestAllButWhatIsChangedArrivesAsItWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var deflate *Deflate
		if rapid.Bool().Draw(t, "deflates") {
			deflate = &Deflate{NoContextTakeover: rapid.Bool().Draw(t, "forgets")}
		}
		s := &sender{masked: rapid.Bool().Draw(t, "masked"), deflate: deflate}
		var in []byte
		var want []string
		changed, apart := false, true // apart: control frames stand between messages only
		words := rapid.SampledFrom([]string{"", "plain", "change this", "drop it", "two of them", strings.Repeat("plain and long ", 40)})
		for range rapid.IntRange(1, 12).Draw(t, "messages") {
			opcode := rapid.SampledFrom([]Opcode{Text, Text, Binary, Ping}).Draw(t, "opcode")
			word := words.Draw(t, "words")
			if opcode == Ping {
				in = s.frames(in, Ping, word[:min(len(word), 125)], false, nil, nil)
				want = append(want, fmt.Sprintf("%d %s", Ping, word[:min(len(word), 125)]))
				continue
			}
			var between []byte
			cuts := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 3).Draw(t, "cuts")
			if len(cuts) > 0 && rapid.Bool().Draw(t, "pings between") {
				between = s.frames(nil, Pong, "", false, nil, nil)
				apart = false
			}
			in = s.frames(in, opcode, word, deflate != nil && rapid.Bool().Draw(t, "compressed"), cuts, between)
			out, edited := [][]byte{[]byte(word)}, false
			if opcode == Text {
				if o, e, _ := edit([]byte(word), nil); e {
					out, edited = o, e
				}
			}
			changed = changed || edited
			for _, o := range out {
				want = append(want, fmt.Sprintf("%d %s", opcode, o))
			}
		}
		stream := New(Config{Deflate: deflate, Max: 1 << 20, Text: edit})
		got, err := passed(stream, in, func(n int) int { return rapid.IntRange(1, n).Draw(t, "piece") })
		if err != nil {
			t.Fatal(err)
		}
		if !changed && apart && !bytes.Equal(got, in) {
			t.Fatalf("got  %q\nwant %q", got, in)
		}
		heard := said(t, got, s.masked, deflate)
		if !apart {
			heard, want = messagesOf(heard), messagesOf(want)
		}
		if g, w := strings.Join(heard, "\n"), strings.Join(want, "\n"); g != w {
			t.Fatalf("got  %q\nwant %q", g, w)
		}
	})
}

func messagesOf(all []string) []string {
	var messages []string
	for _, m := range all {
		if strings.HasPrefix(m, "1 ") || strings.HasPrefix(m, "2 ") {
			messages = append(messages, m)
		}
	}
	return messages
}

// A receiver that keeps a small window can read what is compressed anew.
func TestTheReceiversWindowIsKept(t *testing.T) {
	deflate := &Deflate{WindowBits: 9}
	s := &sender{deflate: deflate}
	var in []byte
	var want []string
	for i := range 40 {
		word := fmt.Sprintf("change %d %s", i, strings.Repeat("long ago ", i))
		in = s.frames(in, Text, word, true, nil, nil)
		want = append(want, "1 "+strings.ToUpper(word))
	}
	got, err := passed(New(Config{Deflate: deflate, Max: 1 << 20, Text: edit}), in, func(n int) int { return n })
	if err != nil {
		t.Fatal(err)
	}
	if heard := said(t, got, false, deflate); strings.Join(heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", heard)
	}
}

func TestControlFramesPassWhileAMessageIsHeld(t *testing.T) {
	s := &sender{}
	ping := s.frames(nil, Ping, "now", false, nil, nil)
	in := s.frames(nil, Text, "hello", false, []int{2}, ping)
	got, err := New(Config{Max: 100, Text: edit}).Append(nil, in[:4+len(ping)])
	if err != nil || !bytes.Equal(got, ping) {
		t.Errorf("got %q, %v, want %q", got, err, ping)
	}
}

func TestWhatIsTooBigIsForTheHandlerToDecide(t *testing.T) {
	big := strings.Repeat("x", 200)
	for _, test := range []struct {
		name     string
		deflate  *Deflate
		messages []string // "z:": compressed
		want     []string
		shown    []string
		err      string
	}{
		{"plain", nil, []string{big, "change"}, []string{big, "CHANGE"}, []string{"a message is too big", "change"}, ""},
		{"compressed", &Deflate{}, []string{"z:" + big, "z:change", "change"}, []string{big, "change", "CHANGE"},
			[]string{"a message is too big", "a message refers to one that was too big", "change"}, ""},
		{"compressed each by itself", &Deflate{NoContextTakeover: true}, []string{"z:" + big, "z:change"}, []string{big, "CHANGE"},
			[]string{"a message is too big", "change"}, ""},
		{"after a change", &Deflate{}, []string{"z:change", "z:" + big}, []string{"CHANGE"}, []string{"change", "a message is too big"}, "a message is too big"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sender{deflate: test.deflate}
			var in []byte
			for _, m := range test.messages {
				word, compressed := strings.CutPrefix(m, "z:")
				in = s.frames(in, Text, word, compressed, nil, nil)
			}
			var shown []string
			stream := New(Config{Deflate: test.deflate, Max: 100, Text: func(data []byte, failed error) ([][]byte, bool, error) {
				if failed != nil {
					var e *Error
					if !errors.As(failed, &e) || e.Code != CloseTooBig {
						t.Errorf("got %v", failed)
					}
					shown = append(shown, e.Reason)
					return nil, false, nil
				}
				shown = append(shown, string(data))
				return edit(data, nil)
			}})
			out, err := passed(stream, in, func(n int) int { return min(n, 7) })
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got error %v, want %q", err, test.err)
			}
			var got []string
			for _, m := range said(t, out, false, test.deflate) {
				got = append(got, m[2:])
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) || fmt.Sprint(shown) != fmt.Sprint(test.shown) {
				t.Errorf("got %q, shown %q", got, shown)
			}
		})
	}
}

func TestABombIsNotInflated(t *testing.T) {
	s := &sender{deflate: &Deflate{}}
	in := s.frames(nil, Text, strings.Repeat("0", 50<<20), true, nil, nil)
	stream := New(Config{Deflate: s.deflate, Max: 1 << 20, Text: func(_ []byte, failed error) ([][]byte, bool, error) { return nil, false, failed }})
	if _, err := stream.Append(nil, in); !errors.Is(err, errTooBig) {
		t.Errorf("got %v", err)
	}
	if n := cap(stream.in.window); n > maxWindow {
		t.Errorf("keeps %d bytes", n)
	}
}

func TestViolations(t *testing.T) {
	for _, test := range []struct{ name, in string }{
		{"reserved bit", "\x91\x00"},
		{"compressed, but that was not agreed on", "\xc1\x00"},
		{"unknown opcode", "\x83\x00"},
		{"ping in parts", "\x09\x00"},
		{"long ping", "\x89\x7e\x00\x80"},
		{"long length for 125", "\x81\x7e\x00\x7d"},
		{"longer length for 65535", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff"},
		{"64 bits", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00"},
		{"none to continue", "\x80\x00"},
		{"a message within a message", "\x01\x00\x81\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, n := range []int{1, 100} {
				_, err := passed(New(Config{Max: 100, Text: edit}), []byte(test.in), func(left int) int { return min(n, left) })
				var violated *Error
				if !errors.As(err, &violated) || violated.Code != CloseProtocolError {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestTheHandlersErrorEndsTheStreamAfterWhatWentBefore(t *testing.T) {
	s := &sender{masked: true}
	before := s.frames(nil, Text, "fine", false, nil, nil)
	in := s.frames(bytes.Clone(before), Text, "stop here", false, nil, nil)
	got, err := New(Config{Max: 100, Text: edit}).Append(nil, in)
	if !errors.Is(err, errStop) || !bytes.Equal(got, before) {
		t.Errorf("got %q, %v", got, err)
	}
}

// RFC 6455, 5.7, and RFC 7692, 7.2.3.
func TestExamplesOfTheSpecifications(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"unmasked", "\x81\x05Hello", "Hello"},
		{"in parts", "\x01\x03Hel\x80\x02lo", "Hello"},
		{"compressed", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"in compressed parts", "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", "Hello"},
		{"twice, in the same window", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "HelloHello"},
		{"stored", "\xc1\x0b\x00\x05\x00\xfa\xffHello\x00", "Hello"},
		{"in two blocks", "\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			s := New(Config{Deflate: &Deflate{}, Max: 100, Text: func(data []byte, failed error) ([][]byte, bool, error) {
				got += string(data)
				return nil, false, failed
			}})
			out, err := s.Append(nil, []byte(test.in))
			if err != nil || got != test.want || string(out) != test.in {
				t.Errorf("got %q, %q, %v", got, out, err)
			}
		})
	}
	s := New(Config{Max: 100, Text: func(data []byte, failed error) ([][]byte, bool, error) { return [][]byte{data}, true, failed }})
	masked := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
	if out, err := s.Append(nil, []byte(masked)); err != nil || string(out) != masked {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestNegotiated(t *testing.T) {
	for _, test := range []struct{ extensions, want string }{
		{"", "<nil> <nil> true"},
		{"permessage-deflate", "&{false 0} &{false 0} true"},
		{`permessage-deflate; client_no_context_takeover; server_max_window_bits="10"`, "&{true 0} &{false 10} true"},
		{"permessage-deflate; server_no_context_takeover;client_max_window_bits=8", "&{false 8} &{true 0} true"},
		{"permessage-deflate; client_max_window_bits=7", "<nil> <nil> false"},
		{"permessage-deflate; client_max_window_bits", "<nil> <nil> false"},
		{"permessage-deflate; new", "<nil> <nil> false"},
		{"permessage-deflate, permessage-deflate", "<nil> <nil> false"},
		{"x-own", "<nil> <nil> false"},
	} {
		caller, upstream, ok := Negotiated([]string{test.extensions})
		if got := fmt.Sprint(caller, upstream, ok); got != test.want {
			t.Errorf("%s: got %s, want %s", test.extensions, got, test.want)
		}
	}
}

func TestAppendClose(t *testing.T) {
	if got := string(AppendClose(nil, ClosePolicyViolation, "no", true)); got != "\x88\x84\x00\x00\x00\x00\x03\xf0no" {
		t.Errorf("got %q", got)
	}
}

// FuzzStream: a stream that changes nothing lets through what came, or a part.
func FuzzStream(f *testing.F) {
	s := &sender{deflate: &Deflate{}}
	f.Add(s.frames(s.frames(nil, Text, "Hello", true, []int{2}, nil), Binary, "there", false, nil, nil), uint8(3))
	f.Add(s.frames(nil, Ping, "change", false, nil, nil), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		inControl := slices.ContainsFunc(in, func(b byte) bool { return b >= 0x88 && b <= 0x8a }) // may pass what is held
		stream := New(Config{Deflate: &Deflate{}, Max: 1 << 10, Text: func([]byte, error) ([][]byte, bool, error) { return nil, false, nil }})
		out, err := passed(stream, in, func(left int) int { return min(int(n)+1, left) })
		if err == nil {
			out = append(append(out, stream.held...), stream.begun...)
		}
		if !inControl && !bytes.HasPrefix(in, out) {
			t.Fatalf("%q became %q", in, out)
		}
		edited := New(Config{Deflate: &Deflate{}, Max: 1 << 10, Text: func(data []byte, failed error) ([][]byte, bool, error) {
			return [][]byte{data}, failed == nil, failed
		}})
		if _, err := edited.Append(nil, in); err != nil {
			var known *Error
			if !errors.As(err, &known) {
				t.Fatal(err)
			}
		}
	})
}
