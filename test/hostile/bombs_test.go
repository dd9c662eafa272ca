package hostile

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func TestTooLargeHeadsReachNobody(t *testing.T) {
	fields := func(n, size int) string {
		return strings.Repeat("X-A: "+strings.Repeat("a", size)+"\r\n", n)
	}
	cases := []struct {
		name, request string
		status        int
	}{
		{"61 KiB in one field", "GET /x/ HTTP/1.1\r\nHost: x\r\n" + fields(1, 61<<10) + "\r\n", 431},
		{"61 KiB in 90 fields", "GET /x/ HTTP/1.1\r\nHost: x\r\n" + fields(90, 61<<10/90) + "\r\n", 431},
		{"a field name of 61 KiB", "GET /x/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X", 61<<10) + ": a\r\n\r\n", 431},
		{"101 fields", "GET /x/ HTTP/1.1\r\nHost: x\r\n" + fields(100, 1) + "\r\n", 431},
		{"20,000 fields", "GET /x/ HTTP/1.1\r\nHost: x\r\n" + fields(20_000, 1) + "\r\n", 431},
		{"a head without an end", "GET /x/ HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 10<<20), 431},
		{"a request line over 8 KiB", "GET /x/" + strings.Repeat("a", 8<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		{"a request line without an end", "GET /x/" + strings.Repeat("a", 10<<20), 414},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					upstream := testbed.Record(t, testbed.Loopback(t))
					s := start(t, w, upstream.Addr)
					answer, end := exchange(t, s.addr, c.request)
					if err := refused(answer, end, c.status); err != nil {
						t.Error(err)
					}
					nothing(t, upstream)
				})
			}
			bounded(t, before)
		})
	}
}

// TestTrailersHaveTheLimitsOfHeads: an endless trailer is no way around them.
func TestTrailersHaveTheLimitsOfHeads(t *testing.T) {
	const enough = 200 << 10
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			upstream := testbed.Record(t, testbed.Loopback(t))
			s := start(t, w, upstream.Addr)
			answer, end := exchange(t, s.addr, "POST /x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"+strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 10_000)+"\r\n")
			if isTimeout(end) {
				t.Errorf("the connection is not closed; got %.200q", answer)
			}
			if got := upstream.Received(); len(got) > 1 || len(got) == 1 && len(got[0]) > enough {
				t.Errorf("the upstream received %d times, %d bytes", len(got), len(got[0]))
			}
			bounded(t, before)
		})
	}
}

// TestHeaderBlocksThatGrow: a block of a few KiB may say, by referring to its
// table thousands of times, a list of headers of many MiB.
func TestHeaderBlocksThatGrow(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			upstream := newCounter(t)
			s := start(t, w, upstream.addr)
			s.good(t)
			c := dialH2(t, s.addr)
			c.headers(1, true, "/x/", hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("a", 3900)})
			refer := make([]hpack.HeaderField, 8000)
			for i := range refer {
				refer[i] = hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("a", 3900)}
			}
			const bombs = 20
			for i := range uint32(bombs) {
				c.headers(3+2*i, true, "/x/bomb", refer...)
			}
			end := c.await(func(e ending) bool { return e.streams["/x/bomb"] == bombs })
			bounded(t, before)
			if n := upstream.of("/x/bomb"); n > 0 {
				t.Errorf("%d of the requests reached the upstream", n)
			}
			if end.streams["/x/bomb"] < bombs && !end.over {
				t.Errorf("neither the streams nor the connection was refused: %v", end)
			}
		})
	}
}

// TestHeaderBlocksWithoutAnEnd: CONTINUATION frames that never end, full, tiny
// and empty.
func TestHeaderBlocksWithoutAnEnd(t *testing.T) {
	full := make([]byte, 16<<10)
	for i := range full {
		full[i] = 0x82 // :method: GET, again and again
	}
	field := new(strings.Builder) // one that grows and grows
	_ = hpack.NewEncoder(field).WriteField(hpack.HeaderField{Name: "x-a", Value: strings.Repeat("\x01", 16<<10-10)})
	for _, w := range ways {
		for name, fragment := range map[string][]byte{"full": full, "one byte": {0x82}, "empty": {}, "values": []byte(field.String())} {
			t.Run(fmt.Sprintf("%s %s", w.name, name), func(t *testing.T) {
				testbed.Leaks(t)
				before := heap()
				upstream := newCounter(t)
				s := start(t, w, upstream.addr)
				s.good(t)
				c := dialH2(t, s.addr)
				c.frame(func(f *http2.Framer) error {
					return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndStream: true})
				})
				for i := 0; i < 100_000 && c.err == nil; i++ {
					c.frame(func(f *http2.Framer) error { return f.WriteContinuation(1, false, fragment) })
				}
				if w.lane == proxy.LaneExchange && name == "empty" {
					c.flush() // x/net takes them as they are, at no cost but time
					bounded(t, before)
					return
				}
				end := c.await(nil)
				if !end.over {
					t.Errorf("the connection lives: %v", end)
				}
				bounded(t, before)
				if n := upstream.of(""); n > 0 {
					t.Errorf("%d requests reached the upstream", n)
				}
			})
		}
	}
}
