package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/config"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// A live request with the token names its record, which says why each route was
// or was not its own, and what the one in shadow would have done.
func TestALiveRequestIsExplained(t *testing.T) {
	dir := runtimeDir(t)
	folder := filepath.Join(dir, "rules")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"all.yaml":   "match: {http: /}\n",
		"own.yaml":   "match: {http: POST /orders}\nrequest: [{jq: .seen = true}]\n",
		"tried.yaml": "mode: shadow\nmatch: {http: POST /orders}\nrequest: [{jq: 'del(.email)'}]\nresponse: [{head: '.headers[\"x-v\"] = \"2\"'}]\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
	defer upstream.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := testbed.Loopback(t)
	cfg := execConfig(folder, filepath.Join(dir, "a.sock"))
	cfg.Admin.TokenFile = filepath.Join(dir, "token")
	if err := os.WriteFile(cfg.Admin.TokenFile, []byte("a token of 16 or more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(free.Addr().String())
	cfg.Admin.Listen = config.Address{Addr: at.Addr(), Port: at.Port()}
	free.Close()
	s, err := newSidecar(cfg, sidecarOptions{
		Listeners: []proxy.Listener{{Name: "test", Net: l, Direction: rules.Inbound, Upstream: upstream.Listener.Addr().String()}}, Stderr: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, nil) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	req, _ := http.NewRequest("POST", "http://"+l.Addr().String()+"/orders", strings.NewReader(`{"email": "a@b"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Sluice-Explain", "a token of 16 or more")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	id := resp.Header.Get("X-Sluice-Explain")
	if string(body) != `{"email": "a@b","seen": true}` || id == "" {
		t.Fatalf("got %s, %v", body, resp.Header)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"routes"}, []string{"SHADOW", "100.0% would differ of 1"}},
		{[]string{"routes", "tried"}, []string{"1 exchanges: 1 would_change", "request[0].jq", "1 times", "would_change, request -.email, response +x-v; sluice explain " + id}},
		{[]string{"explain", id}, []string{"own    chosen     POST /orders", "all    outranked  less specific: /", "tried  shadow", "in shadow: tried: would change\n  request -.email\n  response +x-v\n", "x-sluice-explain: [redacted]"}},
		{[]string{"tap", "--no-follow", "-o", "text"}, []string{"[tried in shadow]  would_change  request -.email response +x-v"}},
	} {
		testbed.Eventually(t, testbed.Patience, func() error {
			commands := map[string]func() *cobra.Command{"routes": newRoutesCmd, "explain": newExplainCmd, "tap": newTapCmd}
			got, err := sluice(t, commands[tt.args[0]], append(tt.args[1:], "--admin", cfg.Admin.Socket)...)
			if err != nil {
				return err
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					return fmt.Errorf("%q: got\n%s\nwant %s", tt.args, got, want)
				}
			}
			if strings.Contains(got, "a token of") {
				t.Errorf("%q shows the token", tt.args)
			}
			return nil
		})
	}
}
