package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// Question is the body of POST /explain: a request, and perhaps what would be the
// response, for people to write by hand.
type Question struct {
	Direction rules.Direction `json:"direction,omitempty"` // inbound if empty
	Method    string          `json:"method"`
	// URL is http://host:port/path?query; the scheme may be missing. grpc:// makes
	// the request a gRPC call, whose messages are given in JSON. The host is the
	// Host field, and the port is match.port.
	URL         string    `json:"url"`
	Headers     Headers   `json:"headers,omitempty"`
	Body        Text      `json:"body,omitempty"`
	BodyBase64  []byte    `json:"body_base64,omitempty"` // in place of body, if that is no text
	Destination string    `json:"destination,omitempty"` // ip:port, where the connection was going; by the URL if empty
	Peer        string    `json:"peer,omitempty"`        // ip:port, who has connected
	Response    *Response `json:"response,omitempty"`    // nil: the request alone
}

// Response is what the upstream would answer.
type Response struct {
	Status     int     `json:"status,omitempty"` // 200 if zero
	Headers    Headers `json:"headers,omitempty"`
	Body       Text    `json:"body,omitempty"`
	BodyBase64 []byte  `json:"body_base64,omitempty"`
}

// Headers are header lines by name: in JSON each name has a text, or an array of
// texts for repeats.
type Headers map[string][]string

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Headers) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*h = make(Headers, len(raw))
	for name, value := range raw {
		var one string
		var several []string
		if json.Unmarshal(value, &one) == nil {
			several = []string{one}
		} else if err := json.Unmarshal(value, &several); err != nil {
			return fmt.Errorf("headers: %q has neither a text nor a list of texts", name)
		}
		(*h)[name] = several
	}
	return nil
}

// Text is a body: in JSON a string is its text, and anything else is the very
// JSON that the body is.
type Text []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = Text(s)
		return nil
	}
	*t = bytes.Clone(data)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(string(t)) }

// hopFields belong to a connection, or to the framing, and rules do not see them.
var hopFields = map[string]bool{
	"connection": true, "content-length": true, "keep-alive": true, "proxy-connection": true,
	"trailer": true, "transfer-encoding": true, "upgrade": true,
}

// Parse reads the question. A body without a content type that looks like JSON
// is taken for JSON.
func (q *Question) Parse() (proxy.Question, error) {
	out := proxy.Question{Direction: q.Direction, Body: bodyOf(q.Body, q.BodyBase64)}
	switch q.Direction {
	case "":
		out.Direction = rules.Inbound
	case rules.Inbound, rules.Outbound:
	default:
		return out, fmt.Errorf("direction: %q is neither inbound nor outbound", q.Direction)
	}
	scheme, target, ok := strings.Cut(q.URL, "://")
	if !ok {
		scheme, target = "http", q.URL
	}
	port := map[string]string{"http": "80", "https": "443", "grpc": "80"}[scheme]
	if port == "" {
		return out, fmt.Errorf("url: %q is none of http, https, grpc", scheme)
	}
	method := strings.ToUpper(q.Method)
	if method == "" {
		return out, errors.New("method: there is none")
	}
	target, _, _ = strings.Cut(target, "#")
	at := strings.IndexAny(target+"/", "/?")
	host, target := target[:at], target[at:]
	path, query, _ := strings.Cut(target, "?")
	switch {
	case method == http.MethodConnect:
		path = "" // its target is the host
	case path == "":
		path = "/"
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return out, errors.New("url: a space or control character is not escaped")
	}
	out.Head = &rules.Head{Method: method, Path: path, Query: query, Host: host, Fields: q.Headers.fields()}
	if given := q.Headers.host(); given != "" {
		out.Head.Host = given
	}
	if scheme == "grpc" && !out.Head.Fields.Has("content-type") {
		out.Head.Fields = append(out.Head.Fields, rules.Field{Name: "content-type", Value: "application/grpc"})
	}
	out.Head.Fields = withType(out.Head.Fields, out.Body)
	var err error
	if out.Destination, err = destination(q.Destination, host, port); err != nil {
		return out, err
	}
	if q.Peer != "" {
		if out.Peer, err = netip.ParseAddrPort(q.Peer); err != nil {
			return out, fmt.Errorf("peer: %w", err)
		}
	}
	if r := q.Response; r != nil {
		out.ResponseBody = bodyOf(r.Body, r.BodyBase64)
		out.Response = &rules.Head{Status: r.Status, Fields: withType(r.Headers.fields(), out.ResponseBody)}
		if r.Status == 0 {
			out.Response.Status = http.StatusOK
		}
		if s := out.Response.Status; s < 200 || s > 599 {
			return out, fmt.Errorf("response.status: %d is not from 200 to 599", s)
		}
	}
	return out, nil
}

// fields are the header lines that rules see, by name.
func (h Headers) fields() rules.Fields {
	var fields rules.Fields
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if lower := strings.ToLower(name); hopFields[lower] || lower == "host" {
			continue
		}
		for _, value := range h[name] {
			fields = append(fields, rules.Field{Name: name, Value: value})
		}
	}
	return fields
}

// host is the Host field, "" if there is none.
func (h Headers) host() string {
	for name, values := range h {
		if strings.EqualFold(name, "host") && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func bodyOf(text Text, encoded []byte) []byte {
	if len(encoded) > 0 {
		return encoded
	}
	return text
}

func withType(fields rules.Fields, body []byte) rules.Fields {
	body = bytes.TrimSpace(body)
	if fields.Has("content-type") || len(body) == 0 || body[0] != '{' && body[0] != '[' || !json.Valid(body) {
		return fields
	}
	return append(fields, rules.Field{Name: "content-type", Value: "application/json"})
}

// destination is where a connection for host goes: a name has no address here,
// but its port counts.
func destination(given, host, port string) (netip.AddrPort, error) {
	if given != "" {
		at, err := netip.ParseAddrPort(given)
		if err != nil {
			return at, fmt.Errorf("destination: %w", err)
		}
		return at, nil
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		address = netip.IPv4Unspecified()
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("url: %q is no port", port)
	}
	return netip.AddrPortFrom(address, uint16(n)), nil
}

// explain answers POST /explain.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	if s.config.Explain == nil {
		notPart(w)
		return
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	var body Question
	err := decoder.Decode(&body)
	var question proxy.Question
	if err == nil {
		question, err = body.Parse()
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, `the body is {"method": "GET", "url": "http://host/path", "headers", "body", "response" ...}: `+err.Error())
		return
	}
	text, err := s.config.Explain(r.Context(), question)
	if err != nil {
		writeError(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // an error is the caller's going away
}
