package hostile

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// crowd is how many slow connections of each kind there are at once.
const crowd = 60

// dribbler is how a slow connection begins and what it says then, one byte at a
// time, again and again.
type dribbler struct{ name, begin, again string }

// dribblers opens a crowd of each kind, which lives until it is hung up on or
// the context ends. The channel gets the name of each that is hung up on.
func dribblers(ctx context.Context, t *testing.T, addr string, kinds []dribbler) <-chan string {
	t.Helper()
	gone := make(chan string, crowd*len(kinds))
	var dribbling sync.WaitGroup
	t.Cleanup(dribbling.Wait)
	for _, d := range kinds {
		for range crowd {
			conn := testbed.Dial(t, addr)
			if _, err := io.WriteString(conn, d.begin); err != nil {
				t.Fatal(err)
			}
			dribbling.Go(func() { d.dribble(ctx, conn, gone) })
		}
	}
	return gone
}

func (d dribbler) dribble(ctx context.Context, conn net.Conn, gone chan<- string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	over := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, conn)
	})
	defer reading.Wait()
	defer conn.Close()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			_, _ = io.WriteString(conn, d.again[i%len(d.again):][:1]) // the reader tells when it is over
		case <-over:
			gone <- d.name
			return
		case <-ctx.Done():
			return
		}
	}
}

// TestSlowHeadsAreHungUpOn: however a head dribbles, HeadTimeout bounds it as a
// whole.
func TestSlowHeadsAreHungUpOn(t *testing.T) {
	kinds := []dribbler{
		{"request line", "G", "ET /x/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"fields", "GET /x/ HTTP/1.1\r\nHost: x\r\n", "X-A: 1\r\n"},
		{"second head", "GET /x/ HTTP/1.1\r\nHost: x\r\n\r\nGET", " /x/ HTTP/1.1\r\nHost: x\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"preface", "PRI", " * HTTP/2.0\r\n\r\nS"},
		{"header block", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x40\x00\x01\x01\x00\x00\x00\x01", "\x82"},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			kinds := kinds
			if w.lane == proxy.LaneExchange {
				kinds = kinds[:4] // net/http does not bound a header block of HTTP/2 by time
			}
			before := heap()
			s := start(t, w, hello(t), headTimeout(500*time.Millisecond))
			s.good(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			gone := dribblers(ctx, t, s.addr, kinds)
			bounded(t, before)
			open := map[string]int{}
			for _, d := range kinds {
				open[d.name] += crowd
			}
			for range crowd * len(kinds) {
				select {
				case name := <-gone:
					open[name]--
				case <-ctx.Done():
					t.Fatalf("still open after 3 s: %v", open)
				}
			}
		})
	}
}

// TestSlowBodiesDisturbNobody: a body may take as long as it likes; it costs
// little, and nobody else waits for it.
func TestSlowBodiesDisturbNobody(t *testing.T) {
	kinds := []dribbler{
		{"length", "POST /x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "a"},
		{"chunks", "POST /x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"},
		{"a chunk", "POST /x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", "a"},
		{"frame", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
			"\x00\x00\x06\x01\x04\x00\x00\x00\x01\x83\x86\x84\x41\x01x" + "\x00\x40\x00\x00\x00\x00\x00\x00\x01", "a"},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			s := start(t, w, hello(t), headTimeout(100*time.Millisecond))
			s.good(t)
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			defer cancel()
			gone := dribblers(ctx, t, s.addr, kinds)
			<-ctx.Done()
			bounded(t, before)
			select {
			case name := <-gone:
				t.Errorf("a slow body was hung up on: %s", name)
			default:
			}
		})
	}
}

// TestDeafCallersCostLittle: answers that nobody reads wait at the upstream.
func TestDeafCallersCostLittle(t *testing.T) {
	const size = 64 << 20
	for _, w := range ways {
		t.Run(w.name+" HTTP/1", func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			s := start(t, w, hello(t))
			s.good(t)
			for i := range 40 {
				conn := testbed.Dial(t, s.addr)
				ask := fmt.Sprintf("GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n", size)
				if i%2 == 0 { // pipelined ones are no way to more
					ask = strings.Repeat(ask, 1000)
				}
				if _, err := io.WriteString(conn, ask); err != nil {
					t.Fatal(err)
				}
			}
			steady(t, before)
		})
		for name, window := range map[string]uint32{"no window": 0, "great windows": 1<<31 - 1} {
			t.Run(fmt.Sprintf("%s HTTP/2 %s", w.name, name), func(t *testing.T) {
				testbed.Leaks(t)
				before := heap()
				s := start(t, w, hello(t))
				s.good(t)
				for range 5 {
					a := mute(t, s.addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
					a.frame(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1-65535) })
					for id := uint32(1); id < 200; id += 2 {
						a.headers(id, true, fmt.Sprintf("/bytes/%d", size))
					}
					a.flush()
				}
				steady(t, before)
			})
		}
	}
}

// TestDeafUpstreamsCostLittle: uploads that nobody reads wait at the caller.
func TestDeafUpstreamsCostLittle(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			testbed.Leaks(t)
			before := heap()
			deaf := testbed.Loopback(t)
			release := make(chan struct{})
			testbed.ServeConns(t, deaf, func(conn *net.TCPConn) { <-release })
			s := start(t, w, deaf.Addr().String())
			var sending sync.WaitGroup
			for range 30 {
				conn := testbed.Dial(t, s.addr)
				_ = conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				sending.Go(func() {
					block := make([]byte, 1<<20)
					_, _ = io.WriteString(conn, "POST /x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
					for range 100 {
						if _, err := conn.Write(block); err != nil {
							return // nobody takes more
						}
					}
					t.Error("somebody has taken it all")
				})
			}
			sending.Wait()
			bounded(t, before+30<<20) // the test's own blocks
			close(release)
		})
	}
}

// steady looks for a while whether the process stays bounded.
func steady(t *testing.T, before int64) {
	t.Helper()
	for until := time.Now().Add(600 * time.Millisecond); time.Now().Before(until) && !t.Failed(); {
		bounded(t, before)
	}
}
