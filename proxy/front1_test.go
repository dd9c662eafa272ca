package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
	"github.com/sluice-proxy/sluice/proxy/internal/watch"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// serveFront1 serves connections with handler behind the strict heads until the
// test ends.
func serveFront1(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	w, err := watch.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	p := &Proxy{Config: Config{}.withDefaults(), watch: w}
	l := testbed.Loopback(t)
	testbed.ServeConns(t, l, func(tcp *net.TCPConn) {
		c := &conn{p: p, tcp: tcp, protocol: HTTP1}
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		defer c.cancel(errEnded)
		r := &relay1{c: c, in: sock.NewReader(tcp, &p.buffers, nil)}
		for {
			var head http1.Request
			n, err := head.Parse(r.in.Buffered(), limits1)
			for n == 0 && err == nil {
				if _, err = r.in.Fill(); err == nil {
					n, err = head.Parse(r.in.Buffered(), limits1)
				}
			}
			if err != nil || !serveOne1(handler, r, &head, n) {
				return
			}
		}
	})
	return l.Addr().String()
}

func TestRequestsAreWhatNetHTTPMakesOfThem(t *testing.T) {
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a%2fb//c?x=1;y=2&x=%20 HTTP/1.1\r\nhost: Example.COM:99\r\nx-b: 1\r\nX-B: 2\r\nX-Empty:\r\ncookie: a=1\r\n\r\n",
		"GET /a? HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET //a//b?x HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET HTTPS://x.example:8/a?b HTTP/1.1\r\nHost: x.example:8\r\n\r\n",
		"GET http://x.example HTTP/1.1\r\nHost: x.example\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-t, X-U\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\nx-other: 2\r\nX-Other: 3\r\n\r\n",
	} {
		t.Run(raw[:strings.IndexByte(raw, '\r')], func(t *testing.T) {
			testbed.Leaks(t)
			want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			wantAnnounced := maps.Clone(want.Trailer)
			wantBody, _ := io.ReadAll(want.Body)
			addr := serveFront1(t, func(_ http.ResponseWriter, got *http.Request) {
				announced := maps.Clone(got.Trailer)
				body, err := io.ReadAll(got.Body)
				if err != nil || string(body) != string(wantBody) {
					t.Errorf("body: got %q and %v, want %q", body, err, wantBody)
				}
				for name, pair := range map[string][2]any{
					"method":            {got.Method, want.Method},
					"URL":               {got.URL, want.URL},
					"proto":             {got.Proto, want.Proto},
					"minor":             {got.ProtoMinor, want.ProtoMinor},
					"header":            {got.Header, want.Header},
					"host":              {got.Host, want.Host},
					"request URI":       {got.RequestURI, want.RequestURI},
					"length":            {got.ContentLength, want.ContentLength},
					"coding":            {got.TransferEncoding, want.TransferEncoding},
					"close":             {got.Close, want.Close},
					"announced trailer": {announced, wantAnnounced},
					"trailer":           {got.Trailer, want.Trailer},
					"empty body":        {got.Body == http.NoBody, want.Body == http.NoBody},
				} {
					if !reflect.DeepEqual(pair[0], pair[1]) {
						t.Errorf("%s: got %#v, want %#v", name, pair[0], pair[1])
					}
				}
			})
			c := testbed.Dial(t, addr)
			testbed.Play(c, testbed.Send(raw), testbed.ExpectUntil("\r\n\r\n"))
		})
	}
}

// part writes one part of a response and flushes it, so that it is one chunk.
func part(w http.ResponseWriter, text string) {
	io.WriteString(w, text)
	http.NewResponseController(w).Flush()
}

func TestResponsesAreWhatNetHTTPWrites(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"nothing": func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).Flush() },
		"length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "ok")
		},
		"chunks": func(w http.ResponseWriter, _ *http.Request) { part(w, "one"); part(w, "two") },
		"large": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "102403")
			part(w, "one")
			part(w, strings.Repeat("x", 100<<10))
		},
		"204": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "1"); w.WriteHeader(204) },
		"304": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", "a"); w.WriteHeader(304) },
		"odd status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(799)
			http.NewResponseController(w).Flush()
		},
		"close": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close"); part(w, "x") },
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "a")
			w.WriteHeader(103)
			clear(w.Header())
			quiet1(w)
			part(w, "x")
		},
		"trailers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-A")
			part(w, "x")
			w.Header().Set("X-A", "1")
			w.Header().Set("X-Not-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-B", "2")
		},
		"reads the body": func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); part(w, string(b)) },
		"header order": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["X-B"], h["A-B"], h["lower"], h["Nothing"] = []string{"1", "2"}, []string{" spaced\r\nline "}, []string{""}, nil
			w.Header().Set("Content-Length", "0")
		},
	}
	requests := map[string]string{
		"GET":            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"close":          "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"HEAD":           "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		"1.0":            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"1.0 keep-alive": "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"POST":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
		"expect":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
	}
	for name, handler := range handlers {
		handler := func(w http.ResponseWriter, r *http.Request) {
			quiet1(w)
			handler(w, r)
		}
		ours, theirs := serveFront1(t, handler), serveNetHTTP(t, handler)
		for of, request := range requests {
			t.Run(name+" to "+of, func(t *testing.T) {
				if name == "early hints" && strings.HasPrefix(of, "1.0") {
					t.Skip("net/http sends it, and HTTP/1.0 knows no interim responses (RFC 9110, 15.2)")
				}
				if of == "expect" && name == "reads the body" {
					request += "hi" // sent unasked, as one may
				}
				got, want := wholeAnswer(t, ours, request), wholeAnswer(t, theirs, request)
				if got != want {
					t.Errorf("got  %.300q\nwant %.300q", got, want)
				}
			})
		}
	}
}

// quiet1 keeps net/http from making fields up.
func quiet1(w http.ResponseWriter) {
	w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
}

func serveNetHTTP(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	l := testbed.Loopback(t)
	s := &http.Server{Handler: handler}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// wholeAnswer is all that a server says to a request that is followed by
// another one, which asks to end the connection.
func wholeAnswer(t *testing.T, addr, request string) string {
	t.Helper()
	c := testbed.Dial(t, addr)
	io.WriteString(c, request)
	var got strings.Builder
	if !strings.Contains(request, "close") {
		r := bufio.NewReader(io.TeeReader(c, &got))
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		for err == nil && resp.StatusCode < 200 {
			resp, err = http.ReadResponse(r, &http.Request{Method: method})
		}
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		io.Copy(io.Discard, resp.Body)
		got.WriteString("|")
		io.WriteString(c, "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	rest, err := io.ReadAll(c)
	got.Write(rest)
	if err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
		t.Fatalf("after %q: %v", got.String(), err)
	}
	return got.String()
}

func TestADifferentEndOfTheBody(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"cut length":   {"Content-Length: 10\r\n\r\nhalf", io.ErrUnexpectedEOF},
		"cut chunks":   {"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", io.ErrUnexpectedEOF},
		"bad chunk":    {"Transfer-Encoding: chunked\r\n\r\n4\r\nhalfX", nil},
		"bad trailer":  {"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX : 1\r\n\r\n", nil},
		"long framing": {"Transfer-Encoding: chunked\r\n\r\n4;" + strings.Repeat("x", 5000) + "\r\nhalf\r\n0\r\n\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			var failed error
			addr := serveFront1(t, func(w http.ResponseWriter, r *http.Request) {
				_, failed = io.Copy(io.Discard, r.Body)
				w.WriteHeader(400)
			})
			caller := testbed.Dial(t, addr)
			testbed.Play(caller, testbed.Send("POST / HTTP/1.1\r\nHost: x\r\n"+c.sent), testbed.HalfClose())
			got, _ := io.ReadAll(caller)
			if !strings.Contains(string(got), "\r\nConnection: close\r\n") {
				t.Errorf("answer: %q", got)
			}
			var e *Error
			switch {
			case failed == nil:
				t.Error("the body ended well")
			case c.want != nil && !errors.Is(failed, c.want):
				t.Errorf("got %v, want %v", failed, c.want)
			case c.want == nil && (!errors.As(failed, &e) || e.Origin != OriginCaller):
				t.Errorf("got %v, want an error of the caller's", failed)
			}
		})
	}
}

func TestWhoStillReadsTheBodyIsToldToStop(t *testing.T) {
	testbed.Leaks(t)
	ended := make(chan error, 1)
	var reading sync.WaitGroup
	addr := serveFront1(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			first := make(chan struct{})
			reading.Go(func() {
				r.Body.Read(make([]byte, 3))
				close(first)
				_, err := r.Body.Read(make([]byte, 3))
				ended <- err
			})
			<-first
		}
		w.Header().Set("Content-Length", "0")
	})
	c := testbed.Dial(t, addr)
	testbed.Play(c, testbed.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"), testbed.ExpectUntil("\r\n\r\n"))
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("got %v, want a failed read", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the body is still read")
	}
	reading.Wait()
	if err := testbed.Play(c, testbed.ExpectEnd()); err != nil {
		t.Error(err)
	}
}
