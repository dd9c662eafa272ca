package hostile

import (
	"fmt"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// flood is how many frames an attacker would send if nobody stopped it.
const flood = 100_000

// floods are what an attacker does again and again; i counts from zero. first,
// if there is one, comes before.
var floods = []struct {
	name     string
	first    func(a *attacker)
	again    func(a *attacker, i uint32)
	upstream int // requests that may reach the upstream meanwhile: those on their way when it resets
}{
	{"rapid reset", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, true, "/x/reset")
		a.frame(func(f *http2.Framer) error { return f.WriteRSTStream(1+2*i, http2.ErrCodeCancel) })
	}, 1000},
	{"rapid reset of uploads", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, false, "/x/reset")
		a.frame(func(f *http2.Framer) error { return f.WriteData(1+2*i, false, []byte("x")) })
		a.frame(func(f *http2.Framer) error { return f.WriteRSTStream(1+2*i, http2.ErrCodeCancel) })
	}, 1000},
	{"resets provoked by windows of zero", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, false, "/x/reset")
		a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(1+2*i, 0) })
	}, flood / 5},
	{"resets provoked by windows too large", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, false, "/x/reset")
		a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(1+2*i, 1<<31-1) })
		a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(1+2*i, 1<<31-1) })
	}, flood / 5},
	{"resets provoked by data after the end", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, true, "/x/reset")
		a.frame(func(f *http2.Framer) error { return f.WriteData(1+2*i, true, []byte("x")) })
	}, flood / 5},
	{"resets provoked by a length that is not kept", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, false, "/x/reset", hpack.HeaderField{Name: "content-length", Value: "1"})
		a.frame(func(f *http2.Framer) error { return f.WriteData(1+2*i, true, []byte("too long")) })
	}, flood / 5},
	{"resets provoked by a stream that depends on itself", nil, func(a *attacker, i uint32) {
		a.headers(1+2*i, false, "/x/reset")
		a.frame(func(f *http2.Framer) error {
			return f.WritePriority(1+2*i, http2.PriorityParam{StreamDep: 1 + 2*i})
		})
	}, flood / 5},
	{"settings", nil, func(a *attacker, i uint32) {
		a.frame(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000 + i})
		})
	}, 0},
	{"empty settings", nil, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteSettings() })
	}, 0},
	{"pings", nil, func(a *attacker, i uint32) {
		a.frame(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{byte(i), byte(i >> 8), byte(i >> 16)}) })
	}, 0},
	{"answers to no pings", nil, func(a *attacker, i uint32) {
		a.frame(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{byte(i), byte(i >> 8), byte(i >> 16)}) })
	}, 0},
	{"priorities", nil, func(a *attacker, i uint32) {
		a.frame(func(f *http2.Framer) error {
			return f.WritePriority(1+2*i, http2.PriorityParam{StreamDep: 3 + 2*i, Weight: byte(i)})
		})
	}, 0},
	{"unknown frames", nil, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteRawFrame(0xbe, 0, 0, []byte("what")) })
	}, 0},
	{"windows of the connection", nil, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) })
	}, 0},
	{"windows of a stream", func(a *attacker) { a.headers(1, false, "/x/slow") }, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(1, 1) })
	}, 1},
	{"empty data", func(a *attacker) { a.headers(1, false, "/x/slow") }, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteData(1, false, nil) })
	}, 1},
	{"resets of streams that are over", func(a *attacker) { a.headers(1, true, "/x/over") }, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) })
	}, 1},
	{"goaways", nil, func(a *attacker, _ uint32) {
		a.frame(func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeNo, []byte("again")) })
	}, 0},
}

// TestFloodsEndTheirConnection: whoever sends frames without end that cost it
// less than us is told to be calm, and hung up on; the upstream is spared.
func TestFloodsEndTheirConnection(t *testing.T) {
	for _, w := range relayWays {
		for _, c := range floods {
			t.Run(fmt.Sprintf("%s %s", w.name, c.name), func(t *testing.T) {
				testbed.Leaks(t)
				before := heap()
				upstream := newCounter(t)
				s := start(t, w, upstream.addr)
				s.good(t)
				a := dialH2(t, s.addr)
				if c.first != nil {
					c.first(a)
				}
				for i := uint32(0); i < flood && a.err == nil; i++ {
					c.again(a, i)
				}
				if end := a.await(nil); !end.over || end.told && end.goaway == http2.ErrCodeNo {
					t.Errorf("got %v, want the end of the connection", end)
				} else if !end.calm() {
					t.Logf("not told to be calm: %v", end)
				}
				bounded(t, before)
				if n := upstream.of(""); n > c.upstream {
					t.Errorf("%d requests reached the upstream, want at most %d", n, c.upstream)
				}
			})
		}
	}
}

// TestFloodsOfOneThatNeverReads: the answers that a flood asks for are not
// piled up.
func TestFloodsOfOneThatNeverReads(t *testing.T) {
	for _, w := range ways {
		for _, c := range floods {
			switch c.name {
			case "pings":
			case "settings", "resets provoked by windows of zero":
				if w.lane == proxy.LaneExchange {
					continue // net/http takes long for all of them, and piles up nothing either
				}
			default:
				continue
			}
			t.Run(fmt.Sprintf("%s %s", w.name, c.name), func(t *testing.T) {
				testbed.Leaks(t)
				before := heap()
				upstream := newCounter(t)
				s := start(t, w, upstream.addr)
				s.good(t)
				a := mute(t, s.addr)
				for i := uint32(0); i < flood && a.err == nil; i++ {
					c.again(a, i)
				}
				a.flush()
				bounded(t, before)
				a.conn.Close()
			})
		}
	}
}
