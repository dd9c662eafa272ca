package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parts is a Sluice as the API sees it.
type parts struct {
	mu            sync.Mutex
	state         string
	drained, quit bool
}

func (p *parts) List() []Breaker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return []Breaker{{Name: "pay@pay:80", State: p.state}}
}

func (p *parts) Set(name, action string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = map[string]string{"open": "forced_open", "close": "closed", "reset": "closed"}[action]
	return nil
}

func (p *parts) ServeTap(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, `{"type":"exchange"}`)
	if r.URL.Query().Has("follow") {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func (p *parts) ServeExchange(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.PathValue("id"))
}

const ruleFile = `route: orders
match:
  http: GET /orders
request:
  - jq: .a = 1
upstream:
  breaker:
    open: 7s
`

func compiled(t *testing.T) *rules.Live {
	t.Helper()
	set, problems := rules.Compile([]rules.File{{Name: "rules/orders.yaml", Text: []byte(ruleFile)}})
	if set == nil {
		t.Fatal(problems)
	}
	live := new(rules.Live)
	live.Swap(set)
	return live
}

// start serves a whole API and returns its config, and clients for TCP and for
// the socket.
func start(t *testing.T, change ...func(*Config)) (s *Server, p *parts, socket *http.Client) {
	t.Helper()
	p = &parts{state: "closed"}
	config := Config{
		Listen: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "sluice", "admin.sock"),
		Tap: p, Rules: compiled(t), Breakers: p, Level: new(slog.LevelVar), Explain: explainer(compiled(t)),
		Status: func() Status { return Status{PID: 7, Version: "v1", Ready: true} },
		Config: func() any { return map[string]string{"rules": "./rules"} },
		Drain:  func() { p.mu.Lock(); p.drained = true; p.mu.Unlock() },
		Quit:   func() { p.mu.Lock(); p.quit = true; p.mu.Unlock() },
	}
	for _, c := range change {
		c(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	socket = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.config.Socket)
	}}}
	t.Cleanup(func() {
		socket.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, p, socket
}

func call(t *testing.T, c *http.Client, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func tokenOf(t *testing.T, s *Server) string {
	t.Helper()
	text, err := os.ReadFile(s.token.made)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestTokenHostAndOrigin(t *testing.T) {
	s, p, socket := start(t)
	tcp := "http://" + s.Addr().String()
	_, port, _ := net.SplitHostPort(s.Addr().String())
	token := tokenOf(t, s)
	paths := func(token bool) (list [][2]string) {
		for _, r := range s.routes() {
			if r.token == token {
				path := strings.NewReplacer("{$}", "", "{id}", "x", "{name}", "orders", "{profile}", "cmdline").Replace(r.pattern)
				list = append(list, [2]string{r.method, path})
			}
		}
		return list
	}
	for _, r := range paths(true) {
		for name, header := range map[string][]string{
			"no token":     nil,
			"wrong token":  {"Authorization", "Bearer " + token[1:]},
			"empty token":  {"Authorization", "Bearer "},
			"other scheme": {"Authorization", "Basic " + token},
		} {
			if status, body := call(t, http.DefaultClient, r[0], tcp+r[1], "", header...); status != 401 || !strings.Contains(body, `"error"`) {
				t.Errorf("%s %s with %s: got %d %s, want 401", r[0], r[1], name, status, body)
			}
		}
		if status, body := call(t, http.DefaultClient, r[0], tcp+r[1], "", "Authorization", "bearer "+token); status == 401 || status == 403 {
			t.Errorf("%s %s with the token: got %d %s", r[0], r[1], status, body)
		}
		if status, body := call(t, socket, r[0], "http://sluice"+r[1], "", "Origin", "http://evil.example"); status == 401 || status == 403 {
			t.Errorf("%s %s over the socket: got %d %s", r[0], r[1], status, body)
		}
	}
	if !p.quit || !p.drained {
		t.Errorf("quit %t, drained %t; want both", p.quit, p.drained)
	}
	for _, r := range paths(false) {
		if status, body := call(t, http.DefaultClient, r[0], tcp+r[1], ""); status != 200 {
			t.Errorf("%s %s without a token: got %d %s, want 200", r[0], r[1], status, body)
		}
	}
	for _, test := range []struct {
		host, origin string
		want         int
	}{
		{"localhost:" + port, "", 200},
		{"LOCALHOST", "", 200},
		{"127.0.0.1:15999", "", 200}, // a forwarded port
		{"[::1]:" + port, "", 200},
		{"evil.example:" + port, "", 403},
		{"127.0.0.1.evil.example", "", 403},
		{"10.0.0.1:" + port, "", 403},
		{"localhost:" + port, "http://localhost:" + port, 200},
		{"localhost:" + port, "http://127.0.0.1:" + port, 403},
		{"localhost:" + port, "http://localhost:1", 403},
		{"localhost:" + port, "https://localhost:" + port, 403},
		{"localhost:" + port, "http://evil.example", 403},
		{"localhost:" + port, "null", 403},
	} {
		header := []string{"Host", test.host, "Authorization", "Bearer " + token}
		if test.origin != "" {
			header = append(header, "Origin", test.origin)
		}
		if status, _ := call(t, http.DefaultClient, "GET", tcp+"/config", "", header...); status != test.want {
			t.Errorf("Host %s, Origin %q: got %d, want %d", test.host, test.origin, status, test.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	_, p, socket := start(t)
	for _, test := range []struct {
		request, body string
		status        int
		want          string
	}{
		{"GET /status", "", 200, `"generation":1,"hash":"`},
		{"GET /status", "", 200, `"routes":1,"breakers":{"closed":1}}`},
		{"GET /routes", "", 200, `{"name":"orders","file":"rules/orders.yaml","line":1,"request":true,"response":false,"breaker":{"window":"10s","open":"7s","probes":`},
		{"GET /routes/orders", "", 200, `{"name":"orders","file":`},
		{"GET /routes/other", "", 404, `{"error":"no route \"other\""}`},
		{"PUT /routes/orders", "", 404, `{"error":"this Sluice has no rules directory"}`},
		{"DELETE /routes/orders", "", 404, `no rules directory`},
		{"POST /explain", `{"method": "GET", "url": "http://orders/orders", "body": {"a": 2}}`, 200, `"route":"orders"`},
		{"POST /explain", `{"method": "GET", "url": "ftp://orders/orders"}`, 400, `\"ftp\" is none of http, https, grpc`},
		{"POST /explain", `{"method": "GET", "link": "/"}`, 400, `unknown field`},
		{"POST /explain", `{"method": "GET", "url": "orders/unexplained"}`, 422, `{"error":"not that one"}`},
		{"GET /breakers", "", 200, `{"breakers":[{"name":"pay@pay:80","state":"closed"`},
		{"POST /breakers/pay@pay:80", `{"state":"open"}`, 200, `"state":"forced_open"`},
		{"POST /breakers/pay@pay:80", `{"state":"broken"}`, 400, `"broken\" is none of open, close, reset`},
		{"POST /breakers/pay@pay:80", `open`, 400, `the body is`},
		{"POST /breakers/none@pay:80", `{"state":"open"}`, 404, `no breaker`},
		{"GET /exchanges/x9", "", 200, `x9`},
		{"GET /config", "", 200, `{"rules":"./rules"}`},
		{"GET /loglevel", "", 200, `{"level":"info"}`},
		{"PUT /loglevel", `{"level":"debug"}`, 200, `{"level":"debug"}`},
		{"PUT /loglevel", `{"level":"loud"}`, 400, `"error"`},
		{"GET /debug/pprof/goroutine?debug=1", "", 200, `goroutine profile: total`},
		{"GET /debug/pprof/", "", 200, `<html>`},
		{"GET /", "", 200, "* POST   /quitquitquit\n"},
		{"GET /nothing", "", 404, `{"error":"no such path`},
		{"GET /quitquitquit", "", 405, `{"error":"/quitquitquit takes POST"}`},
		{"POST /breakers/pay@pay:80", strings.Repeat(" ", 2<<20), 400, `too large`},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		status, body := call(t, socket, method, "http://sluice"+path, test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %.40s: got %d %s, want %d %s", test.request, test.body, status, body, test.status, test.want)
		}
	}
	if p.quit || p.drained {
		t.Error("something quit or drained")
	}
}

func TestOpenAPIListsExactlyWhatIsServed(t *testing.T) {
	var document struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(openapi, &document); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for path, methods := range document.Paths {
		for method, operation := range methods {
			_, token := operation.Security[0]["token"]
			_, unauthorized := operation.Responses["401"]
			if token != unauthorized {
				t.Errorf("%s %s: token %t, 401 %t", method, path, token, unauthorized)
			}
			got = append(got, fmt.Sprint(strings.ToUpper(method), " ", path, " token=", token))
		}
	}
	for _, r := range new(Server).routes() {
		want = append(want, fmt.Sprint(r.method, " ", strings.TrimSuffix(r.pattern, "{$}"), " token=", r.token))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSocketAndTokenAreForTheirOwnerAndGoneAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "7.sock")
	s, err := New(Config{Listen: "localhost:0", Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, filepath.Join(dir, "sub", "7.token")} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v; want mode 0600", file, info.Mode(), err)
		}
	}
	if _, err := New(Config{Socket: path}); err == nil || !strings.Contains(err.Error(), "another Sluice is serving it") {
		t.Errorf("a live socket: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "sub"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s, err := New(Config{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	// One that somebody put in its place meanwhile stays.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("another's socket was removed: %v", err)
	}
}

func TestWhatNewRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "a.sock")
	for want, c := range map[string]Config{
		"neither listen nor socket": {},
		"is not loopback":           {Listen: "0.0.0.0:0", Socket: socket},
		":0 is not loopback":        {Listen: ":0", Socket: socket},
		"example.org:1 is not":      {Listen: "example.org:1", Socket: socket},
		"missing port":              {Listen: "localhost", Socket: socket},
		"the token needs a place":   {Listen: "localhost:0"},
		"at least 16 characters":    {Listen: "localhost:0", TokenFile: file},
		"no such file":              {Listen: "localhost:0", TokenFile: file + "x"},
		"is there and is no socket": {Socket: file},
		"not a directory":           {Socket: filepath.Join(file, "a.sock")},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", c, err, want)
		}
	}
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a socket is left behind: %v", err)
	}
}

func TestAConfiguredTokenFileStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" 0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Listen: "127.0.0.1:0", TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer 0123456789abcdef")
	if !s.token.allows(r) {
		t.Error("the token is refused")
	}
	s.Close()
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestServeEndsThoughATapIsFollowed(t *testing.T) {
	s, err := New(Config{Socket: filepath.Join(t.TempDir(), "a.sock"), Tap: &parts{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	conn, err := net.Dial("unix", s.config.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /tap?follow HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the follower got %v, want a clean end", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
