package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The fuzz targets hold this package against net/http: what is taken here, it
// takes too, and reads the same. It takes more than we do, which is why it is
// not in front of the rules alone.

// FuzzRequest allows these differences: net/http refuses targets with escapes
// that are none and with addresses in brackets that are none, it refuses some
// names in Trailer, and it does not skip empty lines.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(typicalRequest))
	for _, s := range []string{
		"POST /a%2f?b=%zz HTTP/1.1\nHost: h\nContent-Length: 5\nConnection: close, x",
		"PUT http://h:80/%zz?q HTTP/1.1\nhost: H\nTransfer-Encoding: chunked\nTrailer: A\nTE: trailers",
		"CONNECT [::1]:443 HTTP/1.1\nHost: [::1]\nContent-Length: 0",
		"OPTIONS * HTTP/1.0\nConnection: keep-alive\nPragma: no-cache\nA:\t b \t",
		"GET / HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: upgrade\nExpect: 100-continue",
		"GET / HTTP/1.1\nHost: h\nA : b\nB: c\n d",
		"GET / HTTP/1.1\nHost: h\nContent-Length: 5, 5\nTransfer-Encoding: gzip, chunked",
	} {
		f.Add([]byte(crlf(s)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Request
		n, err := r.Parse(in, Limits{})
		checkPieces(t, in, n, err, func(h []byte, again bool) (int, error) {
			if again {
				r.Reset()
			}
			return r.Parse(h, Limits{})
		})
		if err != nil || n == 0 {
			return
		}
		if got := AppendEdited(nil, r.Line, r.Fields, nil); !bytes.Equal(got, r.Raw) {
			t.Fatalf("unedited head: got %q, want %q", got, r.Raw)
		}
		compareRequest(t, &r, readRequest(t, &r))
	})
}

// checkPieces parses the bytes again, one more each time, and wants the same to
// come out: first at the same place, with what is known so far, then at another.
func checkPieces(t *testing.T, in []byte, n int, err error, parse func(b []byte, again bool) (int, error)) {
	t.Helper()
	if len(in) > 1<<10 {
		return
	}
	for _, moving := range []bool{true, false} { // the last one parses in itself
		for i := range len(in) + 1 {
			b := in[:i]
			if moving {
				b = bytes.Clone(b)
			}
			got, gotErr := parse(b, i == 0)
			switch {
			case gotErr != nil:
				if err == nil || err.Error() != gotErr.Error() {
					t.Fatalf("first %d bytes: got %v, want %v", i, gotErr, err)
				}
			case got > 0:
				if got != n || i != n {
					t.Fatalf("first %d bytes: got a head of %d, want %d", i, got, n)
				}
			case i == len(in) && (n > 0 || err != nil):
				t.Fatalf("all bytes one by one: got nothing, want %d, %v", n, err)
			default:
				continue
			}
			break
		}
	}
}

func readRequest(t *testing.T, r *Request) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.Raw)))
	var urlErr *url.Error
	if errors.As(err, &urlErr) && bytes.ContainsAny(r.Target, "%[") {
		line := string(r.Method) + " / HTTP/1." + string(rune('0'+r.Minor))
		if r.Form == AuthorityOnly {
			line = "CONNECT h:1 HTTP/1." + string(rune('0'+r.Minor))
		}
		req, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(AppendEdited(nil, []byte(line), r.Fields, nil))))
		if err == nil {
			req.RequestURI, req.Host = string(r.Target), string(r.Authority)
		}
	}
	if err != nil {
		if r.Index(Trailer) >= 0 && strings.Contains(err.Error(), "bad trailer key") {
			t.Skip("Trailer announces what may not be one")
		}
		t.Fatalf("net/http refuses %q: %v", r.Raw, err)
	}
	return req
}

func compareRequest(t *testing.T, r *Request, want *http.Request) {
	t.Helper()
	if string(r.Method) != want.Method || string(r.Target) != want.RequestURI || want.ProtoMajor != 1 || r.Minor != want.ProtoMinor || r.Close != want.Close {
		t.Errorf("got %s %s 1.%d close %t, want %s %s 1.%d %t", r.Method, r.Target, r.Minor, r.Close, want.Method, want.RequestURI, want.ProtoMinor, want.Close)
	}
	if string(r.Authority) != want.Host && !bytes.Contains(r.Authority, []byte("%")) {
		t.Errorf("got authority %q, want %q", r.Authority, want.Host)
	}
	compareFraming(t, r.Framing, want.ContentLength, want.TransferEncoding)
	compareFields(t, r.Fields, want.Header)
}

func compareFraming(t *testing.T, got Framing, length int64, codings []string) {
	t.Helper()
	var want Framing
	switch {
	case slices.Equal(codings, []string{"chunked"}):
		want = Framing{Kind: Chunked, Length: -1}
	case length == -1:
		want = Framing{Kind: UntilClose, Length: -1}
	case length > 0 || got.Kind == Length:
		want = Framing{Kind: Length, Length: length}
	default:
		want = Framing{Kind: None, Length: got.Length}
	}
	if got.response = false; got != want {
		t.Errorf("got framing %v, want %v", got, want)
	}
}

// compareFields leaves out what net/http takes out of a header or puts in.
func compareFields(t *testing.T, fields []Field, want http.Header) {
	t.Helper()
	got := http.Header{}
	for i := range fields {
		got.Add(string(fields[i].Name), string(fields[i].Value))
	}
	if got.Get("Pragma") == "no-cache" && got["Cache-Control"] == nil {
		delete(want, "Cache-Control")
	}
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(got, name)
		delete(want, name)
	}
	if len(got) != len(want) {
		t.Errorf("got %d names, want %d: %q, %q", len(got), len(want), got, want)
	}
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s: got %q, want %q", name, got[name], values)
		}
	}
}

// FuzzResponse allows these differences: net/http knows nothing of CONNECT, and
// takes a body that is not there from some statuses.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(typicalResponse), byte(0))
	for i, s := range []string{
		"HTTP/1.1 200\nTransfer-Encoding: chunked\nTrailer: A",
		"HTTP/1.0 404 Not Found\nContent-Length: 0\nConnection: keep-alive",
		"HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: upgrade",
		"HTTP/1.1 204 \nContent-Length: 0",
		"HTTP/1.1 304 Not Modified\nContent-Length: 5\nPragma: no-cache",
		"HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5",
	} {
		f.Add([]byte(crlf(s)), byte(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, m byte) {
		method := []string{"GET", "HEAD", "CONNECT"}[m%3]
		var r Response
		n, err := r.Parse(in, Limits{}, method)
		checkPieces(t, in, n, err, func(h []byte, again bool) (int, error) {
			if again {
				r.Reset()
			}
			return r.Parse(h, Limits{}, method)
		})
		if err != nil || n == 0 {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in[:n])), &http.Request{Method: method})
		if err != nil {
			if r.Index(Trailer) >= 0 && strings.Contains(err.Error(), "bad trailer key") {
				t.Skip("Trailer announces what may not be one")
			}
			t.Fatalf("net/http refuses %q: %v", r.Raw, err)
		}
		if r.Status != want.StatusCode || want.ProtoMajor != 1 || r.Minor != want.ProtoMinor {
			t.Errorf("got %d 1.%d, want %d 1.%d", r.Status, r.Minor, want.StatusCode, want.ProtoMinor)
		}
		compareFields(t, r.Fields, want.Header)
		if method == "CONNECT" && r.Status/100 == 2 {
			return
		}
		if r.Close != want.Close {
			t.Errorf("got close %t, want %t", r.Close, want.Close)
		}
		if method == "HEAD" || r.Framing.Kind == None {
			if r.Framing.Kind != None || method == "HEAD" && r.Status >= 200 && r.Status != 204 && r.Status != 304 && r.Length != want.ContentLength {
				t.Errorf("got %v, want none of %d", r.Framing, want.ContentLength)
			}
			return
		}
		compareFraming(t, r.Framing, want.ContentLength, want.TransferEncoding)
	})
}

// FuzzChunks allows no difference: the same payload, the same trailers, the
// same end.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\nnext",
		"3\r\nabc\r\nA;a=b\r\n0123456789\r\n0\r\nA: b\r\nC:\td \r\n\r\nnext",
		"3 \r\nabc\r\n0\r\n\r\n",
		"3\nabc\n0\n\n",
		"0\r\nContent-Length: 5\r\n\r\n",
		"ffffffffffffffff\r\n",
		"1\r\na\r\n0\r\nA: b\r\n c\r\n\r\n",
	} {
		f.Add(s, byte(1))
	}
	f.Fuzz(func(t *testing.T, in string, piece byte) {
		var b, pieces Body
		b.Reset(Framing{Kind: Chunked})
		pieces.Reset(Framing{Kind: Chunked})
		payload, n, err := readBody(&b, in, len(in)+1)
		payload2, n2, err2 := readBody(&pieces, in, int(piece)+1)
		if !bytes.Equal(payload, payload2) || n != n2 && err == nil || (err == nil) != (err2 == nil) ||
			err != nil && err.(*Error).Reason != err2.(*Error).Reason {
			t.Fatalf("in one: %q, %d, %v; in pieces of %d: %q, %d, %v", payload, n, err, int(piece)+1, payload2, n2, err2)
		}
		if b.Done() != pieces.Done() || !bytes.Equal(b.Trailers(), pieces.Trailers()) && b.Done() {
			t.Fatalf("in one: %t, %q; in pieces: %t, %q", b.Done(), b.Trailers(), pieces.Done(), pieces.Trailers())
		}
		if err != nil || !b.Done() {
			return
		}
		src := bufio.NewReaderSize(strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"+in), 1<<17)
		req, err := http.ReadRequest(src)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(req.Body)
		if err != nil || !bytes.Equal(payload, want) {
			t.Fatalf("got %q, net/http says %q, %v", payload, want, err)
		}
		if rest, err := io.ReadAll(src); err != nil || in[n:] != string(rest) {
			t.Fatalf("got rest %q, net/http says %q, %v", in[n:], rest, err)
		}
		compareFields(t, b.AppendTrailers(nil), req.Trailer)
		var again Body
		again.Reset(Framing{Kind: Chunked})
		payload2, _, err = readBody(&again, string(AppendLastChunk(AppendChunk(nil, payload), b.Trailers())), 1<<20)
		if err != nil || !again.Done() || !bytes.Equal(payload, payload2) || !bytes.Equal(b.Trailers(), again.Trailers()) {
			t.Fatalf("written again: got %q, %q, %v", payload2, again.Trailers(), err)
		}
	})
}
