package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// way is how a proxy carries HTTP.
type way struct {
	name string
	lane proxy.Lane
	rule string // a rule file, or empty
}

// other is a rule that can touch every connection and matches no exchange of
// these tests; matching matches those to /x and below.
const (
	other    = "route: other\nmatch: {http: \"/other/{id}\"}\nrequest:\n  - jq: .a = 1\nresponse:\n  - jq: .b = 2\n"
	matching = "route: x\nmatch: {http: /x/}\nrequest:\n  - head: .headers[\"x-rule\"] = \"1\"\nresponse:\n  - head: .headers[\"x-rule\"] = \"1\"\n"
)

var ways = []way{
	{"untouchable", "", ""},
	{"rules for another path", "", other},
	{"rules that match", "", matching},
	{"exchange lane", proxy.LaneExchange, ""},
}

// relayWays are those of the relay lane.
var relayWays = ways[:3]

// site is a proxy in front of an upstream.
type site struct {
	*proxy.Proxy
	addr string

	mu      sync.Mutex // guards records
	records []*proxy.Record
}

// start runs a proxy in front of upstream until the test ends.
func start(t *testing.T, w way, upstream string, options ...func(*proxy.Config)) *site {
	t.Helper()
	listener := testbed.Loopback(t)
	s := &site{addr: listener.Addr().String()}
	live := new(rules.Live)
	var files []rules.File
	if w.rule != "" {
		files = append(files, rules.File{Name: "rules/a.yaml", Text: []byte(w.rule)})
	}
	set, problems := rules.Compile(files)
	if set == nil {
		t.Fatalf("rules: %+v", problems)
	}
	live.Swap(set)
	config := proxy.Config{
		Listeners: []proxy.Listener{{Name: "test", Net: listener, Direction: rules.Inbound, Upstream: upstream}},
		Rules:     live,
		Lane:      w.lane,
		Observer:  s,
		Codecs:    codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}}),
	}
	for _, option := range options {
		option(&config)
	}
	p, err := proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.Proxy = p
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		p.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// Observe keeps the records of exchanges.
func (s *site) Observe(event proxy.Event) {
	if r, ok := event.(*proxy.Record); ok {
		s.mu.Lock()
		s.records = append(s.records, r.Clone())
		s.mu.Unlock()
	}
}

func headTimeout(d time.Duration) func(*proxy.Config) {
	return func(c *proxy.Config) { c.HeadTimeout = d }
}

// goodWait is how long a good caller waits at most, whatever happens beside it.
const goodWait = 2 * time.Second

// good asks the site for hello again and again, over HTTP/1 and HTTP/2, until the test
// ends, and fails the test if an answer is wrong or late.
func (s *site) good(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	for _, h2 := range []bool{false, true} {
		client := testbed.Client(t, h2, s.addr)
		asking.Go(func() { askUntil(ctx, t, client, "http://good.test/x/good", "hello") })
	}
	t.Cleanup(func() {
		cancel()
		asking.Wait()
	})
}

func askUntil(ctx context.Context, t *testing.T, client *http.Client, url, want string) {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for n := 0; ; n++ {
		began := time.Now()
		got, err := ask(client, url)
		switch took := time.Since(began); {
		case err != nil || got != want:
			t.Errorf("a good caller's exchange %d: got %.80q, %v, want %q", n, got, err, want)
			return
		case took > goodWait:
			t.Errorf("a good caller's exchange %d took %v, want at most %v", n, took, goodWait)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

func ask(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// heap is how much memory the process uses, after what is garbage is gone.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse + stats.StackInuse)
}

// maxGrowth is how much a hostile peer may make the process grow.
const maxGrowth = 64 << 20

// bounded fails the test if the process has grown too much since before.
func bounded(t *testing.T, before int64) {
	t.Helper()
	if grown := heap() - before; grown > maxGrowth {
		t.Errorf("the process has grown by %d MiB, want at most %d", grown>>20, maxGrowth>>20)
	}
}

// exchange writes request in one write and returns all that comes back until
// the connection ends, and how it ends: nil for a clean end.
func exchange(t *testing.T, addr, request string) (answer string, end error) {
	t.Helper()
	conn := testbed.Dial(t, addr)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testbed.Patience))
	var sending sync.WaitGroup
	sending.Go(func() { io.WriteString(conn, request) })
	got, err := io.ReadAll(conn)
	conn.Close()
	sending.Wait()
	return string(got), err
}

// refused checks an answer of Sluice's own to a request that it does not let
// pass, and that the connection ended after it.
func refused(answer string, end error, statuses ...int) error {
	if errors.Is(end, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection is not closed; got %.200q", answer)
	}
	for _, status := range statuses {
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) && !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.0 %d ", status)) {
			continue
		}
		head, _, _ := strings.Cut(strings.ToLower(answer), "\r\n\r\n")
		if !strings.Contains(head, "\r\nx-sluice-error: ") {
			return fmt.Errorf("no x-sluice-error: %.300q", answer)
		}
		if strings.Count(answer, "HTTP/1.") > 1 {
			return fmt.Errorf("more than one answer: %.500q", answer)
		}
		return nil
	}
	return fmt.Errorf("got %.200q, %s, want one of %v", answer, fmt.Sprint(end), statuses)
}

// nothing fails unless the upstream received not one byte.
func nothing(t *testing.T, upstream *testbed.Recorder) {
	t.Helper()
	for _, got := range upstream.Received() {
		if len(got) > 0 {
			t.Errorf("the upstream received %.200q", got)
		}
	}
}

// hello serves "hello" to every request and "/bytes/N"; it returns the address.
func hello(t *testing.T) string {
	block := bytes.Repeat([]byte("x"), 32<<10)
	return testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if size, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
			n := 0
			fmt.Sscan(size, &n)
			w.Header().Set("Content-Length", size)
			for ; n > 0; n -= len(block) {
				if _, err := w.Write(block[:min(n, len(block))]); err != nil {
					return
				}
			}
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	}))
}
