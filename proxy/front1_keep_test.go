package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// okText answers with the request's path.
func okText(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(r.URL.Path)))
	io.WriteString(w, r.URL.Path)
}

func answered1(path string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
}

func TestWhatIsLeftOfARequestIsDroppedOrEndsTheConn(t *testing.T) {
	addr := serveFront1(t, okText)
	const next = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, body := range map[string]string{
		"length": "Content-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000),
		"chunks": "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("5\r\nhello\r\n", 1000) + "0\r\nX-T: 1\r\n\r\n",
	} {
		t.Run("short, "+name, func(t *testing.T) {
			testbed.Leaks(t)
			c := testbed.Dial(t, addr)
			go io.WriteString(c, "POST /a HTTP/1.1\r\nHost: x\r\n"+body+next)
			if err := testbed.Play(c, testbed.Expect(answered1("/a")), testbed.Expect(answered1("/next"))); err != nil {
				t.Error(err)
			}
		})
	}
	for name, body := range map[string]string{
		"length": "Content-Length: 3000000\r\n\r\n" + strings.Repeat("x", 3000000),
		"chunks": "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("5\r\nhello\r\n", 300000) + "0\r\n\r\n",
	} {
		t.Run("long, "+name, func(t *testing.T) {
			testbed.Leaks(t)
			c := testbed.Dial(t, addr)
			wrote := make(chan struct{})
			go func() {
				defer close(wrote)
				io.WriteString(c, "POST /a HTTP/1.1\r\nHost: x\r\n"+body+next)
			}()
			if err := testbed.Play(c, testbed.Expect(answered1("/a")), testbed.ExpectEnd()); err != nil {
				t.Error(err)
			}
			<-wrote
		})
	}
	t.Run("a chunk that is none", func(t *testing.T) {
		testbed.Leaks(t)
		c := testbed.Dial(t, addr)
		testbed.Play(c, testbed.Send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"+next))
		if err := testbed.Play(c, testbed.Expect(answered1("/a")), testbed.ExpectEnd()); err != nil {
			t.Error(err)
		}
	})
}

func TestContinueIsSaidOnceAndInTime(t *testing.T) {
	const ask = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	read := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "hello" {
			t.Errorf("body: %q, %v", body, err)
		}
		okText(w, r)
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		steps   []testbed.Step
	}{
		"when the body is read": {read, []testbed.Step{
			testbed.Expect(goOn), testbed.Send("hello"), testbed.Expect(answered1("/a")),
			testbed.Send(ask), testbed.Expect(goOn), testbed.Send("hello"), testbed.Expect(answered1("/a")),
		}},
		"as the handler says it": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(100); read(w, r) }, []testbed.Step{
			testbed.Expect(goOn), testbed.Send("hello"), testbed.Expect(answered1("/a")),
		}},
		"not when the body is not read": {okText, []testbed.Step{
			testbed.Expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/a"), testbed.ExpectEnd(),
		}},
		"not after the response has begun": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2")
			part(w, "/")
			io.ReadAll(r.Body)
			io.WriteString(w, "a")
		}, []testbed.Step{
			testbed.Expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/"), testbed.Send("hello"), testbed.Expect("a"), testbed.ExpectEnd(),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			testbed.Leaks(t)
			testbed.Talk(t, serveFront1(t, c.handler), append([]testbed.Step{testbed.Send(ask)}, c.steps...)...)
		})
	}
}

func TestCallersEndIsNoticedWhileItWaits(t *testing.T) {
	for name, end := range map[string]testbed.Step{"reset": testbed.Abort(), "half-close": testbed.HalfClose()} {
		for of, request := range map[string]string{
			"GET":        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST":       "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
			"pipelining": "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			t.Run(name+" of "+of, func(t *testing.T) {
				testbed.Leaks(t)
				begun := make(chan struct{}, 2)
				noticed := make(chan bool, 2)
				addr := serveFront1(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					begun <- struct{}{}
					c := r.Context().Value(connKey{}).(*conn)
					if name == "reset" {
						<-c.ctx.Done()
						noticed <- true
						return
					}
					if of == "pipelining" && r.URL.Path == "/a" {
						okText(w, r)
						return
					}
					testbed.Eventually(t, 10*time.Second, func() error {
						if !c.callerEnded.Load() {
							return fmt.Errorf("%s: no end was noticed", r.URL.Path)
						}
						return nil
					})
					noticed <- true
					okText(w, r)
				})
				c := testbed.Dial(t, addr)
				testbed.Play(c, testbed.Send(request))
				<-begun
				end(c)
				<-noticed
			})
		}
	}
}

func TestHijackedConnKeepsWhatWasRead(t *testing.T) {
	testbed.Leaks(t)
	addr := serveFront1(t, func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(nc, "mine\n")
		io.Copy(struct{ io.Writer }{nc}, struct{ io.Reader }{nc})
		nc.Close()
	})
	testbed.Talk(t, addr, testbed.Send("GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly "),
		testbed.Expect("mine\nearly "), testbed.Send("late"), testbed.Expect("late"), testbed.HalfClose(), testbed.ExpectEnd())
}

func TestAPanicEndsTheConnOnly(t *testing.T) {
	testbed.Leaks(t)
	addr := serveFront1(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			panic("bad")
		}
		okText(w, r)
	})
	testbed.Talk(t, addr, testbed.Send("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"), testbed.ExpectReset())
	testbed.Talk(t, addr, testbed.Send("GET /good HTTP/1.1\r\nHost: x\r\n\r\n"), testbed.Expect(answered1("/good")))
}
