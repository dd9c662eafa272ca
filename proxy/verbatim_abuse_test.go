package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	wire "github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// repeated is many frames; make is called with 0, 1, 2 ...
func repeated(n int, make func(i int) []byte) []byte {
	var b []byte
	for i := range n {
		b = append(b, make(i)...)
	}
	return b
}

func TestFloodsEndTheConnection(t *testing.T) {
	out := newHpackOut()
	open := out.get(1, "/1") // from here on the same bytes: the table is full of it
	again := func(stream uint32) []byte {
		return frame(wire.FrameHeaders, wire.FlagEndHeaders|wire.FlagEndStream, stream, out.block(":method", "GET", ":scheme", "http", ":authority", "shop.example", ":path", "/1"))
	}
	frames := map[string][]byte{
		"rapid reset": append(bytes.Clone(open), repeated(1000, func(i int) []byte {
			stream := uint32(3 + 2*i)
			return append(again(stream), wire.AppendRSTStream(nil, stream, wire.Cancel)...)
		})...),
		"settings":    repeated(1000, func(int) []byte { return wire.AppendSettings(nil) }),
		"pings":       repeated(5000, func(int) []byte { return wire.AppendPing(nil, false, make([]byte, 8)) }),
		"empty data":  append(bytes.Clone(open), repeated(5000, func(int) []byte { return wire.AppendData(nil, 1, false, nil) })...),
		"padding":     append(bytes.Clone(open), repeated(100_000, func(int) []byte { return frame(wire.FrameData, wire.FlagPadded, 1, []byte{2, 0, 0}) })...),
		"priorities":  repeated(9000, func(int) []byte { return frame(wire.FramePriority, 0, 1, make([]byte, 5)) }),
		"windows":     repeated(50_000, func(int) []byte { return wire.AppendWindowUpdate(nil, 0, 1) }),
		"unknown":     repeated(9000, func(int) []byte { return frame(0xfa, 0, 0, nil) }),
		"stray reset": repeated(5000, func(int) []byte { return wire.AppendRSTStream(nil, 1, wire.Cancel) }),
		"continuations": append(frame(wire.FrameHeaders, 0, 1, nil),
			repeated(20, func(int) []byte { return frame(wire.FrameContinuation, 0, 1, nil) })...),
		"a block without end": append(frame(wire.FrameHeaders, 0, 1, nil),
			repeated(5, func(int) []byte { return frame(wire.FrameContinuation, 0, 1, make([]byte, 16<<10)) })...),
		"a list too long": out.head(5, wire.FlagEndStream, "x-a", strings.Repeat("a", 61<<10))[:wire.HeaderLen+0x4000],
		"references": frame(wire.FrameHeaders, wire.FlagEndHeaders, 1,
			append(newHpackOut().block("x-a", strings.Repeat("a", 3000)), bytes.Repeat([]byte{0x80 | 62}, 50)...)),
		"fields": out.head(7, 0, strings.Split(strings.Repeat("a,b,", 101)+"c,d", ",")...),
	}
	for name, b := range frames {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			if name == "a list too long" {
				b = frame(wire.FrameHeaders, 0, 5, make([]byte, 61<<10)) // refused by its length alone
			}
			k := newLink(t)
			other := make(chan wire.ErrCode, 1)
			go func() { other <- lastWord(t, k.upstream) }()
			k.caller.Write(b) // may fail: it is told before all was read
			if code := lastWord(t, k.caller); code != wire.EnhanceYourCalm {
				t.Errorf("the caller was told %v", code)
			}
			if code := <-other; code != wire.EnhanceYourCalm {
				t.Errorf("the upstream was told %v", code)
			}
			if end := k.closed(); end.Error == nil || end.Error.Origin != proxy.OriginCaller || end.Error.Reason != "protocol" {
				t.Errorf("end: %v", end.Error)
			}
		})
	}
}

func TestStreamsThatMakeTheUpstreamResetThem(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	heads := repeated(400, func(i int) []byte { return k.fromCaller.get(uint32(2*i+1), "/") })
	pass(t, k.caller, k.upstream, heads)
	go lastWord(t, k.upstream)
	k.upstream.Write(repeated(400, func(i int) []byte { return wire.AppendRSTStream(nil, uint32(2*i+1), wire.ProtocolError) }))
	if code := lastWord(t, k.caller); code != wire.EnhanceYourCalm {
		t.Errorf("the caller was told %v", code)
	}
}

func TestResetsAfterTheAnswerAreNoFlood(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	for i := range 500 {
		stream := uint32(2*i + 1)
		pass(t, k.caller, k.upstream, k.fromCaller.head(stream, 0, ":method", "POST", ":scheme", "http", ":path", "/"))
		pass(t, k.upstream, k.caller, k.fromUp.head(stream, wire.FlagEndStream, ":status", "413"))
		if i%2 == 0 {
			pass(t, k.upstream, k.caller, wire.AppendRSTStream(nil, stream, wire.NoError))
		} else {
			pass(t, k.caller, k.upstream, wire.AppendRSTStream(nil, stream, wire.Cancel))
		}
	}
}

func TestBrokenFramesEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		frames []byte
		code   wire.ErrCode
	}{
		"a ping of 7 bytes":      {frame(wire.FramePing, 0, 0, make([]byte, 7)), wire.FrameSizeError},
		"settings of a stream":   {frame(wire.FrameSettings, 0, 1, nil), wire.ProtocolError},
		"an interrupted block":   {append(frame(wire.FrameHeaders, 0, 1, nil), wire.AppendPing(nil, false, make([]byte, 8))...), wire.ProtocolError},
		"a stray continuation":   {frame(wire.FrameContinuation, wire.FlagEndHeaders, 1, nil), wire.ProtocolError},
		"an index that is none":  {frame(wire.FrameHeaders, wire.FlagEndHeaders, 1, []byte{0xff, 0x7f}), wire.CompressionError},
		"half a field":           {frame(wire.FrameHeaders, wire.FlagEndHeaders, 1, []byte{0x40}), wire.CompressionError},
		"too large a table":      {frame(wire.FrameHeaders, wire.FlagEndHeaders, 1, []byte{0x3f, 0xe2, 0x1f, 0x82}), wire.CompressionError},
		"padding without length": {frame(wire.FrameData, wire.FlagPadded, 1, nil), wire.FrameSizeError},
		"padding over all":       {frame(wire.FrameData, wire.FlagPadded, 1, []byte{1}), wire.ProtocolError},
		"a huge unknown frame":   {frame(0xfa, 0, 0, make([]byte, 70_000)), wire.FrameSizeError},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			for _, byCaller := range []bool{true, false} {
				k := newLink(t)
				from, to, origin := k.caller, k.upstream, proxy.OriginCaller
				if !byCaller {
					from, to, origin = k.upstream, k.caller, proxy.OriginUpstream
				}
				before := wire.AppendPing(nil, false, make([]byte, 8))
				from.Write(append(bytes.Clone(before), c.frames...))
				expectBytes(t, to, before) // what came before it passes
				if code := lastWord(t, from); code != c.code {
					t.Errorf("its sender was told %v", code)
				}
				if code := lastWord(t, to); code != c.code {
					t.Errorf("the other side was told %v", code)
				}
				if end := k.closed(); end.Error == nil || end.Error.Origin != origin {
					t.Errorf("end: %v", end.Error)
				}
			}
		})
	}
}

func TestAHeaderBlockHasToBecomeWholeInTime(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t, func(c *proxy.Config) { c.HeadTimeout = 50 * time.Millisecond })
	pass(t, k.caller, k.upstream, wire.AppendPing(nil, false, make([]byte, 8)))
	k.caller.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := k.caller.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) { // silence between frames is nobody's fault
		t.Fatal(err)
	}
	k.caller.SetReadDeadline(time.Now().Add(10 * time.Second))
	slow := k.fromCaller.get(1, "/")
	k.caller.Write(slow[:len(slow)-1])
	if code := lastWord(t, k.caller); code != wire.EnhanceYourCalm {
		t.Errorf("the caller was told %v", code)
	}
}

func TestAReaderThatStandsStillHoldsNothing(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	k.caller.Write(k.fromCaller.head(1, 0, ":method", "POST", ":scheme", "http", ":path", "/"))
	data := wire.AppendData(nil, 1, false, make([]byte, 16<<10))
	k.caller.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	total := 0
	for {
		n, err := k.caller.Write(data)
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if total > 64<<20 {
			t.Fatal("it is all being kept")
		}
	}
	// The other way is not held up, and a reset finds its way past what waits.
	pass(t, k.upstream, k.caller, wire.AppendPing(nil, false, make([]byte, 8)))
	testbed.Reset(k.caller)
	if r := k.record("/"); r.Error == nil || r.Error.Origin != proxy.OriginCaller {
		t.Errorf("got %v", r.Error)
	}
	k.upstream.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, k.upstream); !testbed.IsReset(err) {
		t.Errorf("the upstream saw %v", err)
	}
}

func TestGoAwayIsSaidBetweenFrames(t *testing.T) {
	testbed.Leaks(t)
	goAway := wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, "")
	k := newLink(t)
	pass(t, k.caller, k.upstream, k.fromCaller.get(1, "/"))
	pass(t, k.upstream, k.caller, k.fromUp.head(1, 0, ":status", "200"))
	data := wire.AppendData(nil, 1, false, bytes.Repeat([]byte("x"), 1000))
	pass(t, k.upstream, k.caller, data[:500])
	proxy.GoAway(k.Proxy)
	proxy.GoAway(k.Proxy)
	pass(t, k.upstream, k.caller, data[500:700])
	k.upstream.Write(data[700:])
	expectBytes(t, k.caller, append(bytes.Clone(data[700:]), goAway...))
	pass(t, k.upstream, k.caller, wire.AppendData(nil, 1, true, nil)) // once is enough
	k.record("/")

	k = newLink(t) // on an idle connection at once
	proxy.GoAway(k.Proxy)
	expectBytes(t, k.caller, goAway)
	pass(t, k.upstream, k.caller, wire.AppendPing(nil, false, make([]byte, 8)))
}

// Before the upstream has said its settings nothing else may be said to the
// caller.
func TestGoAwayWaitsForTheUpstreamsSettings(t *testing.T) {
	testbed.Leaks(t)
	l := testbed.Loopback(t)
	s := startSidecar(t, l.Addr().String(), nil, inLane(proxy.LaneRelay))
	caller := testbed.Dial(t, s.addr)
	caller.Write(wire.AppendSettings([]byte(wire.Preface)))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	upstream := nc.(*net.TCPConn)
	defer upstream.Close()
	expectBytes(t, upstream, wire.AppendSettings([]byte(wire.Preface)))
	proxy.GoAway(s.Proxy)
	settings := wire.AppendSettings(nil)
	upstream.Write(settings)
	expectBytes(t, caller, append(settings, wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, "")...))
}

// A caller that had no stream when it was sent away may leave its connection
// open.
func TestACallerThatWasSentAwayDoesNotStayIdle(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t, func(c *proxy.Config) { c.IdleDrain = 50 * time.Millisecond })
	pass(t, k.caller, k.upstream, k.fromCaller.get(1, "/"))
	proxy.GoAway(k.Proxy)
	expectBytes(t, k.caller, wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, ""))
	k.caller.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := k.caller.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) { // it has a stream
		t.Fatal(err)
	}
	k.caller.SetReadDeadline(time.Now().Add(10 * time.Second))
	pass(t, k.upstream, k.caller, k.fromUp.head(1, wire.FlagEndStream, ":status", "200"))
	expectBytes(t, k.caller, wire.AppendGoAway(nil, 1, wire.NoError, "idle"))
	for _, c := range []*net.TCPConn{k.caller, k.upstream} {
		if err := testbed.Play(c, testbed.ExpectEnd()); err != nil {
			t.Error(err)
		}
	}
	if end := k.closed(); end.Error != nil {
		t.Errorf("end: %v", end.Error)
	}
}

// Most callers go only when a stream ends after they were told: the word comes
// before the end of the answer.
func TestWhileDrainingGoAwayComesBeforeTheEndOfAnAnswer(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.Drain(ctx)
	goAway := wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, "")
	expectBytes(t, k.caller, goAway)

	late := testbed.Dial(t, k.addr) // a connection that begins now
	late.SetDeadline(time.Now().Add(10 * time.Second))
	request := append(wire.AppendSettings([]byte(wire.Preface)), newHpackOut().get(1, "/")...)
	late.Write(request)
	nc, err := k.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	expectBytes(t, nc, request)
	settings, end := wire.AppendSettings(nil), newHpackOut().head(1, wire.FlagEndStream, ":status", "200")
	nc.Write(append(bytes.Clone(settings), end...))
	expectBytes(t, late, append(append(bytes.Clone(settings), goAway...), end...))
}
