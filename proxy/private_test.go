package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func private(c *proxy.Config) { c.PrivateReflection = true }

// asked counts the questions that a service was asked by reflection.
type asked struct {
	mu sync.Mutex
	n  int
}

func (a *asked) count(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if strings.HasPrefix(info.FullMethod, "/grpc.reflection.") {
		a.mu.Lock()
		a.n++
		a.mu.Unlock()
	}
	return handler(srv, s)
}

func (a *asked) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

// reflect asks a server for its services, in both versions.
func reflect(t *testing.T, conn *grpc.ClientConn) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := make(map[string]error)
	v1, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err == nil {
		_ = v1.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		_, err = v1.Recv()
	}
	got["v1"] = err
	alpha, err := reflectionv1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err == nil {
		_ = alpha.Send(&reflectionv1alpha.ServerReflectionRequest{MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{}})
		_, err = alpha.Recv()
	}
	got["v1alpha"] = err
	return got
}

func TestPrivateReflection(t *testing.T) {
	rule := "route: r\nmatch: {grpc: \"test.v1.Items/*\"}\nresponse: [{jq: '.name += \"!\"'}]\n"
	all := "route: all\nmatch: {grpc: \"*\"}\nresponse: [{head: '.headers[\"x-by\"] = \"rule\"'}]\n"
	for _, test := range []struct {
		name  string
		files []string
		want  string // of a call
		own   int    // questions of Sluice's
	}{
		{"no rules", nil, "a", 0},
		{"a rule that needs descriptors", []string{rule}, "a!", 1},
		{"a rule that matches reflection too", []string{all}, "a", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			testbed.Leaks(t)
			var questions asked
			s := startEcho(t, false, grpc.StreamInterceptor(questions.count))
			car := startSidecar(t, s.addr, test.files, private)
			conn := dialCalls(t, car.addr)
			for range 2 {
				for version, err := range reflect(t, conn) {
					want := fmt.Sprintf("unknown service grpc.reflection.%s.ServerReflection", version)
					if status.Code(err) != codes.Unimplemented || status.Convert(err).Message() != want {
						t.Errorf("%s: got %v, want UNIMPLEMENTED: %s", version, err, want)
					}
				}
				e := s.call(t.Context(), t, conn, get, []*dynamicpb.Message{s.named("a")})
				if !slices.Equal(e.names, []string{test.want}) {
					t.Errorf("got %v, want %s", e, test.want)
				}
			}
			e := s.call(t.Context(), t, conn, reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName, nil)
			if err := isReject(e, "UNIMPLEMENTED", "-; private_reflection"); err != nil || e.header != nil {
				t.Errorf("%v, head %v, want trailers only", err, e.header)
			}
			if n := questions.times(); n != test.own {
				t.Errorf("the service was asked %d times, want %d", n, test.own)
			}
			r := car.record(reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName)
			if r.Answered != "reject" || r.Error != nil || r.GRPCStatus != "UNIMPLEMENTED" || r.Attempts != 0 || r.Route != "" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestReflectionIsPrivateOnlyInbound(t *testing.T) {
	s := startEcho(t, false)
	for name, options := range map[string][]option{
		"outbound":    {private, func(c *proxy.Config) { c.Listeners[0].Direction = rules.Outbound }},
		"not private": nil,
	} {
		conn := dialCalls(t, startSidecar(t, s.addr, nil, options...).addr)
		if err := reflect(t, conn)["v1"]; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Servers of gRPC-Web and Connect speak HTTP/1, undo escapes and clean paths.
func TestPrivateReflectionInEverySpelling(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "told")
	})
	const service = "grpc.reflection.v1.ServerReflection"
	for _, h2 := range []bool{false, true} {
		car := startSidecar(t, upstream, nil, private)
		c := client(t, h2)
		for path, hidden := range map[string]bool{
			"/" + service + "/ServerReflectionInfo":                          true,
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": true,
			"/%67rpc%2Ereflection.v1.ServerReflection/ServerReflectionInfo":  true,
			"/" + service + "%2FServerReflectionInfo":                        true,
			"//" + service + "//ServerReflectionInfo/":                       true,
			"/x/../" + service + "/ServerReflectionInfo":                     true,
			"/api/" + service + "/ServerReflectionInfo":                      true,
			"/" + service + "/ServerReflectionInfo?connect=v1&message=x":     true,
			"/": false,
			"/?path=/" + service + "/ServerReflectionInfo": false,
			"/docs/grpc.reflection.v1.md":                  false,
			"/test.v1.Items/Get":                           false,
			"/my.grpc.reflection.Service/Get":              false,
		} {
			for _, media := range []string{"application/grpc-web+proto", "application/connect+proto", "application/json"} {
				req, err := http.NewRequest(http.MethodPost, "http://"+car.addr, bytes.NewReader(make([]byte, 100)))
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = "//" + car.addr + path
				req.Header.Set("Content-Type", media)
				resp, err := c.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if hidden != strings.HasSuffix(resp.Header.Get("X-Sluice-Error"), "; private_reflection") || hidden == (string(text) == "told") {
					t.Errorf("h2=%v %s %s: got %d %s, want hidden=%v", h2, media, path, resp.StatusCode, text, hidden)
				}
			}
		}
	}
}

// What rules come and go does not open it, and connections live on.
func TestPrivateReflectionOutlivesReloads(t *testing.T) {
	s := startEcho(t, false)
	car := startSidecar(t, s.addr, nil, private)
	conn := dialCalls(t, car.addr)
	for _, files := range [][]string{nil, {anyRule}, nil, {anyRule}} {
		car.use(files...)
		if err := reflect(t, conn)["v1"]; status.Code(err) != codes.Unimplemented {
			t.Errorf("%d rules: got %v", len(files), err)
		}
		if e := s.call(t.Context(), t, conn, chat, []*dynamicpb.Message{s.named("a")}); e.status.Code() != codes.OK {
			t.Errorf("%d rules: %v", len(files), e)
		}
	}
}
