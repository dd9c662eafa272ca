package http2

import "testing"

// FuzzHop relays what two hostile peers say, one after the other. Nothing may
// panic, what leaves must be frames, and what is held must stay within what was
// granted.
func FuzzHop(f *testing.F) {
	head := NewEncoder().AppendHead(nil, 1, []Field{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}}, false, DefaultMaxFrame)
	answer := NewEncoder().AppendHead(nil, 1, []Field{{Name: ":status", Value: "200"}}, false, DefaultMaxFrame)
	f.Add(AppendData(head, 1, true, []byte("x")), AppendData(answer, 1, true, []byte("y")))
	f.Add(AppendRSTStream(head, 1, Cancel), AppendWindowUpdate(nil, 0, MaxWindow))
	f.Add(AppendSettings(head, Setting{SettingInitialWindowSize, 0}), AppendGoAway(answer, 0, NoError, "x"))
	f.Add(AppendData(head, 1, false, make([]byte, 16384)), AppendSettings(nil, Setting{SettingInitialWindowSize, 1}, Setting{SettingMaxConcurrentStreams, 0}))
	f.Fuzz(func(t *testing.T, caller, upstream []byte) {
		toCaller, toUpstream := new(sink), new(sink)
		r := newPlain(toCaller, toUpstream)
		for _, side := range []struct {
			hop  *Hop
			said []byte
		}{{r.caller, caller}, {r.upstream, upstream}, {r.caller, caller}} {
			if _, err := side.hop.walk(append(AppendSettings(nil), side.said...)); err != nil {
				break
			}
			r.link.Flush()
		}
		for _, s := range []*sink{toCaller, toUpstream} {
			wholeFrames(t, s.b)
		}
		for _, h := range []*Hop{r.caller, r.upstream} {
			if held := h.granted.held(); held < 0 || held > connGrant {
				t.Fatalf("%d bytes are held", held)
			}
		}
	})
}

func wholeFrames(t *testing.T, b []byte) {
	var check Checker
	if len(b) >= len(Preface) && string(b[:len(Preface)]) == Preface {
		b = b[len(Preface):]
	}
	for len(b) > 0 {
		f, n := Parse(b)
		if n == 0 || n > len(b) {
			t.Fatalf("a part of a frame is left: %x", b)
		}
		if err := check.Check(&f); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
}
