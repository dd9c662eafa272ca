package proxy_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// forgetful is an observer who keeps nothing.
type forgetful struct{}

func (forgetful) Observe(proxy.Event) {}

// live has one rule in force, or none.
func live(b *testing.B, rule string) *rules.Live {
	b.Helper()
	l := new(rules.Live)
	if rule == "" {
		return l
	}
	set, problems := rules.Compile([]rules.File{{Name: "rule.yaml", Text: []byte(rule)}})
	if set == nil {
		b.Fatalf("%+v", problems)
	}
	l.Swap(set)
	return l
}

// BenchmarkHTTP1 relays requests one by one over loopback. Caller and upstream
// do next to nothing, and allocate nothing: what is allocated is the relay's.
func BenchmarkHTTP1(b *testing.B) {
	get := "GET /v1/orders/7?x=1 HTTP/1.1\r\nHost: orders.shop.svc\r\nUser-Agent: bench/1\r\nAccept: */*\r\nX-Request-Id: 1234567890\r\n\r\n"
	post := func(n int) string {
		return "POST /v1/orders HTTP/1.1\r\nHost: orders.shop.svc\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n" + strings.Repeat("x", n)
	}
	// An edit that leaves the length as it was, since upstream reads so much.
	edit := func(n int) string {
		items := strings.Repeat(`{"sku":"gear-12","quantity":2,"price":49.95},`, (n-80)/45)
		body := `{"user":{"email":"a","name":"b"},"password":"c","items":[` + strings.TrimSuffix(items, ",") + `]}`
		return strings.Replace(post(len(body)), strings.Repeat("x", len(body)), body, 1)
	}
	const rule = "match:\n  http: POST /v1/orders\nrequest:\n  - jq: '.user.email = \"x\" | .password = \"y\"'\n"
	for _, bench := range []struct {
		name, request string
		observer      proxy.Observer
		rule          string
	}{
		{"get", get, forgetful{}, ""},
		{"get unobserved", get, proxy.Observers(nil), ""},
		{"post 16 KiB", post(16 << 10), forgetful{}, ""},
		{"post 16 KiB unobserved", post(16 << 10), proxy.Observers(nil), ""},
		{"edit 1 KiB", edit(1 << 10), forgetful{}, rule},
		{"edit 16 KiB", edit(16 << 10), forgetful{}, rule},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const answer = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
			response := []byte(answer + strings.Repeat("y", 100))
			upstream, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer upstream.Close()
			go func() {
				for {
					c, err := upstream.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						buf := make([]byte, len(bench.request))
						for {
							if _, err := io.ReadFull(c, buf); err != nil {
								return
							}
							if _, err := c.Write(response); err != nil {
								return
							}
						}
					}()
				}
			}()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			p, err := proxy.New(proxy.Config{
				Listeners: []proxy.Listener{{Name: "bench", Net: l, Direction: rules.Inbound, Upstream: upstream.Addr().String()}},
				Observer:  bench.observer,
				Rules:     live(b, bench.rule),
				Codecs:    codec.NewRegistry(codec.Format{Codec: json.Codec{}, Types: []string{"application/json"}}),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			go func() { _ = p.Serve(b.Context()) }()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			request, buf := []byte(bench.request), make([]byte, len(response))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.Equal(buf, response) {
				b.Fatalf("got %q", buf)
			}
		})
	}
}
