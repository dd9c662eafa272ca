package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestACallerWithTheTokenIsToldWhichRecordIsOfItsRequest(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"got": %q, "body": %s}`, r.Header.Values("X-Sluice-Explain"), body)
	})
	rule := "route: own\nmatch: {http: /own/}\nrequest:\n  - when: .no == true\n    reject: {status: 422}\n  - jq: .a = 1\n"
	allow := func(c *proxy.Config) { c.ExplainToken = func(given string) bool { return given == "t0ken" } }
	for _, lane := range []proxy.Lane{"", proxy.LaneExchange} {
		for _, h2 := range []bool{false, true} {
			s := startSidecar(t, upstream, []string{rule}, allow, func(c *proxy.Config) { c.Lane = lane })
			for i, tt := range []struct {
				path, token, body string
				status            int
				got               string // by the upstream, of the field
				pointed           bool
			}{
				{"/own/a", "t0ken", "{}", 200, `{"got": [], "body": {"a":1}}`, true},
				{"/own/b", "t0ken", `{"no":true}`, 422, "", true},
				{"/own/c", "t0ken", `{`, 400, "", true},
				{"/other/d", "t0ken", "{}", 200, `{"got": [], "body": {}}`, true},
				{"/own/e", "wrong", "{}", 200, `{"got": ["wrong"], "body": {"a":1}}`, false},
				{"/other/f", "wrong", "{}", 200, `{"got": ["wrong"], "body": {}}`, false},
				{"/other/g", "", "{}", 200, `{"got": [], "body": {}}`, false},
			} {
				t.Run(fmt.Sprintf("%s h2 %v %d", lane, h2, i), func(t *testing.T) {
					req, _ := http.NewRequest("POST", "http://"+s.addr+tt.path, strings.NewReader(tt.body))
					req.Header.Set("Content-Type", "application/json")
					if tt.token != "" {
						req.Header.Set("X-Sluice-Explain", tt.token)
					}
					resp, err := client(t, h2).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					got, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					r := s.record(tt.path)
					want := ""
					if tt.pointed {
						want = r.ID
					}
					if resp.StatusCode != tt.status || tt.got != "" && string(got) != tt.got || resp.Header.Get("X-Sluice-Explain") != want {
						t.Errorf("got %d %s %q, want %d %s %q", resp.StatusCode, got, resp.Header, tt.status, tt.got, want)
					}
					if strings.Contains(fmt.Sprintf("%+v %+v %+v", r.Call.Head, r.Request.In, r.Request.Out), "t0ken") {
						t.Errorf("the token is told: %+v", r.Request.In)
					}
				})
			}
		}
	}
}

func TestACallWithTheTokenIsToldWhichRecordIsOfIt(t *testing.T) {
	s := startEcho(t, false)
	const refusing = "route: no\nmatch: {grpc: \"test.v1.Items/*\"}\nrequest:\n  - when: .name == \"a\"\n    reject: {grpc: ABORTED}\n"
	allow := func(c *proxy.Config) { c.ExplainToken = func(given string) bool { return given == "t0ken" } }
	for _, lane := range []proxy.Lane{"", proxy.LaneExchange} {
		for _, rule := range []string{headOnly, untouching, shouting, refusing} {
			for method, names := range map[string][]string{get: {"a"}, list: {"b"}, collect: {"c", "d"}, chat: {"e"}} {
				car := startSidecar(t, s.addr, []string{rule}, allow, func(c *proxy.Config) { c.Lane = lane })
				var in []*dynamicpb.Message
				for _, name := range names {
					in = append(in, s.named(name))
				}
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-sluice-explain", "t0ken")
				var head, tail metadata.MD
				e := s.call(ctx, t, dialCalls(t, car.addr), method, in, grpc.Header(&head), grpc.Trailer(&tail))
				r := await(car, func(r *proxy.Record) bool {
					return r.Protocol == proxy.GRPC && r.Call.Service != "grpc.reflection.v1.ServerReflection"
				})
				if got := append(head.Get("x-sluice-explain"), tail.Get("x-sluice-explain")...); len(got) != 1 || got[0] != r.ID {
					t.Errorf("%s %.12s %s: got %q, want %s; %v", lane, rule, method, got, r.ID, e)
				}
				if strings.Contains(fmt.Sprintf("%+v %+v", r.Request.In, r.Request.Out), "t0ken") || r.Request.Out.Fields.Has("x-sluice-explain") {
					t.Errorf("%s %.12s %s: the token goes on: %+v", lane, rule, method, r.Request.Out)
				}
			}
		}
	}
}
