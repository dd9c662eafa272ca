package proxy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	wire "github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// traffic is a side's frames of all kinds, in an order that a peer could send.
func traffic(r *rand.Rand, o *hpackOut, caller bool) []byte {
	var b []byte
	random := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	padded := func(p []byte) []byte {
		pad := r.IntN(40)
		return append(append([]byte{byte(pad)}, p...), make([]byte, pad)...)
	}
	b = wire.AppendSettings(b, wire.Setting{ID: wire.SettingHeaderTableSize, Value: 8192}, wire.Setting{ID: 0x4242, Value: 7})
	for i := range uint32(60) {
		stream := 2*i + 1
		head := func(flags wire.Flags) []byte {
			if !caller {
				return o.head(stream, flags, ":status", "200", "x-n", fmt.Sprint(i))
			}
			return o.head(stream, flags, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", fmt.Sprint("/", i), "x-n", fmt.Sprint(i))
		}
		switch r.IntN(4) {
		case 0: // in CONTINUATION frames
			block := head(0)[wire.HeaderLen:]
			cut := r.IntN(len(block))
			b = append(b, frame(wire.FrameHeaders, 0, stream, block[:cut])...)
			b = append(b, frame(wire.FrameContinuation, wire.FlagEndHeaders, stream, block[cut:])...)
		case 1: // with a priority and padding
			block := append([]byte{0, 0, 0, 0, 15}, head(0)[wire.HeaderLen:]...)
			b = append(b, frame(wire.FrameHeaders, wire.FlagEndHeaders|wire.FlagPriority|wire.FlagPadded, stream, padded(block))...)
		default:
			b = append(b, head(0)...)
		}
		if !caller && i%7 == 0 {
			block := o.block(":method", "GET", ":scheme", "http", ":path", "/pushed")
			b = append(b, frame(wire.FramePushPromise, wire.FlagEndHeaders, stream, append(binary.BigEndian.AppendUint32(nil, 2*i+2), block...))...)
		}
		for range r.IntN(4) {
			if r.IntN(3) == 0 {
				b = append(b, frame(wire.FrameData, wire.FlagPadded, stream, padded(random(r.IntN(500))))...)
			} else {
				b = wire.AppendData(b, stream, false, random(r.IntN(40_000)))
			}
		}
		b = append(b, frame(0xfa, 0x7f, stream, random(20))...)
		b = wire.AppendPing(b, i%2 == 0, random(8))
		b = wire.AppendWindowUpdate(b, stream*uint32(r.IntN(2)), 1+r.Uint32N(1000))
		b = append(b, frame(wire.FramePriority, 0, stream, random(5))...)
		switch r.IntN(4) {
		case 0:
			b = wire.AppendRSTStream(b, stream, wire.NoError)
		case 1:
			b = append(b, o.head(stream, wire.FlagEndStream, "x-trailer", fmt.Sprint(i))...)
		default:
			b = wire.AppendData(b, stream, true, nil)
		}
	}
	b = wire.AppendData(b, 1, false, random(1<<20)) // over any SETTINGS_MAX_FRAME_SIZE of ours
	return wire.AppendGoAway(b, 5, wire.NoError, "bye")
}

func TestFramesPassAsBytes(t *testing.T) {
	testbed.Leaks(t)
	for _, watched := range []bool{true, false} {
		t.Run(fmt.Sprint("watched ", watched), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			k := newLink(t, func(c *proxy.Config) {
				if !watched {
					c.Observer = nil
				}
			})
			var all sync.WaitGroup
			for i, ways := range [][2]*net.TCPConn{{k.caller, k.upstream}, {k.upstream, k.caller}} {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				o := k.fromCaller
				if i == 1 {
					o = k.fromUp
				}
				b := traffic(r, o, i == 0)
				all.Go(func() { dribble(r, ways[0], b) })
				all.Go(func() { expectAll(t, ways[1], b) })
			}
			all.Wait()
		})
	}
}

// dribble writes b in pieces of all sizes.
func dribble(r *rand.Rand, c *net.TCPConn, b []byte) {
	for len(b) > 0 {
		n := min(len(b), 1+r.IntN(1<<r.IntN(17)))
		c.Write(b[:n])
		b = b[n:]
	}
	c.CloseWrite()
}

func expectAll(t *testing.T, c *net.TCPConn, want []byte) {
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, %v; the end is %q", len(got), len(want), err, got[max(len(got)-60, 0):])
	}
}

func TestOneRecordForEachStream(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t, func(c *proxy.Config) { c.Capture = 4 })
	pass(t, k.caller, k.upstream, k.fromCaller.head(1, 0, ":method", "POST", ":scheme", "http", ":authority", "shop.example:80", ":path", "/shop.v1.Orders/Create?x=1", "content-type", "application/grpc+proto", "te", "trailers", "x-a", "1", "x-a", "2", "content-length", "6"))
	pass(t, k.caller, k.upstream, wire.AppendData(nil, 1, false, []byte("abc")))
	pass(t, k.caller, k.upstream, wire.AppendData(nil, 1, true, []byte("def")))
	pass(t, k.upstream, k.caller, k.fromUp.head(1, 0, ":status", "103", "link", "</a>"))
	pass(t, k.upstream, k.caller, k.fromUp.head(1, 0, ":status", "200", "content-type", "application/grpc+proto", "x-b", "3"))
	pass(t, k.upstream, k.caller, frame(wire.FrameData, wire.FlagPadded, 1, []byte("\x02xyz\x00\x00")))
	pass(t, k.upstream, k.caller, k.fromUp.head(1, wire.FlagEndStream, "grpc-status", "5", "grpc-message", "none"))
	r := k.record("/shop.v1.Orders/Create")
	call := r.Call
	if r.Protocol != proxy.GRPC || r.Lane != proxy.LaneRelay || call.Service != "shop.v1.Orders" || call.Method != "Create" ||
		call.Head.Host != "shop.example:80" || call.Head.Query != "x=1" || call.Head.Method != "POST" || call.ID != r.ID || r.ID == "" {
		t.Errorf("record %+v, call %+v, head %+v", r, call, call.Head)
	}
	if got := fmt.Sprint(call.Head.Fields); got != "[{content-type application/grpc+proto} {te trailers} {x-a 1} {x-a 2}]" {
		t.Errorf("request: %s", got)
	}
	if r.Status != 200 || r.GRPCStatus != "NOT_FOUND" || r.Attempts != 1 || r.Error != nil || r.Request.In != call.Head || r.Response.In != r.Response.Out {
		t.Errorf("record %+v", r)
	}
	if got := fmt.Sprint(r.Response.In.Fields, r.Response.Trailers); got != "[{content-type application/grpc+proto} {x-b 3}] [{grpc-status 5} {grpc-message none}]" {
		t.Errorf("response: %s", got)
	}
	for name, p := range map[string]proxy.Payload{"abcd 6": r.Request.Body, "xyz 3": r.Response.Body} {
		if got := fmt.Sprintf("%s %d", p.Bytes, p.Size); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	// Plain HTTP beside it, and trailers only.
	pass(t, k.caller, k.upstream, k.fromCaller.get(3, "/plain"))
	pass(t, k.upstream, k.caller, k.fromUp.head(3, wire.FlagEndStream, ":status", "404"))
	if r := k.record("/plain"); r.Protocol != proxy.HTTP2 || r.Status != 404 || r.GRPCStatus != "" || r.Response.Body.Size != 0 {
		t.Errorf("record %+v", r)
	}
}

// Heads that come again are not decoded again, unless the tables have changed.
func TestRecordsFollowTheCompression(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	r := rand.New(rand.NewPCG(1, 2))
	k.fromCaller.enc.SetMaxDynamicTableSizeLimit(300)
	for i := range 500 {
		if r.IntN(10) == 0 {
			k.fromCaller.enc.SetMaxDynamicTableSize(uint32(100 * r.IntN(4)))
		}
		fields := []string{":method", "GET", ":scheme", "http", ":path", fmt.Sprint("/", i)}
		if r.IntN(4) > 0 {
			fields[5] = fmt.Sprint("/same/", r.IntN(3))
		}
		for range r.IntN(3) {
			fields = append(fields, fmt.Sprint("x-", r.IntN(3)), fmt.Sprint(r.IntN(2)))
		}
		stream := uint32(2*i + 1)
		pass(t, k.caller, k.upstream, k.fromCaller.head(stream, wire.FlagEndStream, fields...))
		pass(t, k.upstream, k.caller, k.fromUp.head(stream, wire.FlagEndStream, ":status", fmt.Sprint(200+r.IntN(3))))
		n := 0
		rec := await(k.sidecar, func(*proxy.Record) bool { n++; return n == i+1 })
		got := []string{":method", rec.Call.Head.Method, ":scheme", "http", ":path", rec.Call.Head.Path}
		for _, f := range rec.Call.Head.Fields {
			got = append(got, f.Name, f.Value)
		}
		if fmt.Sprint(got) != fmt.Sprint(fields) {
			t.Fatalf("exchange %d: got %q, want %q", i, got, fields)
		}
	}
}

func TestResetStreamsAreRecorded(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t)
	for i, c := range []struct {
		path   string
		answer bool // in whole, before
		by     *net.TCPConn
		code   wire.ErrCode
		want   string
	}{
		{"/cancel", false, k.caller, wire.Cancel, "caller: cancelled"},
		{"/reset", false, k.caller, wire.InternalError, "caller: reset"},
		{"/refused", false, k.upstream, wire.RefusedStream, "upstream: reset"},
		{"/enough", true, k.upstream, wire.NoError, "<nil>"},
		{"/answered", true, k.caller, wire.Cancel, "<nil>"},
	} {
		stream := uint32(2*i + 1)
		pass(t, k.caller, k.upstream, k.fromCaller.head(stream, 0, ":method", "POST", ":scheme", "http", ":path", c.path))
		if c.answer {
			pass(t, k.upstream, k.caller, k.fromUp.head(stream, wire.FlagEndStream, ":status", "413"))
		}
		to := k.caller
		if c.by == k.caller {
			to = k.upstream
		}
		pass(t, c.by, to, wire.AppendRSTStream(nil, stream, c.code))
		r := k.record(c.path)
		got, _, _ := strings.Cut(fmt.Sprint(r.Error), ": stream")
		if got != c.want || (r.Status == 413) != c.answer {
			t.Errorf("%s: got %q, status %d", c.path, got, r.Status)
		}
	}
	// What is open when the connection ends was cut.
	pass(t, k.caller, k.upstream, k.fromCaller.get(101, "/cut"))
	pass(t, k.caller, k.upstream, k.fromCaller.get(103, "/refused-by-goaway"))
	pass(t, k.upstream, k.caller, wire.AppendGoAway(nil, 101, wire.NoError, ""))
	if r := k.record("/refused-by-goaway"); r.Error == nil || r.Error.Origin != proxy.OriginUpstream {
		t.Errorf("got %v", r.Error)
	}
	testbed.Reset(k.upstream)
	if r := k.record("/cut"); r.Error == nil || r.Error.Origin != proxy.OriginUpstream || r.Error.Reason != "reset" {
		t.Errorf("got %v", r.Error)
	}
	if err := testbed.Play(k.caller, testbed.ExpectReset()); err != nil {
		t.Error(err)
	}
	if end := k.closed(); end.Lane != proxy.LaneRelay || end.Protocol != proxy.HTTP2 {
		t.Errorf("got %+v", end)
	}
}

func TestHTTP2ConnectionsEndAsTheirPeersDo(t *testing.T) {
	for _, byCaller := range []bool{true, false} {
		t.Run(fmt.Sprint("by the caller ", byCaller), func(t *testing.T) {
			testbed.Leaks(t)
			sides := func(k *link) (a, b *net.TCPConn) {
				if byCaller {
					return k.caller, k.upstream
				}
				return k.upstream, k.caller
			}
			k := newLink(t)
			a, b := sides(k)
			half := wire.AppendPing(nil, false, make([]byte, 8))[:12]
			a.Write(half) // a frame that never becomes whole is passed with the end
			a.CloseWrite()
			expectBytes(t, b, half)
			if err := testbed.Play(b, testbed.ExpectEnd()); err != nil {
				t.Fatal(err)
			}
			pass(t, b, a, wire.AppendPing(nil, true, make([]byte, 8))) // the other half lives on
			b.CloseWrite()
			if err := testbed.Play(a, testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
			if end := k.closed(); end.Error != nil {
				t.Errorf("end: %v", end.Error)
			}

			k = newLink(t)
			a, b = sides(k)
			said := wire.AppendPing(nil, false, []byte("12345678"))
			a.Write(said)
			expectBytes(t, b, said)
			testbed.Reset(a)
			if err := testbed.Play(b, testbed.ExpectReset()); err != nil {
				t.Error(err)
			}

			k = newLink(t) // a reset after a half-close, when nobody reads that side
			a, b = sides(k)
			a.CloseWrite()
			if err := testbed.Play(b, testbed.ExpectEnd()); err != nil {
				t.Fatal(err)
			}
			testbed.Reset(a)
			testbed.Eventually(t, 5*time.Second, func() error {
				_, err := b.Write(wire.AppendPing(nil, false, make([]byte, 8)))
				if err == nil {
					return fmt.Errorf("still open")
				}
				return nil
			})
		})
	}
}

func TestCallersAreSentAwayWhenRulesOrLifeChange(t *testing.T) {
	goAway := wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, "")
	for name, change := range map[string]func(k *link){
		"rules that touch": func(k *link) { k.use("route: r\nmatch: {http: \"GET /x\"}\nrequest:\n  - reject: {status: 418}\n") },
		"draining":         func(k *link) { go k.Drain(k.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			k := newLink(t)
			pass(t, k.caller, k.upstream, k.fromCaller.get(1, "/before"))
			change(k)
			expectBytes(t, k.caller, goAway)
			// What was begun, and what was on its way, is carried to its end.
			pass(t, k.caller, k.upstream, k.fromCaller.get(3, "/after"))
			for _, stream := range []uint32{3, 1} {
				pass(t, k.upstream, k.caller, k.fromUp.head(stream, wire.FlagEndStream, ":status", "200"))
			}
			for _, path := range []string{"/before", "/after"} {
				if r := k.record(path); r.Status != 200 || r.Error != nil {
					t.Errorf("%s: %+v", path, r)
				}
			}
		})
	}
}

// A connection that idles while the proxy drains is closed, not reset.
func TestDrainEndsAnIdleHTTP2Connection(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t, func(c *proxy.Config) { c.IdleDrain = 50 * time.Millisecond })
	if err := k.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if code := lastWord(t, k.caller); code != wire.NoError {
		t.Errorf("the caller was told %v", code)
	}
	if err := testbed.Play(k.upstream, testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	if end := k.closed(); end.Error != nil {
		t.Errorf("end: %v", end.Error)
	}
}

// A stream that crosses the end of its idle connection is known to be unseen: the
// GOAWAY before the end names the last that was.
func TestTheEndOfAnIdleConnectionNamesItsLastStream(t *testing.T) {
	testbed.Leaks(t)
	k := newLink(t, func(c *proxy.Config) { c.IdleDrain = 50 * time.Millisecond })
	ask := k.fromCaller.head(1, wire.FlagEndStream, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x")
	k.caller.Write(ask)
	expectBytes(t, k.upstream, ask)
	answer := k.fromUp.head(1, wire.FlagEndStream, ":status", "200")
	k.upstream.Write(answer)
	expectBytes(t, k.caller, answer)
	if err := k.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	expectBytes(t, k.caller, wire.AppendGoAway(nil, wire.MaxStream, wire.NoError, ""))
	expectBytes(t, k.caller, wire.AppendGoAway(nil, 1, wire.NoError, "idle"))
	if err := testbed.Play(k.caller, testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	if end := k.closed(); end.Error != nil {
		t.Errorf("end: %v", end.Error)
	}
}
