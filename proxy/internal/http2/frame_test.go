package http2

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

// raw is a frame as bytes.
func raw(kind FrameType, flags Flags, stream uint32, payload ...byte) []byte {
	return append(AppendHeader(nil, Header{uint32(len(payload)), kind, flags, stream}), payload...)
}

func TestParseTellsWhatIsMissing(t *testing.T) {
	whole := AppendData(nil, 5, true, []byte("hello"))
	for i := range len(whole) + 3 {
		b := append(bytes.Clone(whole), "xyz"...)[:i]
		f, n := Parse(b)
		switch {
		case i < HeaderLen && n != 0:
			t.Errorf("%d bytes: n is %d", i, n)
		case i >= HeaderLen && (n != len(whole) || f.Stream != 5 || f.Length != 5 || !f.EndsStream() || string(f.Payload) != "hello"[:min(5, i-HeaderLen)]):
			t.Errorf("%d bytes: got %d %+v", i, n, f)
		}
	}
}

func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		frames []byte
		want   string // of the last frame; "" for none
	}{
		"data of no stream":                  {raw(FrameData, 0, 0), "PROTOCOL_ERROR"},
		"data with padding only":             {raw(FrameData, FlagPadded, 1, 2, 0, 0), ""},
		"data with too much padding":         {raw(FrameData, FlagPadded, 1, 3, 0, 0), "PROTOCOL_ERROR"},
		"data with nothing of its padding":   {raw(FrameData, FlagPadded, 1), "FRAME_SIZE_ERROR"},
		"headers of no stream":               {raw(FrameHeaders, FlagEndHeaders, 0), "PROTOCOL_ERROR"},
		"headers with a short priority":      {raw(FrameHeaders, FlagEndHeaders|FlagPriority, 1, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"headers with a priority":            {raw(FrameHeaders, FlagEndHeaders|FlagPriority, 1, 0, 0, 0, 0, 1), ""},
		"headers padded into their priority": {raw(FrameHeaders, FlagEndHeaders|FlagPriority|FlagPadded, 1, 1, 0, 0, 0, 0, 1), "PROTOCOL_ERROR"},
		"priority of 4 bytes":                {raw(FramePriority, 0, 3, 0, 0, 0, 0), "stream 3: FRAME_SIZE_ERROR"},
		"reset of 5 bytes":                   {raw(FrameRSTStream, 0, 1, 0, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"reset of no stream":                 {AppendRSTStream(nil, 0, Cancel), "PROTOCOL_ERROR"},
		"settings of 5 bytes":                {raw(FrameSettings, 0, 0, 0, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"acknowledged settings":              {raw(FrameSettings, FlagAck, 0, 0, 0, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"settings of a stream":               {raw(FrameSettings, 0, 1), "PROTOCOL_ERROR"},
		"a push setting of 2":                {AppendSettings(nil, Setting{SettingEnablePush, 2}), "PROTOCOL_ERROR"},
		"a window of 2^31":                   {AppendSettings(nil, Setting{SettingInitialWindowSize, 1 << 31}), "FLOW_CONTROL_ERROR"},
		"a frame size of 16383":              {AppendSettings(nil, Setting{SettingMaxFrameSize, 16383}), "PROTOCOL_ERROR"},
		"a frame size of 2^24":               {AppendSettings(nil, Setting{SettingMaxFrameSize, 1 << 24}), "PROTOCOL_ERROR"},
		"an unknown setting":                 {AppendSettings(nil, Setting{0x99, 1 << 31}), ""},
		"ping of a stream":                   {raw(FramePing, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), "PROTOCOL_ERROR"},
		"ping of 9 bytes":                    {raw(FramePing, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"goaway of 7 bytes":                  {raw(FrameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"goaway with a reason":               {AppendGoAway(nil, 1, Cancel, "because"), ""},
		"a window update of 0":               {AppendWindowUpdate(nil, 0, 0), "PROTOCOL_ERROR"},
		"a stream's window update of 0":      {AppendWindowUpdate(nil, 7, 1<<31), "stream 7: PROTOCOL_ERROR"},
		"window update of 5 bytes":           {raw(FrameWindowUpdate, 0, 0, 0, 0, 0, 0, 1), "FRAME_SIZE_ERROR"},
		"a stray continuation":               {raw(FrameContinuation, FlagEndHeaders, 1), "PROTOCOL_ERROR"},
		"a continued block":                  {append(raw(FrameHeaders, 0, 1), raw(FrameContinuation, FlagEndHeaders, 1)...), ""},
		"another stream's continuation":      {append(raw(FrameHeaders, 0, 1), raw(FrameContinuation, FlagEndHeaders, 3)...), "PROTOCOL_ERROR"},
		"data in a block":                    {append(raw(FrameHeaders, 0, 1), raw(FrameData, 0, 1)...), "PROTOCOL_ERROR"},
		"an unknown frame in a block":        {append(raw(FrameHeaders, 0, 1), raw(0xfa, 0, 1)...), "PROTOCOL_ERROR"},
		"a block that was ended":             {append(raw(FrameHeaders, FlagEndHeaders, 1), raw(FrameContinuation, 0, 1)...), "PROTOCOL_ERROR"},
		"a push without its stream":          {raw(FramePushPromise, FlagEndHeaders, 1, 0, 0, 0), "FRAME_SIZE_ERROR"},
		"a push":                             {raw(FramePushPromise, FlagEndHeaders, 1, 0, 0, 0, 2), ""},
		"an unknown frame":                   {raw(0xfa, 0xff, 9, 1, 2, 3), ""},
		"16 continuations":                   {append(raw(FrameHeaders, 0, 1), bytes.Repeat(raw(FrameContinuation, 0, 1, 0), 16)...), ""},
		"17 continuations":                   {append(raw(FrameHeaders, 0, 1), bytes.Repeat(raw(FrameContinuation, 0, 1, 0), 17)...), "ENHANCE_YOUR_CALM"},
		"a frame over 16 KiB":                {raw(FrameData, 0, 1, make([]byte, DefaultMaxFrame+1)...), "FRAME_SIZE_ERROR"},
		"a block of 60 KiB":                  {append(raw(FrameHeaders, 0, 1), bytes.Repeat(raw(FrameContinuation, 0, 1, make([]byte, 15<<10)...), 4)...), ""},
		"a block over 60 KiB":                {append(raw(FrameHeaders, 0, 1, 0), bytes.Repeat(raw(FrameContinuation, 0, 1, make([]byte, 15<<10)...), 4)...), "ENHANCE_YOUR_CALM"},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkAll(new(Checker), c.frames)
			if c.want == "" && got != nil || c.want != "" && (got == nil || !strings.HasPrefix(got.Error(), c.want+":")) {
				t.Errorf("got %v, want %q", got, c.want)
			}
		})
	}
}

// checkAll checks frames one after the other, up to the first error.
func checkAll(c *Checker, b []byte) error {
	for {
		f, n := Parse(b)
		if n == 0 || n > len(b) {
			return nil
		}
		b = b[n:]
		if err := c.Check(&f); err != nil {
			return err
		}
	}
}

func TestLookingAtFramesAllocatesNothing(t *testing.T) {
	b := AppendData(nil, 1, false, make([]byte, 100))
	b = AppendPing(AppendWindowUpdate(b, 1, 5), false, make([]byte, 8))
	b = AppendSettings(b, Setting{SettingInitialWindowSize, 5})
	c := new(Checker)
	if n := testing.AllocsPerRun(100, func() {
		if err := checkAll(c, b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFrames: what we accept golang.org/x/net/http2 accepts in the same sense.
func FuzzFrames(f *testing.F) {
	f.Add(AppendGoAway(AppendSettings(AppendData(nil, 1, true, []byte("x")), Setting{SettingMaxFrameSize, 1 << 20}), 3, Cancel, "why"))
	f.Add(append(raw(FrameHeaders, FlagPadded|FlagPriority, 1, 2, 0x80, 0, 0, 3, 9, 0x82, 0, 0), raw(FrameContinuation, FlagEndHeaders, 1, 0x86)...))
	f.Add(append(raw(FramePushPromise, FlagPadded|FlagEndHeaders, 1, 1, 0, 0, 0, 2, 0x82, 0), AppendRSTStream(nil, 2, Cancel)...))
	f.Add(AppendPing(AppendWindowUpdate(nil, 3, 7), true, []byte("12345678")))
	f.Fuzz(func(t *testing.T, b []byte) {
		oracle := xhttp2.NewFramer(nil, bytes.NewReader(b))
		oracle.SetMaxReadFrameSize(DefaultMaxFrame)
		c := new(Checker)
		for len(b) > 0 {
			fr, n := Parse(b)
			if n == 0 || n > len(b) {
				return
			}
			b = b[n:]
			ours := c.Check(&fr)
			var e *Error
			if errors.As(ours, &e) && e.Stream == 0 {
				return
			}
			if fr.Type == 0x10 {
				return // PRIORITY_UPDATE is one more unknown frame to us
			}
			theirs, err := oracle.ReadFrame()
			if (ours == nil) != (err == nil) {
				if fr.Type == FramePriority && ours != nil {
					return // they take its size for the connection's matter or none
				}
				t.Fatalf("frame %+v: we say %v, they say %v", fr, ours, err)
			}
			if ours != nil {
				var se xhttp2.StreamError
				if !errors.As(err, &se) && fr.Type != FramePriority {
					t.Fatalf("frame %+v: we say %v, they say %v", fr, ours, err)
				}
				if fr.Type == FramePriority {
					return
				}
				continue
			}
			sameSense(t, &fr, theirs)
			if fr.Type == FramePushPromise && fr.Flags&FlagEndHeaders == 0 {
				return // they know no CONTINUATION of it, which RFC 9113, 6.10 allows
			}
		}
	})
}

// sameSense compares what a frame means to both.
func sameSense(t *testing.T, f *Frame, theirs xhttp2.Frame) {
	t.Helper()
	h := theirs.Header()
	if uint8(h.Type) != uint8(f.Type) || uint8(h.Flags) != uint8(f.Flags) || h.Length != f.Length || h.StreamID != f.Stream {
		t.Fatalf("header: ours %+v, theirs %+v", f.Header, h)
	}
	same := true
	switch g := theirs.(type) {
	case *xhttp2.DataFrame:
		same = bytes.Equal(g.Data(), f.Data()) && f.PadLen() == len(f.Payload)-len(g.Data()) && g.StreamEnded() == f.EndsStream()
	case *xhttp2.HeadersFrame:
		same = bytes.Equal(g.HeaderBlockFragment(), f.Fragment()) && g.StreamEnded() == f.EndsStream()
	case *xhttp2.ContinuationFrame:
		same = bytes.Equal(g.HeaderBlockFragment(), f.Fragment())
	case *xhttp2.PushPromiseFrame:
		same = bytes.Equal(g.HeaderBlockFragment(), f.Fragment()) && g.PromiseID == f.Promised()
	case *xhttp2.RSTStreamFrame:
		same = uint32(g.ErrCode) == uint32(f.ErrCode())
	case *xhttp2.GoAwayFrame:
		same = uint32(g.ErrCode) == uint32(f.ErrCode()) && g.LastStreamID == f.LastStream()
	case *xhttp2.WindowUpdateFrame:
		same = g.Increment == f.Increment()
	case *xhttp2.SettingsFrame:
		same = g.NumSettings() == f.Settings()
		for i := range f.Settings() {
			s := g.Setting(i)
			same = same && uint16(s.ID) == uint16(f.Setting(i).ID) && s.Val == f.Setting(i).Value
		}
	}
	if !same {
		t.Fatalf("ours %+v, theirs %v", f, theirs)
	}
}
