package proxy

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
)

// request1 makes of head what net/http's server would have made of it, but for
// what that makes up or refuses. Nothing of it points into head.
func request1(ctx context.Context, c *conn, head *http1.Request, body *front1Body) *http.Request {
	r := &http.Request{
		Method:     string(head.Method),
		URL:        url1(head),
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: head.Minor,
		Header:     header1(head),
		Host:       string(head.Authority),
		Body:       http.NoBody,
		RemoteAddr: c.tcp.RemoteAddr().String(),
		RequestURI: string(head.Target),
		Close:      head.Close,
	}
	if head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	switch head.Kind {
	case http1.Length:
		r.ContentLength = head.Length
	case http1.Chunked:
		r.ContentLength = -1
		r.TransferEncoding = []string{"chunked"}
		delete(r.Header, "Transfer-Encoding")
		r.Trailer = announced(r.Header["Trailer"])
		delete(r.Header, "Trailer")
	}
	if r.ContentLength != 0 {
		r.Body = body
	}
	return r.WithContext(ctx)
}

// header1 lists the fields by canonical name, but for Host.
func header1(head *http1.Request) http.Header {
	h := make(http.Header, len(head.Fields))
	values := make([]string, len(head.Fields)) // of all fields with one value
	for i := range head.Fields {
		f := &head.Fields[i]
		if f.Kind == http1.Host {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		if before, ok := h[name]; ok {
			h[name] = append(before, string(f.Value))
			continue
		}
		values[i] = string(f.Value)
		h[name] = values[i : i+1 : i+1]
	}
	return h
}

// url1 is the URL of the request target. One that net/http could not parse
// stands in it as it came.
func url1(head *http1.Request) *url.URL {
	if head.Form == http1.AuthorityOnly {
		return &url.URL{Host: string(head.Target)}
	}
	if u, err := url.ParseRequestURI(string(head.Target)); err == nil {
		return u
	}
	path := string(head.Path)
	u := &url.URL{Path: path, RawPath: path, RawQuery: string(head.Query), ForceQuery: head.HasQuery && len(head.Query) == 0}
	if head.Form == http1.Absolute {
		scheme, _, _ := strings.Cut(string(head.Target), "://")
		u.Scheme, u.Host = strings.ToLower(scheme), string(head.Authority)
	}
	return u
}

// announced are the names that Trailer lists, with no values yet; nil if there
// are none.
func announced(values []string) http.Header {
	var trailer http.Header
	for _, v := range values {
		for each := range strings.SplitSeq(v, ",") {
			name := http.CanonicalHeaderKey(strings.TrimSpace(each))
			if name == "" || hopByHop[name] {
				continue
			}
			if trailer == nil {
				trailer = make(http.Header)
			}
			trailer[name] = nil
		}
	}
	return trailer
}
