package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// reloads are the rule files of a set, by name. Each marks what passes.
func reloads(set string) map[string]string {
	q := func(text string) string { return strings.ReplaceAll(text, "SET", set) }
	return map[string]string{
		"web.yaml": q("match: {http: \"POST /{$}\"}\nrequest:\n  - head: .headers[\"x-set\"] = \"SET\"\n  - jq: .request = \"SET\"\n" +
			"response:\n  - head: .headers[\"x-response\"] = \"SET\"\n  - jq: .response = \"SET\"\n"),
		"feed.yaml":  q("match: {http: /feed}\nresponse: [{jq: .data.set = \"SET\"}]\n"),
		"chat.yaml":  q("match: {http: GET /chat}\nresponse: [{jq: .set = \"SET\"}]\n"),
		"items.yaml": q("match: {grpc: test.v1.Items/*}\nrequest: [{jq: '.name = \"SET:\" + .name'}]\nresponse: [{jq: '.name += \":SET\"'}]\n"),
	}
}

// half is what there is of a text before all of it is written: no rule file.
func half(text string) string { return text[:strings.Index(text, "jq:")] + "{" }

// speaks answers with what it is asked, or speaks on and on.
func speaks(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/chat":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(conn, fromUpstream(wsText, `{"say":"hi"}`))
			time.Sleep(5 * time.Millisecond)
		}
	case "/feed":
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			io.WriteString(w, "data: {\"say\":\"hi\"}\n\n")
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	default:
		w.Header().Set("X-Request", r.Header.Get("X-Set"))
		w.Header().Set("Content-Type", "application/json")
		io.Copy(w, r.Body)
	}
}

// answered checks an exchange that one set alone may have marked.
func answered(c *http.Client, addr string) error {
	resp, err := c.Post("http://"+addr+"/", "application/json", strings.NewReader(`{}`))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	set, want := resp.Header.Get("X-Request"), "{}"
	if set != "" {
		want = fmt.Sprintf(`{"request":%q,"response":%q}`, set, set)
	}
	if resp.StatusCode != 200 || resp.Header.Get("X-Response") != set || string(body) != want {
		return fmt.Errorf("of no set alone: %d %q %s", resp.StatusCode, resp.Header, body)
	}
	return nil
}

// underLoad is what goes on while rule files change.
type underLoad struct {
	*testing.T
	ctx      context.Context //nolint:containedctx // of the whole load, as T is of the test
	messages atomic.Int64
	running  sync.WaitGroup
	sets     sync.Map // that marked a message of a stream
}

// do repeats one until the load ends, whose ends are no failures.
func (u *underLoad) do(name string, one func() error) {
	u.running.Go(func() {
		for u.ctx.Err() == nil {
			if err := one(); err != nil && u.ctx.Err() == nil {
				u.Errorf("%s: %v", name, err)
				return
			}
			u.messages.Add(1)
		}
	})
}

// marked checks one message by the pattern, whose group is the set.
func (u *underLoad) marked(got string, pattern *regexp.Regexp) error {
	m := pattern.FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("got %q, want %s", got, pattern)
	}
	u.sets.Store(pattern.String()+" "+m[1], true)
	return nil
}

var (
	eventPattern = regexp.MustCompile(`^data: {"say":"hi"(?:,"set":"(one|two)")?}\n\n$`)
	framePattern = regexp.MustCompile(`^{"say":"hi"(?:,"set":"(one|two)")?}$`)
	itemPattern  = regexp.MustCompile(`^(?:one:|two:)?x(?::(one|two))?$`)
	unaryPattern = regexp.MustCompile(`^(?:x|one:x:(one)|two:x:two)$`)
)

// TestReloadingFilesTenTimesASecondFailsNoExchange changes the rule files as
// people and programs do, well and badly, under load of every kind.
func TestReloadingFilesTenTimesASecondFailsNoExchange(t *testing.T) {
	testbed.Leaks(t)
	dir := t.TempDir()
	replace := func(name, text string) {
		temp := filepath.Join(dir, "."+name)
		if err := errors.Join(os.WriteFile(temp, []byte(text), 0o644), os.Rename(temp, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	each := func(set map[string]string, write func(name, text string)) {
		for name, text := range set {
			write(name, text)
		}
	}
	each(reloads("one"), replace)
	live := new(rules.Live)
	var refused atomic.Int64
	watcher, problems, err := watch.New(dir, live, watch.Options{OnResult: func(r watch.Result) {
		if r.Err != nil {
			refused.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err, problems)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watcher.Run(ctx)
	}()

	underLive := func(c *proxy.Config) { c.Rules = live }
	web := startSidecar(t, startHTTP(t, speaks), nil, underLive)
	service := startEcho(t, false)
	calls := startSidecar(t, service.addr, nil, underLive)
	u := &underLoad{T: t, ctx: ctx}
	for range 2 {
		one, two := client(t, false), client(t, true)
		u.do("HTTP/1", func() error { return answered(one, web.addr) })
		u.do("HTTP/2", func() error { return answered(two, web.addr) })
		u.call(service, calls.addr)
	}
	u.events(web.addr, false)
	u.events(web.addr, true)
	u.socket(web.addr)
	u.chat(service, calls.addr)

	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 30 {
		<-tick.C
		switch i % 6 {
		case 0, 3:
			each(reloads("two"), replace)
		case 1: // without a rename, and half of one first
			each(reloads("one"), func(name, text string) {
				os.WriteFile(filepath.Join(dir, name), []byte(half(text)), 0o644)
				os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
			})
		case 2:
			replace("web.yaml", half(reloads("two")["web.yaml"]))
		case 4: // no rule touches a connection
			each(reloads("one"), func(name, text string) { replace(name, text+"mode: off\n") })
		case 5:
			if _, err := watcher.Edit(ctx, watch.Edit{Route: "feed", Text: []byte(reloads("one")["feed.yaml"])}); err != nil {
				t.Error(err)
			}
		}
	}
	generations := live.Load().Number
	for _, e := range web.told() {
		if closed, ok := e.(*proxy.ConnClosed); ok && closed.Error != nil {
			t.Errorf("a connection was closed: %v", closed.Error)
		}
		if r, ok := e.(*proxy.Record); ok && r.Error != nil {
			t.Errorf("%s: %v", r.Call.Head.Path, r.Error)
		}
	}
	stop()
	u.running.Wait()
	<-watching
	marks := 0
	u.sets.Range(func(any, any) bool { marks++; return true })
	t.Logf("%d exchanges and messages, %d generations, %d refused, %d kinds of marks", u.messages.Load(), generations, refused.Load(), marks)
	if generations < 10 || refused.Load() == 0 {
		t.Errorf("only %d generations, %d refused", generations, refused.Load())
	}
}

// call makes unary calls one after the other.
func (u *underLoad) call(s *items, addr string) {
	conn := dialCalls(u, addr)
	u.do("unary", func() error {
		out := s.named("")
		if err := conn.Invoke(u.ctx, get, s.named("x"), out); err != nil {
			return err
		}
		return u.marked(nameOf(out), unaryPattern)
	})
}

// chat has one stream open from the first message to the last.
func (u *underLoad) chat(s *items, addr string) {
	stream, err := dialCalls(u, addr).NewStream(u.ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, chat)
	if err != nil {
		u.Fatal(err)
	}
	u.do("gRPC stream", func() error {
		if err := stream.SendMsg(s.named("x")); err != nil {
			return err
		}
		m, err := s.recv(stream)
		if err != nil {
			return err
		}
		return u.marked(nameOf(m), itemPattern)
	})
}

// events reads one stream of events.
func (u *underLoad) events(addr string, http2 bool) {
	req, err := http.NewRequestWithContext(u.ctx, http.MethodGet, "http://"+addr+"/feed", nil)
	if err != nil {
		u.Fatal(err)
	}
	resp, err := client(u.T, http2).Do(req)
	if err != nil {
		u.Fatal(err)
	}
	context.AfterFunc(u.ctx, func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	u.do("events", func() error {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		end, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		return u.marked(line+end, eventPattern)
	})
}

// socket reads one WebSocket.
func (u *underLoad) socket(addr string) {
	conn := testbed.Dial(u, addr)
	io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if _, err := testbed.ReadUntil(conn, endHead); err != nil {
		u.Fatal(err)
	}
	context.AfterFunc(u.ctx, func() { conn.Close() })
	u.do("WebSocket", func() error {
		frame, err := testbed.ReadUntil(conn, "}")
		if err != nil {
			return err
		}
		return u.marked(string(frame[2:]), framePattern) // behind opcode and length
	})
}
