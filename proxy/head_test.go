package proxy

import (
	"net/http/httptest"
	"testing"
)

func TestCallKinds(t *testing.T) {
	for _, c := range []struct {
		name, method, target, media string
		h2                          bool
		want                        callKind
	}{
		{"gRPC", "POST", "/shop.v1.Orders/Get", "application/grpc", true, callGRPC},
		{"gRPC with a subtype", "POST", "/shop.v1.Orders/Get", "application/grpc+json; charset=utf-8", true, callGRPC},
		{"gRPC over HTTP/1 is none", "POST", "/shop.v1.Orders/Get", "application/grpc", false, callNone},
		{"gRPC-Web", "POST", "/shop.v1.Orders/Get", "application/grpc-web+proto", false, callWeb},
		{"Connect stream", "POST", "/shop.v1.Orders/Watch", "application/connect+json", false, callConnect},
		{"Connect without its version", "POST", "/shop.v1.Orders/Get", "application/json", false, callConnect},
		{"Connect GET", "GET", "/shop.v1.Orders/Get?encoding=json&message=%7B%7D", "", false, callConnect},
		{"REST", "POST", "/v1/orders", "application/json", false, callNone},
		{"REST with a dot below", "POST", "/v1/files/a.b/c", "application/json", false, callNone},
	} {
		protocol := HTTP1
		if c.h2 {
			protocol = HTTP2
		}
		r := httptest.NewRequest(c.method, "http://shop"+c.target, nil)
		r.Header.Set("Content-Type", c.media)
		if got := callKindOf(requestHead(r), protocol); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
