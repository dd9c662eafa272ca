package proxy_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	grpcproxy "github.com/mwitkow/grpc-proxy/proxy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-proxy/sluice/proxy"
)

// startOracle runs grpc-proxy's own handler in front of upstream, set up as its
// README says, and tells how each call ended for it.
func startOracle(t *testing.T, upstream string, ends chan<- codes.Code) string {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+upstream, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	direct := func(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		return metadata.NewOutgoingContext(ctx, md.Copy()), conn, nil
	}
	server := grpc.NewServer(
		grpc.UnknownServiceHandler(grpcproxy.TransparentHandler(direct)),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			err := next(srv, ss)
			select {
			case ends <- status.Code(err):
			default:
			}
			return err
		}),
	)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() {
		server.Stop()
		conn.Close()
	})
	return l.Addr().String()
}

// The same scripted calls, made directly, through grpc-proxy's own handler and
// through Sluice, past no rule and message by message: what the caller sees is
// the same as directly, where grpc-proxy's handler shows something else.
func TestGRPCProxyAsOracle(t *testing.T) {
	release := make(chan struct{})
	base := &items{item: mustItem(t)}
	s := startItems(t, false, func(method string, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		switch do := strings.Join(md.Get("do"), ""); do {
		case "fail with headers":
			stream.SendHeader(metadata.Pairs("h", "1"))
			stream.SetTrailer(metadata.Pairs("t", "1"))
			return status.Error(codes.NotFound, "none")
		case "no message":
			return stream.SendHeader(metadata.Pairs("h", "1"))
		case "trailers only":
			stream.SetTrailer(metadata.Pairs("t", "1", "t-bin", "\x00"))
			return status.Error(codes.NotFound, "none")
		case "early headers":
			stream.SendHeader(metadata.Pairs("h", "1"))
			select {
			case <-release:
			case <-stream.Context().Done():
			}
			return nil
		case "5 MiB":
			return stream.SendMsg(base.named(strings.Repeat("x", 5<<20)))
		case "what it saw":
			return stream.SendMsg(base.named(fmt.Sprintf("%q %q %q", md.Get(":authority"), md.Get("r"), md.Get("r-bin"))))
		}
		return base.echo(method, stream)
	})
	with := func(do string, more ...string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), append([]string{"do", do}, more...)...)
	}
	show := func(e ended) string {
		for i, name := range e.names {
			if len(name) > 100 {
				e.names[i] = fmt.Sprint(len(name), " bytes")
			}
		}
		return fmt.Sprintf("header %q, items %q, %v %q, trailer %q", map[string][]string(e.header), e.names, e.status.Code(), e.status.Message(), map[string][]string(e.trailer))
	}
	dial := func(t *testing.T, addr string) *grpc.ClientConn {
		return dialCalls(t, addr, grpc.WithAuthority("items.test"))
	}
	scripts := []struct {
		name   string
		run    func(t *testing.T, addr string) string
		oracle bool // grpc-proxy's handler shows what a direct call does
	}{
		{"one message each way", func(t *testing.T, addr string) string {
			return show(s.call(with(""), t, dial(t, addr), get, []*dynamicpb.Message{s.named("a")}))
		}, true},
		{"many messages each way", func(t *testing.T, addr string) string {
			return show(s.call(with(""), t, dial(t, addr), chat, []*dynamicpb.Message{s.named("a"), s.named(""), s.named("c")}))
		}, true},
		{"trailers only", func(t *testing.T, addr string) string {
			e := s.call(with("trailers only"), t, dial(t, addr), get, []*dynamicpb.Message{s.named("a")})
			return show(e)
		}, true},
		{"an error after the headers", func(t *testing.T, addr string) string {
			return show(s.call(with("fail with headers"), t, dial(t, addr), get, []*dynamicpb.Message{s.named("a")}))
		}, false},
		{"a stream without a message", func(t *testing.T, addr string) string {
			return show(s.call(with("no message"), t, dial(t, addr), list, []*dynamicpb.Message{s.named("a")}))
		}, false},
		{"headers long before a message", func(t *testing.T, addr string) string {
			ctx, cancel := context.WithTimeout(with("early headers"), 500*time.Millisecond)
			defer cancel()
			stream, err := dial(t, addr).NewStream(ctx, bothWays, chat)
			if err != nil {
				return err.Error()
			}
			h, _ := stream.Header()
			return fmt.Sprint(h.Get("h"))
		}, false},
		{"the authority and metadata that the upstream sees", func(t *testing.T, addr string) string {
			e := s.call(with("what it saw", "r", "1", "r", "2", "r-bin", "\x00"), t, dial(t, addr), list, nil)
			return show(e)
		}, false},
		{"grpc+proto", func(t *testing.T, addr string) string {
			return show(s.call(with(""), t, dial(t, addr), get, []*dynamicpb.Message{s.named("a")}, grpc.CallContentSubtype("proto")))
		}, true},
		{"grpc+json", func(t *testing.T, addr string) string {
			return show(s.call(with(""), t, dial(t, addr), get, []*dynamicpb.Message{s.named("a")}, grpc.CallContentSubtype("json")))
		}, false},
		{"an encoding that nobody knows", func(t *testing.T, addr string) string {
			resp, body := callRaw(t, addr, "/x.Y/Z", "\x01\x00\x00\x00\x01a", "Grpc-Encoding", "odd")
			return fmt.Sprintf("%q %v %v", body, resp.Header["Grpc-Status"], resp.Trailer["Grpc-Status"])
		}, false},
		{"a message over grpc-go's own limit", func(t *testing.T, addr string) string {
			return show(s.call(with("5 MiB"), t, dial(t, addr), list, nil))
		}, false},
		{"plain HTTP beside calls", func(t *testing.T, addr string) string {
			resp, err := client(t, true).Get("http://" + addr + "/page")
			if err != nil {
				return "no answer"
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return fmt.Sprint(resp.StatusCode, resp.Header.Get("Content-Type"), string(body))
		}, false},
	}
	mixed := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			io.WriteString(w, "a page")
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", "0")
	})
	waysTo := func(upstream string) map[string]string {
		return map[string]string{
			"directly":           upstream,
			"grpc-proxy":         startOracle(t, upstream, nil),
			"no route":           startSidecar(t, upstream, nil).addr,
			"message by message": startSidecar(t, upstream, []string{"route: all\nmatch: {grpc: \"*\"}\nlimits: {message: 8MiB}\nrequest: [{jq: .}]\nresponse: [{jq: .}]\n"}).addr,
		}
	}
	calls, pages := waysTo(s.addr), waysTo(mixed)
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			ways := calls
			if script.name == "plain HTTP beside calls" || script.name == "an encoding that nobody knows" {
				ways = pages
			}
			direct := script.run(t, ways["directly"])
			for _, way := range slices.Sorted(maps.Keys(ways)) {
				got := script.run(t, ways[way])
				if same := got == direct; same != (script.oracle || way != "grpc-proxy") {
					t.Errorf("%s: got  %s\ndirectly: %s", way, got, direct)
				} else if !same {
					t.Logf("grpc-proxy shows %s\nin place of     %s", got, direct)
				}
			}
		})
	}
	close(release)
}

// grpc-proxy's handler calls a caller's hanging up INTERNAL.
func TestACallersHangingUpIsCancelled(t *testing.T) {
	began := make(chan struct{}, 1)
	s := startItems(t, false, func(_ string, stream grpc.ServerStream) error {
		began <- struct{}{}
		<-stream.Context().Done()
		return stream.Context().Err()
	})
	hangUp := func(addr string) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := dialCalls(t, addr).NewStream(ctx, bothWays, chat)
		if err != nil {
			t.Fatal(err)
		}
		within(t, "call", began)
		cancel()
		_ = stream.RecvMsg(nil)
	}
	ends := make(chan codes.Code, 1)
	hangUp(startOracle(t, s.addr, ends))
	if c := within(t, "grpc-proxy's handler", ends); c != codes.Internal {
		t.Logf("grpc-proxy's handler ends with %v now", c)
	}
	car := startSidecar(t, s.addr, []string{untouching})
	hangUp(car.addr)
	if r := car.record(chat); r.Error == nil || r.Error.Origin != proxy.OriginCaller || r.Error.Reason != "cancelled" {
		t.Errorf("record: %v", r.Error)
	}
}

// The whole of what a call that is read by message may change on its way, as
// the upstream and the caller see it on the wire.
func TestAllThatACallReadByMessageMayChange(t *testing.T) {
	type wire struct{ head, trailer http.Header }
	saw := make(chan http.Header, 1)
	s := startEcho(t, false)
	reflected := client(t, true)
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/grpc.reflection.") {
			forward(w, r, reflected, s.addr)
			return
		}
		body, _ := io.ReadAll(r.Body)
		head := r.Header.Clone()
		head.Set(":authority", r.Host)
		saw <- head
		h := w.Header()
		h.Set("Content-Type", "application/grpc+proto")
		h["Date"] = []string{"Mon, 01 Jan 2024 00:00:00 GMT"}
		h["X-Repeat"] = []string{"1", "2"}
		h.Set("X-Padded-Bin", "AA==")
		h.Set("Grpc-Accept-Encoding", "gzip, odd")
		h.Set("Trailer", "Grpc-Status, Grpc-Message, T-Bin, T")
		w.Write(body)
		h.Set("Grpc-Status", "5")
		h.Set("Grpc-Message", "a%20b%21")
		h.Set("T-Bin", "AA==")
		h["T"] = []string{"1", "2"}
	})
	run := func(files ...string) (http.Header, wire) {
		addr := upstream
		if files != nil {
			addr = startSidecar(t, upstream, files, inLane(proxy.LaneExchange)).addr
		}
		req, _ := http.NewRequest("POST", "http://"+addr+get, strings.NewReader("\x00\x00\x00\x00\x03\x0a\x01a"))
		req.Host = "Items.Test:99"
		req.Header = http.Header{
			"Content-Type": {"application/grpc+PROTO; x=y"}, "Te": {"trailers"}, "User-Agent": {"mine/1"}, "Grpc-Timeout": {"9S"},
			"Grpc-Accept-Encoding": {"odd,gzip"}, "X-Repeat": {"1", "2"}, "X-Padded-Bin": {"AA=="}, "X-Two-Bin": {"AA,AQ"},
			"Authorization": {"Bearer x"}, "Cookie": {"a=b; c=d"}, "Grpc-Previous-Rpc-Attempts": {"2"}, "X-Empty": {""},
		}
		resp, err := client(t, true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return within(t, "call", saw), wire{resp.Header, resp.Trailer}
	}
	differences := func(a, b http.Header) []string {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if !slices.Equal(a[name], b[name]) {
				all = append(all, fmt.Sprintf("%s: %q -> %q", name, a[name], b[name]))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if _, ok := a[name]; !ok {
				all = append(all, fmt.Sprintf("%s: added: %q", name, b[name]))
			}
		}
		return all
	}
	request, response := run()
	for _, test := range []struct {
		way, rule         string
		request, response []string
	}{
		{"a head step", headOnly, []string{`X-By: added: ["sluice"]`}, nil},
		{"message by message", untouching, []string{
			`Content-Length: ["8"] -> []`,
			`Content-Type: ["application/grpc+PROTO; x=y"] -> ["application/grpc+proto"]`,
			`Grpc-Accept-Encoding: ["odd,gzip"] -> ["gzip"]`,
			`Grpc-Timeout: what is left of it`,
			`User-Agent: ["mine/1"] -> ["mine/1 grpc-go/` + grpc.Version + `"]`,
			`X-Padded-Bin: ["AA=="] -> ["AA"]`,
			`X-Two-Bin: ["AA,AQ"] -> ["AA" "AQ"]`,
		}, []string{
			`Content-Length: ["8"] -> []`,
			`X-Padded-Bin: ["AA=="] -> ["AA"]`,
			`Grpc-Message: ["a%20b%21"] -> ["a b!"]`,
			`T-Bin: ["AA=="] -> ["AA"]`,
		}},
	} {
		gotRequest, gotResponse := run(test.rule)
		got := differences(request, gotRequest)
		for i := range got {
			if strings.HasPrefix(got[i], "Grpc-Timeout:") && strings.HasPrefix(gotRequest.Get("Grpc-Timeout"), "8") { // of 9 s
				got[i] = "Grpc-Timeout: what is left of it"
			}
		}
		if !slices.Equal(got, test.request) {
			t.Errorf("%s: request:\n%s\nwant\n%s", test.way, strings.Join(got, "\n"), strings.Join(test.request, "\n"))
		}
		got = append(differences(response.head, gotResponse.head), differences(response.trailer, gotResponse.trailer)...)
		if !slices.Equal(got, test.response) {
			t.Errorf("%s: response:\n%s\nwant\n%s", test.way, strings.Join(got, "\n"), strings.Join(test.response, "\n"))
		}
	}
}
