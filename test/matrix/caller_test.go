package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// answered is what a caller got.
type answered struct {
	Failure  string // instead of an answer: reset, closed
	Interim  []string
	Status   int
	Fields   []string
	Framing  string
	Encoding string
	Body     string // without its encoding
	Trailers []string
	Broken   bool // the body broke off

	// Of a gRPC call.
	Code, Message string
	Messages      []string

	wire []byte
}

// serviceHost is the host that callers ask for.
const serviceHost = "Service.Example:8080"

// protocols are what a caller may speak.
var protocols = []string{"http1", "http2"}

// newCaller is a client of its own connections, which closes them at the test's
// end.
func newCaller(t *testing.T, protocol string) *http.Client {
	t.Helper()
	c := testbed.Client(t, protocol == "http2", "")
	c.Transport.(*http.Transport).ExpectContinueTimeout = testbed.Patience
	return c
}

// do sends m and reads the answer to its end.
func do(t *testing.T, c *http.Client, addr, method, target string, m message) answered {
	t.Helper()
	var a answered
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, fields textproto.MIMEHeader) error {
			if status != http.StatusContinue {
				a.Interim = append(a.Interim, fmt.Sprint(status, " ", strings.Join(fieldsOf(http.Header(fields)), "; ")))
			}
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = serviceHost
	for _, f := range m.fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	if !m.bodiless {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(m.body)), -1
		if m.framing.length {
			req.ContentLength = int64(len(m.body))
		}
		if m.framing.trailers {
			req.Trailer = http.Header{}
			for _, f := range m.trailers {
				name, value, _ := strings.Cut(f, ": ")
				req.Trailer.Add(name, value)
			}
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		a.Failure = failureOf(err)
		return a
	}
	defer resp.Body.Close()
	a.Status, a.Fields = resp.StatusCode, fieldsOf(resp.Header)
	a.wire, err = io.ReadAll(resp.Body)
	a.Broken = err != nil
	a.Trailers = fieldsOf(resp.Trailer)
	return a
}

// failureOf classifies the end of a caller without an answer.
func failureOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "nothing: " + err.Error()
	case testbed.IsReset(err), strings.Contains(err.Error(), "stream error"):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"),
		strings.Contains(err.Error(), "client connection lost"), strings.Contains(err.Error(), "http2: client conn could not be established"):
		return "closed"
	}
	return err.Error()
}

// take reads the encoding and the framing of a message off its fields, and its
// body out of its encoding.
func take(fields []string, wire []byte, bodiless bool) (rest []string, framing, coding, body string) {
	framing = "open"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		switch name {
		case "content-length":
			framing = "length"
			if value != fmt.Sprint(len(wire)) && !bodiless {
				framing = fmt.Sprintf("length %s of %d bytes", value, len(wire))
			}
		case "content-encoding":
			coding = value
		default:
			rest = append(rest, f)
		}
	}
	slices.Sort(rest)
	body, err := plainOf(coding, wire)
	if err != nil {
		body = fmt.Sprintf("not in %s: %x", coding, wire)
	}
	return rest, framing, coding, body
}
