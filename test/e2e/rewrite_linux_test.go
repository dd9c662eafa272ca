package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// Promise: a rule changes what passes, inbound and outbound, HTTP and gRPC,
// IPv4 and IPv6, while the service and its peers know nothing of it.

const rewriteHTTP = `
route: http.%[1]s
match: {direction: %[1]s, http: POST /orders, port: 8080}
request:
  - jq: .via = "%[1]s" | del(.secret)
  - head: .headers["x-via"] = $body.via
`

const rewriteGRPC = `
route: grpc.%[1]s
match: {direction: %[1]s, grpc: grpc.testing.TestService/UnaryCall}
response:
  - jq: .username = "%[1]s"
`

func TestRewritesBothDirections(t *testing.T) {
	p := newPod(t)
	for _, direction := range []string{"inbound", "outbound"} {
		p.rule("http."+direction, fmt.Sprintf(rewriteHTTP, direction))
		p.rule("grpc."+direction, fmt.Sprintf(rewriteGRPC, direction))
	}
	p.start()
	for _, f := range families {
		for _, way := range []struct {
			direction string
			from      *netns.Host
			as        netns.As
			to        string
		}{
			{"inbound", p.peer, netns.As{}, f.pod},
			{"outbound", p.Host, service, f.peer},
		} {
			t.Run(way.direction+" "+f.name, func(t *testing.T) {
				for _, h2 := range []bool{false, true} {
					got := p.post(t, way.from, way.as, f.at(way.to, httpPort), h2, `{"id": 9007199254740993, "secret": true}`)
					if want := `{"id": 9007199254740993, "via": "` + way.direction + `"}`; string(got.Body) != want || got.Header.Get("X-Via") != way.direction {
						t.Errorf("h2=%v: server got %s and x-via %q, want %s", h2, got.Body, got.Header.Get("X-Via"), want)
					}
				}
				conn := p.dialGRPC(way.from, way.as, f.at(way.to, grpcPort))
				resp, err := pb.NewTestServiceClient(conn).UnaryCall(t.Context(), &pb.SimpleRequest{ResponseSize: 3})
				if err != nil || resp.GetUsername() != way.direction || len(resp.GetPayload().GetBody()) != 3 {
					t.Errorf("gRPC: got %v, %v, want username %s beside a payload of 3", resp, err, way.direction)
				}
			})
		}
	}
	// What the service does alone is not touched: app to app, over loopback.
	got := p.post(t, p.Host, service, fmt.Sprintf("127.0.0.1:%d", httpPort), false, `{"secret":1}`)
	if string(got.Body) != `{"secret":1}` {
		t.Errorf("loopback: got %s, want it untouched", got.Body)
	}
	p.stop()
}

func TestCurlIsRewritten(t *testing.T) {
	p := newPod(t)
	p.rule("in", `
match: {direction: inbound, http: GET /hello}
response:
  - head: .headers["x-sidecar"] = "sluice"
`)
	p.rule("out", `
match: {direction: outbound, http: GET /hello}
request:
  - head: .query.region = "eu"
`)
	p.start()
	in := p.peer.Run(t, "curl", "-si", "--max-time", "10", "http://10.79.0.2:8080/hello")
	if !strings.Contains(strings.ToLower(in), "x-sidecar: sluice") {
		t.Errorf("inbound: got %s", in)
	}
	out := p.Run(t, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "--max-time", "10", "http://10.79.0.1:8080/hello?a=1")
	if !strings.Contains(out, "/hello?a=1\\u0026region=eu") && !strings.Contains(out, "/hello?a=1&region=eu") {
		t.Errorf("outbound: got %s", out)
	}
	tap := p.sluice("tap", "--no-follow")
	for _, want := range []string{`"route":"in"`, `"route":"out"`, `"direction":"inbound"`} {
		if !strings.Contains(tap, want) {
			t.Errorf("tap does not show %s:\n%s", want, tap)
		}
	}
	p.stop()
}

func (p *pod) post(t *testing.T, from *netns.Host, as netns.As, address string, h2 bool, body string) testbed.Seen {
	t.Helper()
	resp, err := p.client(from, as, h2).Post("http://"+address+"/orders", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s, %v", resp.StatusCode, text, err)
	}
	var seen testbed.Seen
	if err := json.Unmarshal(text, &seen); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return seen
}
