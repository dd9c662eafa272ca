package detect

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

var first = []struct {
	name string
	in   string
	want Kind
}{
	{"nothing", "", Unknown},
	{"method begun", "GE", Unknown},
	{"no version yet", "GET /", Unknown},
	{"no line end yet", "GET / HTTP/1.1", Unknown},
	{"carriage return", "GET / HTTP/1.1\r", Unknown},
	{"request", "GET / HTTP/1.1\r\n", HTTP1},
	{"HTTP/1.0, LF alone", "GET / HTTP/1.0\n", HTTP1},
	{"what follows the line does not matter", "POST /x HTTP/1.1\r\n\x00\xff garbage", HTTP1},
	{"unregistered method", "M-SEARCH * HTTP/1.1\r\n", HTTP1},
	{"proxy's target", "GET http://a.example/ HTTP/1.1\r\n", HTTP1},
	{"CONNECT for a tunnel", "CONNECT a.example:443 HTTP/1.1\r\n", HTTP1},
	{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n", HTTP1},

	// Read by some server, so never past the rules.
	{"empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n", HTTP1},
	{"empty lines only", "\r\n\r\n", Unknown},
	{"space first", " GET / HTTP/1.1\r\n", HTTP1},
	{"tabs between", "GET\t/\tHTTP/1.1\r\n", HTTP1},
	{"many spaces", "GET   /   HTTP/1.1  \r\n", HTTP1},
	{"space in the target", "GET /a b HTTP/1.1\r\n", HTTP1},
	{"control character in the target", "GET /\x01 HTTP/1.1\r\n", HTTP1},
	{"lower case", "get / http/1.1\r\n", HTTP1},
	{"version of the future", "GET / HTTP/2.0\r\n", HTTP1},
	{"simple request of HTTP/0.9", "GET /admin\r\n", HTTP1},
	{"preface gone wrong", "PRI * HTTP/2.0\r\n\r\nXX", HTTP1},

	{"preface begun", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Unknown},
	{"preface", preface, HTTP2},
	{"preface and frames", preface + "\x00\x00\x00\x04", HTTP2},

	{"record type alone", "\x16", Unknown},
	{"record header", "\x16\x03\x01\x02\x00", Unknown},
	{"ClientHello", "\x16\x03\x01\x02\x00\x01", TLS},
	{"ServerHello", "\x16\x03\x01\x02\x00\x02", Raw},
	{"alert", "\x15\x03\x01", Raw},
	{"empty record", "\x16\x03\x01\x00\x00", Raw},
	{"record over the limit", "\x16\x03\x01\x40\x01", Raw},
	{"SSLv2 hello", "\x80\x2e\x01\x03\x01", Raw},

	{"NATS", "CONNECT {\"verbose\":false}\r\n", Raw},
	{"NATS before its line end", "CONNECT {", Raw},
	{"STOMP", "CONNECT\naccept-version:1.2\n", Raw},
	{"RTSP", "OPTIONS rtsp://a/x RTSP/1.0\r\n", Raw},
	{"SIP", "INVITE sip:a@b SIP/2.0\r\n", Raw},
	{"ICAP", "REQMOD icap://a/x ICAP/1.0\r\n", Raw},
	{"memcached", "get key\r\n", Raw},
	{"memcached's path-like key", "get /key\r\n", Raw},
	{"SSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Raw},
	{"SMTP", "EHLO a.example\r\n", Raw},
	{"Redis", "*1\r\n$4\r\nPING\r\n", Raw},
	{"Redis inline", "PING\r\n", Raw},
	{"LDAP, length 12", "0\x0c\x02\x01\x01", Raw},
	{"LDAP, length 32", "0 \x02\x01\x01", Raw},
	{"syslog with octet count", "83 <34>1 2003-10-11T22:14:15Z", Raw},
	{"git daemon", "0032git-upload-pack /p.git\x00host=a\x00", Raw},
	{"NSQ", "  V2IDENTIFY\n", Raw},
	{"PROXY protocol", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Raw},
	{"PostgreSQL", "\x00\x00\x00\x08\x04\xd2\x16\x2f", Raw},
	{"MongoDB", "\x3a\x00\x00\x00", Raw},
	{"AMQP", "AMQP\x00\x00\x09\x01", Raw},
	{"MQTT", "\x10\x0c\x00\x04MQTT", Raw},
	{"JSON", "{\"id\":1}\n", Raw},
	{"XMPP", "<?xml version='1.0'?>", Raw},
	{"Graphite", "a.b.c 1 1700000000\n", Raw},

	{"line of 8 KiB", "GET /" + strings.Repeat("a", MaxLine-len("GET / HTTP/1.1\r\n")) + " HTTP/1.1\r\n", HTTP1},
	{"line over 8 KiB", "GET /" + strings.Repeat("a", MaxLine) + " HTTP/1.1\r\n", TooLong},
	{"empty lines over 8 KiB", strings.Repeat("\n", MaxLine), TooLong},
}

func TestDetect(t *testing.T) {
	for _, test := range first {
		t.Run(test.name, func(t *testing.T) {
			got, more := Detect([]byte(test.in))
			if got != test.want || more != (test.want == Unknown) {
				t.Errorf("got %v and more %v, want %v", got, more, test.want)
			}
		})
	}
}

func TestDetectDecidesTheSameByteByByte(t *testing.T) {
	for _, test := range first {
		checkPrefixes(t, []byte(test.in))
	}
}

// checkPrefixes fails if Detect changes its mind as b grows.
func checkPrefixes(t *testing.T, b []byte) {
	t.Helper()
	whole, _ := Detect(b)
	step := 1 + len(b)/512 // long lines are quadratic
	for n := 0; n <= len(b); n += step {
		switch kind, more := Detect(b[:n]); {
		case more != (kind == Unknown):
			t.Fatalf("%q: got %v and more %v", b[:n], kind, more)
		case !more && kind != whole:
			t.Fatalf("%q: got %v, but %v for the longer %q", b[:n], kind, whole, b)
		}
	}
}

// checkOracle fails if b is Raw but begins with what net/http reads as a
// request.
func checkOracle(t *testing.T, b []byte) {
	t.Helper()
	if len(b) >= MaxLine {
		return
	}
	if kind, _ := Detect(b); kind != Raw {
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil || !bytes.Contains(b, []byte("\n")) {
		return
	}
	if r.Method == http.MethodConnect && strings.ContainsAny(r.RequestURI[:1], `<{"`) {
		return // a host of such letters does not exist
	}
	t.Fatalf("%q: got raw, but net/http reads %s %s %s", b, r.Method, r.RequestURI, r.Proto)
}

func FuzzDetect(f *testing.F) {
	for _, test := range first {
		f.Add([]byte(test.in))
		f.Add([]byte(test.in + "Host: a\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkPrefixes(t, b)
		checkOracle(t, b)
	})
}

// No prefix of a request, whatever its words, is Raw.
func FuzzRequestLine(f *testing.F) {
	f.Add("GET", "/", "a: b")
	f.Add("PRI", "*", "")
	f.Fuzz(func(t *testing.T, method, target, rest string) {
		b := []byte(method + " " + target + " HTTP/1.1\r\n" + rest + "\r\n\r\n")
		if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err != nil || len(b) >= MaxLine {
			return
		}
		checkOracle(t, b)
		checkPrefixes(t, b)
	})
}

func BenchmarkDetect(b *testing.B) {
	in := []byte("POST /v1/orders/7?dry_run=true HTTP/1.1\r\nHost: orders\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		Detect(in)
	}
}
