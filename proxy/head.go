package proxy

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
)

// requestHead reads the head off r as it came, but for the order and case of
// names, which net/http does not keep.
func requestHead(r *http.Request) *rules.Head {
	target := r.RequestURI
	if r.Method == http.MethodConnect {
		return &rules.Head{Method: r.Method, Host: r.Host, Fields: endToEnd(r.Header)}
	}
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		// Absolute form, as sent to a forward proxy: the path follows the authority.
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		} else {
			target = ""
		}
	}
	path, query, _ := strings.Cut(target, "?")
	return &rules.Head{Method: r.Method, Path: path, Query: query, Host: r.Host, Fields: endToEnd(r.Header)}
}

func responseHead(resp *http.Response) *rules.Head {
	return &rules.Head{Status: resp.StatusCode, Fields: endToEnd(resp.Header)}
}

// hopByHop are the fields that describe one connection and not the message
// (RFC 9110, 7.6.1), in canonical form. TE stays: gRPC servers ask for
// "te: trailers". Proxy-Authorization stays: whoever sends one through a
// transparent sidecar means a proxy behind it.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Transfer-Encoding": true,
	"Upgrade": true, "Trailer": true, "Content-Length": true,
}

// endToEnd lists a header's fields by name, without those of this hop.
func endToEnd(h http.Header) rules.Fields {
	var listed []string // by Connection as belonging to this hop
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			listed = append(listed, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	fields := make(rules.Fields, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if hopByHop[name] || slices.Contains(listed, name) && name != "Te" {
			continue
		}
		for _, v := range h[name] {
			fields = append(fields, rules.Field{Name: name, Value: v})
		}
	}
	return fields
}

// header is the way back. Fields that a server or client of net/http would make
// up are set to nothing where they are missing.
func header(fields rules.Fields, madeUp ...string) http.Header {
	h := make(http.Header, len(fields)+len(madeUp))
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	for _, name := range madeUp {
		if _, ok := h[name]; !ok {
			h[name] = nil
		}
	}
	return h
}

// target is the URL that makes net/http write the request target of head as it
// stands: the one of r unless a rule changed it. authority only fills a field
// that net/http wants; it is not sent.
func target(head, in *rules.Head, r *http.Request, authority string) *url.URL {
	u := &url.URL{Scheme: "http", Host: authority, RawQuery: head.Query}
	if head.Query == in.Query {
		u.ForceQuery = strings.Contains(r.RequestURI, "?")
	}
	switch {
	case r.URL.IsAbs() && r.URL.Opaque == "":
		u.Scheme = r.URL.Scheme
		u.Opaque = "//" + head.Host + head.Path // written with the scheme in front
	case strings.HasPrefix(head.Path, "//"):
		// Opaque would be taken for an absolute form.
		u.Path, u.RawPath = head.Path, head.Path
		if path, err := url.PathUnescape(head.Path); err == nil {
			u.Path = path
		}
	default:
		u.Opaque = head.Path
	}
	return u
}

// callKind says how a request calls a gRPC method, if it does.
type callKind uint8

const (
	callNone    callKind = iota
	callGRPC             // gRPC over HTTP/2
	callWeb              // gRPC-Web
	callConnect          // Connect
)

// mediaType is the content type without its parameters.
func mediaType(head *rules.Head) string {
	media, _, _ := strings.Cut(strings.ToLower(head.Fields.Get("Content-Type")), ";")
	return strings.TrimSpace(media)
}

func callKindOf(head *rules.Head, protocol Protocol) callKind {
	media := mediaType(head)
	switch {
	case media == "application/grpc" || strings.HasPrefix(media, "application/grpc+"):
		if protocol == HTTP2 && head.Method == http.MethodPost {
			return callGRPC
		}
	case strings.HasPrefix(media, "application/grpc-web"):
		return callWeb
	case strings.HasPrefix(media, "application/connect+"), head.Fields.Get("Connect-Protocol-Version") != "", maybeConnect(head, media):
		return callConnect
	}
	return callNone
}

// maybeConnect reports whether a Connect server would take a request for a unary call
// although it does not say so: the protocol's version field is optional. A
// guard of the method must not be passed by leaving it out, so what looks like
// a call counts as one: a service with a package, and JSON or protobuf, or a
// GET with a message in its query (connectrpc.com/docs/protocol).
func maybeConnect(head *rules.Head, media string) bool {
	path, err := url.PathUnescape(head.Path)
	if err != nil {
		path = head.Path
	}
	service, _ := splitMethod(path)
	if !strings.Contains(service, ".") || strings.Contains(service, "/") {
		return false
	}
	switch head.Method {
	case http.MethodPost:
		return media == "application/json" || media == "application/proto"
	case http.MethodGet:
		return strings.Contains(head.Query, "encoding=") && strings.Contains(head.Query, "message=")
	}
	return false
}

// splitMethod splits a gRPC path, /package.Service/Method. Both are empty if it
// is none.
func splitMethod(path string) (service, method string) {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "", ""
	}
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i == len(path)-1 {
		return "", ""
	}
	return path[:i], path[i+1:]
}
