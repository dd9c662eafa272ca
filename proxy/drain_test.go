package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func idleDrain(d time.Duration) option {
	return func(c *proxy.Config) { c.IdleDrain = d }
}

// load calls one until stop is called, from several goroutines, each with a
// client of its own. It returns how many calls there were.
func load(workers int, one func(c *http.Client) error, t *testing.T, h2 bool) (stop func() int64) {
	t.Helper()
	var calls atomic.Int64
	var running sync.WaitGroup
	ended := make(chan struct{})
	for range workers {
		c := client(t, h2)
		running.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				calls.Add(1)
				if err := one(c); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() int64 { close(ended); running.Wait(); return calls.Load() }
}

// post sends a POST, which no client repeats of itself.
func post(c *http.Client, url string) error {
	resp, err := c.Post(url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && string(got) != "hello" {
		err = fmt.Errorf("got %q", got)
	}
	return err
}

func echoBody(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }

func TestDrainFailsNoExchange(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), nil, idleDrain(time.Second))
	one := func(c *http.Client) error { return post(c, "http://"+s.addr+"/") }
	stop1, stop2 := load(4, one, t, false), load(4, one, t, true)
	fresh := load(1, func(*http.Client) error { // connections that begin while draining
		c := client(t, false)
		defer c.CloseIdleConnections()
		time.Sleep(5 * time.Millisecond)
		return one(c)
	}, t, false)
	drained := make(chan error, 1)
	testbed.Eventually(t, 5*time.Second, func() error {
		if n := s.Conns(); n < 8 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	go func() { drained <- s.Drain(t.Context()) }()
	select {
	case err := <-drained:
		t.Fatalf("drained under load: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	total := stop1() + stop2() + fresh()
	select {
	case err := <-drained:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("not drained: %d connections are left", s.Conns())
	}
	t.Logf("%d exchanges, none failed", total)
}

func TestDrainTellsCallersToGo(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), nil, idleDrain(10*time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(ctx) }()
	testbed.Eventually(t, time.Second, func() error {
		if !s.Draining() {
			return errors.New("not draining")
		}
		return nil
	})
	c := testbed.Dial(t, s.addr)
	testbed.Play(c, testbed.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))
	if got := responseOf(t, c); !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("got %q", got)
	}
	if err := testbed.Play(c, testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
	// An HTTP/2 connection that begins now is asked to go after its first answer.
	h2 := client(t, true)
	testbed.Eventually(t, 5*time.Second, func() error {
		if err := post(h2, "http://"+s.addr+"/"); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		opened := 0
		for _, e := range s.events {
			if _, ok := e.(*proxy.ConnOpened); ok {
				opened++
			}
		}
		if opened < 3 {
			return errors.New("its caller stays")
		}
		return nil
	})
	h2.CloseIdleConnections() // GOAWAY leaves it to the caller when
	testbed.Eventually(t, 5*time.Second, func() error {
		if n := s.Conns(); n > 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainLetsIdleConnectionsGo(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, echoBody), nil, idleDrain(100*time.Millisecond))
	kept := testbed.Dial(t, s.addr)
	testbed.Play(kept, testbed.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))
	responseOf(t, kept)
	silent := testbed.Dial(t, s.addr)
	h2 := client(t, true)
	if err := post(h2, "http://"+s.addr+"/"); err != nil {
		t.Fatal(err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]*net.TCPConn{"kept alive": kept, "silent": silent} {
		if err := testbed.Play(c, testbed.ExpectEnd()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDrainLetsALongStreamLiveUntilItsEnd(t *testing.T) {
	for _, kind := range []string{"h1", "h2", "raw"} {
		t.Run(kind, func(t *testing.T) {
			testbed.Leaks(t)
			next := make(chan struct{})
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				for range 2 {
					io.WriteString(w, "tick\n")
					http.NewResponseController(w).Flush()
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			})
			if kind == "raw" {
				upstream = testbed.Script(t, testbed.Loopback(t), testbed.Send("tick\n"), testbed.Await(next), testbed.Send("tick\n"), testbed.Hold())
			}
			s := startSidecar(t, upstream, nil, idleDrain(50*time.Millisecond))
			var stream io.Reader
			if kind == "raw" {
				stream = testbed.Dial(t, s.addr)
			} else {
				resp, err := client(t, kind == "h2").Get("http://" + s.addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				stream = resp.Body
			}
			tick := make([]byte, 5)
			if _, err := io.ReadFull(stream, tick); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("drain: %v", err)
			}
			next <- struct{}{}
			if _, err := io.ReadFull(stream, tick); err != nil {
				t.Errorf("after the drain: %v", err)
			}
			s.Close()
			if _, err := io.ReadFull(stream, tick); err == nil || errors.Is(err, io.EOF) && kind != "raw" {
				t.Errorf("after Close: %v, want an abort", err)
			}
			if n := s.Conns(); n != 0 {
				t.Errorf("%d connections are open after Close", n)
			}
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	testbed.Leaks(t)
	s := startSidecar(t, startHTTP(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
	var callers sync.WaitGroup
	for i := range 20 {
		c := client(t, i%2 == 0)
		callers.Go(func() {
			if resp, err := c.Get("http://" + s.addr + "/"); err == nil {
				t.Errorf("got %d", resp.StatusCode)
			}
		})
	}
	testbed.Eventually(t, 5*time.Second, func() error {
		if n := s.Conns(); n < 20 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	silent := testbed.Dial(t, s.addr)
	s.Close()
	callers.Wait()
	if n := s.Conns(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection lives on")
	}
}

// TestReloadUnderLoad swaps two sets, each of which marks the request and the
// response; an exchange sees one of them alone.
func TestReloadUnderLoad(t *testing.T) {
	testbed.Leaks(t)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request", r.Header.Get("X-Set"))
		w.Header().Set("Content-Type", "application/json")
		io.Copy(w, r.Body)
	})
	rule := func(set string) string {
		return fmt.Sprintf("route: any\nrequest:\n  - head: .headers[\"x-set\"] = %q\n  - jq: .request = %q\nresponse:\n  - head: .headers[\"x-response\"] = %q\n  - jq: .response = %q\n", set, set, set, set)
	}
	sets := []*rules.Set{compile(t, rule("one")), compile(t, rule("two")), compile(t)}
	s := startSidecar(t, upstream, []string{rule("one")})
	one := func(c *http.Client) error {
		resp, err := c.Post("http://"+s.addr+"/", "application/json", strings.NewReader(`{}`))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		set := resp.Header.Get("X-Request")
		want := fmt.Sprintf(`{"request":%q,"response":%q}`, set, set)
		if set == "" {
			want = "{}"
		}
		if resp.StatusCode != 200 || resp.Header.Get("X-Response") != set || string(body) != want {
			return fmt.Errorf("neither set: %d %q %s", resp.StatusCode, resp.Header, body)
		}
		return nil
	}
	stop1, stop2 := load(3, one, t, false), load(3, one, t, true)
	for i := range 200 {
		s.live.Swap(sets[i%len(sets)])
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("%d exchanges", stop1()+stop2())
	if n := s.Conns(); n != 6 {
		t.Errorf("%d connections, want the six of the beginning", n)
	}
}
