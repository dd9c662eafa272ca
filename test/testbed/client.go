package testbed

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Response is an answer, read to its end. Trailer is complete.
type Response struct {
	*http.Response
	Text string // the whole body
	Err  error  // why the body ended early; nil at a clean end
}

// Client returns an HTTP/1.1 client, or one that speaks cleartext HTTP/2 with
// prior knowledge, that follows no redirects and asks for no compression. Like
// every net/http client it repeats a GET whose reused connection died: a test
// that counts requests uses [Talk]. With a non-empty proxy, every connection
// goes to that address whatever the URL says, as a redirect would make it. The
// test's end closes its connections.
func Client(t testing.TB, http2 bool, proxy string) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	dialer := &net.Dialer{Timeout: Patience}
	transport := &http.Transport{
		Protocols:          protocols,
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if proxy != "" {
				addr = proxy
			}
			return dialer.DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do sends the request and reads the whole answer. A request that gets none
// fails the test.
func Do(t testing.TB, client *http.Client, req *http.Request) Response {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Response{Response: resp, Text: string(body), Err: err}
}

// Request makes a request of the test's context; headers are name, value,
// name, value.
func Request(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

// Get sends a GET and reads the whole answer.
func Get(t testing.TB, client *http.Client, url string, headers ...string) Response {
	t.Helper()
	return Do(t, client, Request(t, http.MethodGet, url, "", headers...))
}

// Echoed returns what [Echo] says that it saw.
func Echoed(t testing.TB, response Response) Seen {
	t.Helper()
	var seen Seen
	if err := json.Unmarshal([]byte(response.Text), &seen); err != nil {
		t.Fatalf("testbed: not an echo: %v in %.80q", err, response.Text)
	}
	return seen
}
