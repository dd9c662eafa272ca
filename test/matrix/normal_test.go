package matrix

import (
	"regexp"
	"slices"
	"strings"
)

// This file is the one place that says what may differ between lanes, or from
// run to run, in a result. Beside it, results are compared without the case and
// order of field names (take, ownFields), and bodies without the borders of
// chunks, frames and reads, and without the level of their compression.

// ofOneHop are fields that each connection has its own of: RFC 9110, 7.6.1. That
// a response ends its connection is one, and so is how a body without a length
// is framed. A lane on net/http writes its own ones.
var ofOneHop = []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade"}

// ofGRPCLibraries are fields that the exchange lane's grpc-go writes itself for
// a call that it reads message by message: README.md, "What differs".
var ofGRPCLibraries = []string{"grpc-accept-encoding", "accept-encoding"}

var (
	libraryAgent = regexp.MustCompile(`^(user-agent: matrix) grpc-go/\S+( grpc-go/\S+)?$`)
	timeout      = regexp.MustCompile(`^grpc-timeout: \d+[HMSmun]$`) // what is left of it
	retryAfter   = regexp.MustCompile(`^retry-after: 3(600|59\d)$`)  // of an hour, less what the test took
)

// normal is fields without what may differ.
func normal(fields []string) []string {
	var kept []string
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ": ")
		if name == caseField || slices.Contains(ofOneHop, name) || slices.Contains(ofGRPCLibraries, name) {
			continue
		}
		f = libraryAgent.ReplaceAllString(f, "$1")
		f = timeout.ReplaceAllString(f, "grpc-timeout: its own")
		f = retryAfter.ReplaceAllString(f, "retry-after: an hour")
		kept = append(kept, f)
	}
	slices.Sort(kept)
	return kept
}

// normalize takes everything out of a result that may differ.
func (r *result) normalize() {
	c := &r.Caller
	c.Fields, c.Trailers, c.wire = normal(c.Fields), normal(c.Trailers), nil
	if c.Status == 304 || c.Status == 204 {
		// net/http takes a length and a type from an answer that has no body.
		c.Framing = ""
		c.Fields = slices.DeleteFunc(c.Fields, func(f string) bool { return strings.HasPrefix(f, "content-type: ") })
	}
	if c.Broken {
		c.Body, c.Framing, c.Trailers = "", "", nil // how much of it arrived is a matter of time
	}
	for i := range r.Upstream {
		s := &r.Upstream[i]
		s.Fields, s.Trailers, s.wire = normal(s.Fields), normal(s.Trailers), nil
		// A request without a body may say so, or not: net/http says it of a POST.
		if s.Body == "" {
			s.Framing = ""
		}
	}
	v := &r.Verdict
	if strings.HasPrefix(v.Error, "caller/cancelled") {
		v.Status = 0 // whether the head had left is a matter of time
	}
	if v.Route == "" && strings.HasPrefix(v.Error, "upstream/refused") {
		// A refusal is mirrored as a reset: of the stream, or of the connection, which
		// grpc-go tells apart. How much of the request had come is a matter of time.
		if c.Code != "" {
			c.Code = "reset"
		}
		v.Request.Body = ""
	}
	// A body that was edited has a length that is known, and may say it or not.
	// (take has compared it with the body.)
	if v.Response.Edited && (c.Framing == "length" || c.Framing == "open") {
		c.Framing = ""
	}
	for i := range r.Upstream {
		if s := &r.Upstream[i]; v.Request.Edited && (s.Framing == "length" || s.Framing == "open") {
			s.Framing = ""
		}
	}
	v.Request.Trailers = nil // the exchange may be over before its goroutine has noted them
	for _, h := range []*halfVerdict{&r.Verdict.Request, &r.Verdict.Response} {
		h.In, h.Out, h.Trailers = normalHead(h.In), normalHead(h.Out), normal(h.Trailers)
		if c.Broken {
			h.Body, h.Sent = "", ""
		}
	}
	if c.Failure == "reset" || c.Failure == "closed" {
		c.Failure = "reset" // net/http tells it by where it was: in a write, a read, or between
	}
}

// normalHead is a head of a record without what may differ. Cookies are one
// field or several (RFC 9113, 8.2.3). Libraries do not show the exchange lane
// what a gRPC answer is encoded in, nor an expectation over HTTP/2, and write the
// content type of a gRPC fallback.
func normalHead(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	var fields, cookies []string
	for _, f := range normal(lines[1:]) {
		switch name, value, _ := strings.Cut(f, ": "); name {
		case "", "content-length", "grpc-encoding", "expect":
		case "content-type":
			if !strings.HasPrefix(value, "application/grpc") {
				fields = append(fields, f)
			}
		case "cookie":
			cookies = append(cookies, value)
		default:
			fields = append(fields, f)
		}
	}
	return strings.Join(append(lines[:1:1], append(fields, "cookies: "+strings.Join(cookies, "; "))...), "\n")
}
