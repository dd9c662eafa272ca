package matrix

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// refusal is what the caller of a call is told that a rule refuses: at once, and
// after a message of the response has left.
type refusal struct {
	shape      string
	status     int
	grpcStatus string // a field of the head
	text       string
	late       string // "": a unary call has no such end
}

var refusals = []refusal{
	{"grpc-web", 200, "9", "", "\x80grpc-status: 9\r\ngrpc-message: no\r\nx-sluice-error: late/response[0].reject; rejected\r\n"},
	{"grpc-web in text", 200, "9", "", "\x80grpc-status: 9\r\ngrpc-message: no\r\nx-sluice-error: late/response[0].reject; rejected\r\n"},
	{"unary grpc-web", 200, "9", "", ""},
	{"connect", 200, "", "\x02\x00\x00\x00\x37" + `{"error":{"code":"failed_precondition","message":"no"}}`, "\x02" + `{"error":{"code":"failed_precondition","message":"no"},"metadata":{"x-sluice-error":["late/response[0].reject; rejected"]}}`},
	{"connect in json", 200, "", "\x02\x00\x00\x00\x37" + `{"error":{"code":"failed_precondition","message":"no"}}`, "\x02" + `{"error":{"code":"failed_precondition","message":"no"},"metadata":{"x-sluice-error":["late/response[0].reject; rejected"]}}`},
	{"unary connect", 400, "", `{"code":"failed_precondition","message":"no"}`, ""},
}

// TestWebCallsAreRefusedInTheirOwnFormInEveryLane takes rejections of requests and
// of the second message of responses through every lane and protocol.
func TestWebCallsAreRefusedInTheirOwnFormInEveryLane(t *testing.T) {
	testbed.Leaks(t)
	steps := "  - when: .name == \"old\"%s\n    reject: {grpc: FAILED_PRECONDITION, message: \"no\"}\n"
	files := []rules.File{
		ruleFile("early", "grpc: matrix.v1.Items/*, headers: {x-when: early}", "request:\n"+fmt.Sprintf(steps, "")),
		ruleFile("late", "grpc: matrix.v1.Items/*, headers: {x-when: late}", "response:\n"+fmt.Sprintf(steps, " and $message.index == 1")),
	}
	upstream := testbed.HTTP(t, testbed.Loopback(t), &mirror{seen: map[string]string{}})
	for _, l := range lanes(t) {
		car := startSidecar(t, l, upstream, files)
		for _, protocol := range protocols {
			for _, want := range refusals {
				s := shapeNamed(t, want.shape)
				for _, when := range []string{"early", "late"} {
					sent, text, grpcStatus, status := s.sent, want.text, want.grpcStatus, want.status
					if when == "late" {
						if want.late == "" {
							continue
						}
						sent, status, grpcStatus = twice(s), 200, ""
						text = first(s) + ending(s, want.late)
					}
					id := fmt.Sprintf("%s %s %s %s", l.name, s.name, protocol, when)
					client := testbed.Client(t, protocol == "http2", car.addr)
					got := testbed.Do(t, client, testbed.Request(t, "POST", "http://x"+s.path(0), sent, "Content-Type", s.contentType, caseField, id, "x-when", when))
					client.CloseIdleConnections()
					if got.Err != nil || got.StatusCode != status || got.Text != text || got.Header.Get("Grpc-Status") != grpcStatus {
						t.Errorf("%s: got %d %q, %v, %v, want %q", id, got.StatusCode, got.Text, got.Header, got.Err, text)
					}
					record, _ := car.record(t, id)
					if record.Answered != "reject" || record.GRPCStatus != "FAILED_PRECONDITION" || record.Error != nil || record.Lane != l.shown {
						t.Errorf("%s: record %+v", id, record)
					}
				}
			}
		}
	}
}

func shapeNamed(t *testing.T, name string) *shape {
	t.Helper()
	for i := range shapes {
		if shapes[i].name == name {
			return &shapes[i]
		}
	}
	t.Fatalf("no shape %s", name)
	return nil
}

// first is the first message of a shape, as its body holds it; twice are two of
// them.
func first(s *shape) string {
	size := 5 + int(plainly(s)[4])
	return wired(s, plainly(s)[:size])
}

func twice(s *shape) string { return first(s) + first(s) }

// ending is the last envelope of a response: its flags, and what it says.
func ending(s *shape, said string) string {
	return wired(s, string(stream.AppendEnvelope(nil, said[0], []byte(said[1:]))))
}

func isText(s *shape) bool { return strings.HasSuffix(s.contentType, "-text") }

func plainly(s *shape) string {
	if isText(s) {
		b, _ := base64.StdEncoding.DecodeString(s.sent) // it has one padding, at its end
		return string(b)
	}
	return s.sent
}

func wired(s *shape, text string) string {
	if isText(s) {
		return texts(text)
	}
	return text
}
