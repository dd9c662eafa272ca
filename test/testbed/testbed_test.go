package testbed

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEchoSaysWhatItSaw(t *testing.T) {
	Leaks(t)
	for _, http2 := range []bool{false, true} {
		addr := Echo(t, Loopback(t))
		client := Client(t, http2, "")
		got := Echoed(t, Do(t, client, Request(t, "POST", "http://"+addr+"/a%2fb?x=1;y", "body", "X-Twice", "1", "X-Twice", "2")))
		if got.Method != "POST" || got.Target != "/a%2fb?x=1;y" || string(got.Body) != "body" || strings.Join(got.Header["X-Twice"], ",") != "1,2" {
			t.Errorf("http2=%v: got %+v", http2, got)
		}
		if wantProto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; got.Proto != wantProto {
			t.Errorf("got %s, want %s", got.Proto, wantProto)
		}
	}
}

func TestRawEchoReturnsTheBytesOfEveryRequest(t *testing.T) {
	Leaks(t)
	addr := RawEcho(t, Loopback(t))
	requests := []string{
		"GET /a HTTP/1.1\r\nhOsT: x\r\nX-b:  two  \r\nx-B: again\r\n\r\n",
		"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour",
		"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;ext=1\r\nabc\r\n0\r\nX-T: yes\r\n\r\n",
	}
	steps := []Step{Send(strings.Join(requests, ""))} // pipelined: nothing of the next may be eaten
	for _, request := range requests {
		steps = append(steps, ExpectUntil("\r\n\r\n"), Expect(request))
	}
	Talk(t, addr, steps...)
}

func TestShapes(t *testing.T) {
	Leaks(t)
	addr := HTTP(t, Loopback(t), Shapes())
	for _, test := range []struct {
		path, want string
	}{
		{"/chunked", "one two three"},
		{"/trailers", "with trailers"},
		{"/hints", "after the hints"},
		{"/bytes/30", "0123456789\n0123456789\n01234567"},
		{"/ndjson?n=2", "{\"n\":0}\n{\"n\":1}\n"},
		{"/sse?n=1", "event: tick\nid: 0\ndata: {\"n\":0}\n\n"},
		{"/slow?head=1ms&body=1ms", "first half, second half"},
		{"/status/418", ""},
	} {
		for _, http2 := range []bool{false, true} {
			got := Get(t, Client(t, http2, ""), "http://"+addr+test.path)
			if got.Text != test.want || got.Err != nil {
				t.Errorf("%s http2=%v: got %q, %v, want %q", test.path, http2, got.Text, got.Err, test.want)
			}
		}
	}
	if got := Get(t, Client(t, false, ""), "http://"+addr+"/trailers").Trailer.Get("X-Check"); got != "done" {
		t.Errorf("trailer: got %q, want done", got)
	}
	if got := Get(t, Client(t, false, ""), "http://"+addr+"/cut"); got.Err == nil {
		t.Error("/cut: got a clean end, want an abort")
	}
}

func TestRawShapes(t *testing.T) {
	Leaks(t)
	shapes := HTTP(t, Loopback(t), Shapes())
	get := func(path string, headers ...string) Step {
		return Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(headers, "") + "\r\n")
	}
	for _, test := range []struct {
		name, addr string
		steps      []Step
	}{
		{"reset", shapes, []Step{get("/reset"), ExpectReset()}},
		{"half close", shapes, []Step{get("/halfclose"), ExpectUntil("to the end"), ExpectEnd(), HalfClose()}},
		{"hints", shapes, []Step{get("/hints"), ExpectUntil("103 Early Hints"), ExpectUntil("200 OK")}},
		{"upgrade with early bytes", shapes, []Step{
			Send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"),
			ExpectUntil("\r\n\r\n"), Expect("early"), Send("late"), Expect("late"), HalfClose(), ExpectEnd(),
		}},
		{"websocket", shapes, []Step{
			get("/upgrade", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
			ExpectUntil("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"), HalfClose(), ExpectEnd(),
		}},
		{"greeting", Greeting(t, Loopback(t), "220 ready\r\n"), []Step{Expect("220 ready\r\n"), Send("EHLO"), Expect("EHLO"), HalfClose(), ExpectEnd()}},
		{"resetting", Resetting(t, Loopback(t)), []Step{Send("x"), ExpectReset()}},
		{"script", Script(t, Loopback(t), Expect("ping"), Send("pong"), HalfClose(), ExpectEnd()), []Step{Dribble("ping", 0), Expect("pong"), ExpectEnd()}},
	} {
		t.Run(test.name, func(t *testing.T) { Talk(t, test.addr, test.steps...) })
	}
}

func TestAStepSaysWhatItMissed(t *testing.T) {
	addr := Greeting(t, Loopback(t), "hello")
	for _, test := range []struct {
		step Step
		want string
	}{
		{Expect("howdy"), `expect "howdy": got "hello"`},
		{ExpectEnd(), `expect the end: got "hello"`},
		{ExpectReset(), "expect a reset: got 5 bytes"},
	} {
		conn := Dial(t, addr)
		_ = conn.CloseWrite() // so that the greeting is all that comes
		if err := Play(conn, test.step); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestRecorderKeepsConnectionsApart(t *testing.T) {
	Leaks(t)
	recorder := Record(t, Loopback(t))
	Talk(t, recorder.Addr, Send("one"))
	Eventually(t, Patience, func() error { return wantReceived(recorder, "one") })
	Talk(t, recorder.Addr, Send("two"))
	Eventually(t, Patience, func() error { return wantReceived(recorder, "one", "two") })
}

func wantReceived(recorder *Recorder, want ...string) error {
	if got := fmt.Sprintf("%s", recorder.Received()); got != fmt.Sprintf("%s", want) {
		return fmt.Errorf("got %s, want %s", got, want)
	}
	return nil
}

func TestTLSEcho(t *testing.T) {
	Leaks(t)
	addr, pool := TLSEcho(t, Loopback(t), []string{"shop.example", "127.0.0.1"}, "h2")
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, ServerName: "shop.example", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Errorf("got ALPN %q, want h2", got)
	}
	_, _ = io.WriteString(conn, "secret")
	got := make([]byte, 6)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRefusedRefuses(t *testing.T) {
	if conn, err := net.DialTimeout("tcp", Refused(t), Patience); err == nil {
		conn.Close()
		t.Error("got a connection, want a refusal")
	}
}

func TestLeftDescriptorsAreFound(t *testing.T) {
	before := descriptors()
	if len(before) == 0 {
		t.Skip("needs /proc/self/fd")
	}
	file, err := os.CreateTemp(t.TempDir(), "left")
	if err != nil {
		t.Fatal(err)
	}
	if err := newDescriptors(before); err == nil || !strings.Contains(err.Error(), file.Name()) {
		t.Errorf("got %v, want it to name %s", err, file.Name())
	}
	file.Close()
	if err := newDescriptors(before); err != nil {
		t.Errorf("after close: got %v, want none", err)
	}
}

func TestEventuallyWaitsForTheCondition(t *testing.T) {
	calls := 0
	Eventually(t, time.Second, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Errorf("got %d calls, want 3", calls)
	}
}

func TestProxyTakesEveryConnection(t *testing.T) {
	client := Client(t, false, Echo(t, Loopback(t)))
	got := Echoed(t, Get(t, client, "http://shop.example/x"))
	if got.Host != "shop.example" || got.Method != http.MethodGet {
		t.Errorf("got %+v", got)
	}
}
