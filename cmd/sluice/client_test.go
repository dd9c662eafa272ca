package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/admin"
	"github.com/sluice-proxy/sluice/proxy/tap"
	"github.com/sluice-proxy/sluice/rules"
)

// observed is a sidecar that other tests' traffic went through: the admin API
// with a tap, rules and one breaker.
type observed struct {
	socket string
	server *admin.Server
	tap    *tap.Tap
	stop   func()

	mu    sync.Mutex
	state string
}

func (o *observed) List() []admin.Breaker {
	o.mu.Lock()
	defer o.mu.Unlock()
	return []admin.Breaker{{Name: "pay@pay:80", State: o.state, Counts: admin.Counts{Requests: 20, Failures: 11}, RetryAfterSeconds: 1.5}}
}

func (o *observed) Set(_, action string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = map[string]string{"open": "forced_open", "close": "closed", "reset": "closed"}[action]
	return nil
}

// runtimeDir is an XDG_RUNTIME_DIR short enough for a socket's path.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", dir)
	return dir
}

// observe starts one at socket.
func observe(t *testing.T, socket string) *observed {
	t.Helper()
	set, problems := rules.Compile([]rules.File{{Name: "rules/pay.yaml", Text: []byte("route: pay\nmatch:\n  http: POST /pay\nrequest:\n  - jq: .a = 1\nupstream:\n  breaker:\n    open: 7s\n")}})
	if set == nil {
		t.Fatal(problems)
	}
	live := new(rules.Live)
	live.Swap(set)
	o := &observed{socket: socket, tap: tap.New(tap.Config{}), state: "closed"}
	var err error
	o.server, err = admin.New(admin.Config{
		Socket: socket, Listen: "127.0.0.1:0", Tap: o.tap, Rules: live, Breakers: o,
		Status: func() admin.Status {
			return admin.Status{
				PID: 7, Version: "v1", Ready: true, UptimeSeconds: 182.5, Connections: 3, Command: []string{"./shop"},
				Listeners: []admin.Listener{{Name: "inbound", Address: ":15006", Direction: "inbound"}, {Name: "127.0.0.1:8080", Address: "127.0.0.1:8080", Direction: "inbound", Upstream: "127.0.0.1:9000"}},
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.server.Serve(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(o.stop)
	return o
}

func (o *observed) exchange(id, route, path string, status int) {
	head := &rules.Head{Method: "GET", Path: path, Host: "orders"}
	answer := &rules.Head{Status: status}
	o.tap.Observe(&proxy.Record{
		ID: id, Protocol: proxy.HTTP1, Lane: proxy.LaneExchange, Route: route, Status: status,
		Started: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Duration: time.Millisecond,
		Call:     &rules.Request{ID: id, Direction: rules.Inbound, Head: head, Peer: netip.MustParseAddrPort("10.0.0.9:4000")},
		Request:  proxy.Half{In: head, Out: head},
		Response: proxy.Half{In: answer, Out: answer},
	})
}

// sluice runs newCmd with args and returns what it printed.
func sluice(t *testing.T, newCmd func() *cobra.Command, args ...string) (string, error) {
	t.Helper()
	cmd := newCmd()
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	return exitFailed
}

func TestTheOnlySidecarIsFound(t *testing.T) {
	dir := runtimeDir(t)
	if _, err := sluice(t, newStatusCmd); exitCode(err) != exitFailed || !strings.Contains(err.Error(), "no sidecar runs") {
		t.Errorf("with none: got %v", err)
	}
	first := observe(t, filepath.Join(dir, "sluice", "1.sock"))
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "sluice", "0.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if out, err := sluice(t, newStatusCmd); err != nil || !strings.Contains(out, "v1, pid 7") {
		t.Errorf("with one and a stale one: got %q, %v", out, err)
	}
	second := observe(t, filepath.Join(dir, fmt.Sprintf("sluice-%d", os.Getuid()), "2.sock"))
	_, err = sluice(t, newStatusCmd)
	if err == nil || !strings.Contains(err.Error(), first.socket) || !strings.Contains(err.Error(), second.socket) {
		t.Errorf("with two: got %v, want both listed", err)
	}
	if out, err := sluice(t, newStatusCmd, "--admin", second.socket); err != nil || out == "" {
		t.Errorf("with two and --admin: got %q, %v", out, err)
	}
	first.stop()
	if _, err := sluice(t, newStatusCmd); err != nil {
		t.Errorf("after one ended: got %v", err)
	}
}

func TestADirectoryOfAnotherUserIsNotTrusted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: gives a directory to another user")
	}
	dir := t.TempDir()
	if !trusted(dir) {
		t.Error("the own directory is not trusted")
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if trusted(dir) {
		t.Error("another's directory is trusted")
	}
}

func TestAnAddressNeedsTheToken(t *testing.T) {
	dir := runtimeDir(t)
	o := observe(t, filepath.Join(dir, "a.sock"))
	o.exchange("x1", "pay", "/pay", 200)
	address := o.server.Addr().String()
	if _, err := sluice(t, newTapCmd, "--no-follow", "--admin", address); err == nil || !strings.Contains(err.Error(), "--token-file") {
		t.Errorf("without: got %v", err)
	}
	token := filepath.Join(dir, "a.token")
	for _, at := range []string{address, "http://" + address} {
		if out, err := sluice(t, newTapCmd, "--no-follow", "--admin", at, "--token-file", token); err != nil || !strings.Contains(out, `"id":"x1"`) {
			t.Errorf("with: got %q, %v", out, err)
		}
	}
	if _, err := sluice(t, newStatusCmd, "--admin", "nowhere"); exitCode(err) != exitUsage {
		t.Errorf("a wrong --admin: got %v, want a usage error", err)
	}
}

func TestStatusRoutesAndBreakers(t *testing.T) {
	dir := runtimeDir(t)
	observe(t, filepath.Join(dir, "sluice", "a.sock"))
	for _, test := range []struct {
		cmd  func() *cobra.Command
		args string
		code int
		want string
	}{
		{newStatusCmd, "", 0, "sluice     v1, pid 7, up 3m2s\ncommand    ./shop\nstate      ready\nlisteners  :15006 inbound\n           127.0.0.1:8080 inbound to 127.0.0.1:9000\nconns      3 open\nrules      generation 1, 1 route, hash "},
		{newStatusCmd, "", 0, "breakers   1 closed\n"},
		{newStatusCmd, "-o json", 0, "{\n  \"pid\": 7,"},
		{newStatusCmd, "-o yaml", exitUsage, "neither text nor json"},
		{newStatusCmd, "extra", exitUsage, "unknown command"},
		{newRoutesCmd, "", 0, "ROUTE  STEPS    BREAKER                        ON_ERROR  FILE\npay    request  window 10s, open 7s, probes 1"},
		{newRoutesCmd, "pay", 0, "limits    body 8388608 bytes, message 4194304 bytes, 5000000 jq steps, 1s\n"},
		{newRoutesCmd, "nope", exitFailed, `no route "nope"`},
		{newRoutesCmd, "-o json", 0, `"generation": 1`},
		{newBreakersCmd, "", 0, "BREAKER     STATE   SINCE  REQUESTS  FAILURES  RETRY\npay@pay:80  closed  -      20        11        in 1.5s\n"},
		{newBreakersCmd, "open pay@pay:80", 0, "forced_open"},
		{newBreakersCmd, "reset pay@pay:80 -o json", 0, `"state": "closed"`},
		{newBreakersCmd, "open", exitUsage, "accepts 1 arg"},
		{newBreakersCmd, "open nobody@pay:80", exitFailed, `no breaker "nobody@pay:80"`},
	} {
		out, err := sluice(t, test.cmd, strings.Fields(test.args)...)
		if err != nil {
			out += err.Error()
		}
		if exitCode(err) != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%s %s: got %d %s, want %d %s", test.cmd().Name(), test.args, exitCode(err), out, test.code, test.want)
		}
	}
}
