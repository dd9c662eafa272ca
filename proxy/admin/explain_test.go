package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/tap"
	"github.com/sluice-proxy/sluice/rules"
)

func explainer(live *rules.Live) func(context.Context, proxy.Question) ([]byte, error) {
	return func(ctx context.Context, q proxy.Question) ([]byte, error) {
		if q.Head.Path == "/unexplained" {
			return nil, errors.New("not that one")
		}
		e, err := proxy.Explain(ctx, proxy.Config{Rules: live}, q)
		if err != nil {
			return nil, err
		}
		return tap.Config{}.Explanation(ctx, e), nil
	}
}

func TestQuestionsAreReadAsPeopleWriteThem(t *testing.T) {
	for _, test := range []struct{ question, want string }{
		{`{"method": "get", "url": "http://orders:8080/v1/orders/7?a=1&b#f"}`, "inbound GET orders:8080 /v1/orders/7 a=1&b to 0.0.0.0:8080 []"},
		{`{"method": "GET", "url": "orders"}`, "inbound GET orders / to 0.0.0.0:80 []"},
		{`{"method": "CONNECT", "url": "orders:443"}`, "inbound CONNECT orders:443 to 0.0.0.0:443 []"},
		{`{"method": "GET", "url": "/a", "headers": {"Host": "x"}}`, "inbound GET x /a to 0.0.0.0:80 []"},
		{`{"method": "GET", "url": "https://[::1]/a%2Fb", "direction": "outbound"}`, "outbound GET [::1] /a%2Fb to [::1]:443 []"},
		{`{"method": "GET", "url": "http://10.0.0.1:81/", "destination": "10.0.0.2:82"}`, "inbound GET 10.0.0.1:81 / to 10.0.0.2:82 []"},
		{
			`{"method": "POST", "url": "h/", "headers": {"x-b": ["1", "2"], "X-A": "0", "Content-Length": "9", "connection": "close"}, "body": " [1]"}`,
			"inbound POST h / to 0.0.0.0:80 [{X-A 0} {x-b 1} {x-b 2} {content-type application/json}]  [1]",
		},
		{`{"method": "POST", "url": "h/", "body": "[not"}`, "inbound POST h / to 0.0.0.0:80 [] [not"},
		{`{"method": "POST", "url": "h/", "body": {"a": 1.0}}`, `inbound POST h / to 0.0.0.0:80 [{content-type application/json}] {"a": 1.0}`},
		{`{"method": "POST", "url": "grpc://h/a.B/C", "body": {}}`, "inbound POST h /a.B/C to 0.0.0.0:80 [{content-type application/grpc}] {}"},
		{`{"method": "GET", "url": "h/", "response": {"body": {"a": 1}}}`, `inbound GET h / to 0.0.0.0:80 [] -> 200 [{content-type application/json}] {"a": 1}`},
		{`{"method": "GET", "url": "h/", "response": {"status": 100}}`, "response.status: 100 is not from 200 to 599"},
		{`{"url": "h/"}`, "method: there is none"},
		{`{"method": "GET", "url": "h:x/"}`, `url: "x" is no port`},
		{`{"method": "GET", "url": "h/a b"}`, "url: a space or control character is not escaped"},
		{`{"method": "GET", "url": "h/", "direction": "up"}`, `direction: "up" is neither inbound nor outbound`},
		{`{"method": "GET", "url": "h/", "destination": "orders:80"}`, "destination: "},
		{`{"method": "GET", "url": "h/", "peer": "me"}`, "peer: "},
		{`{"method": "GET", "url": "h/", "headers": {"a": 1}}`, `headers: "a" has neither a text nor a list of texts`},
	} {
		var q Question
		var got string
		err := json.Unmarshal([]byte(test.question), &q)
		if err == nil {
			var p proxy.Question
			if p, err = q.Parse(); err == nil {
				h := p.Head
				got = strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s to %s", p.Direction, h.Method, h.Host, h.Path, h.Query, p.Destination)), " ")
				got = strings.TrimRight(fmt.Sprintf("%s %v %s", got, h.Fields, p.Body), " ")
				if r := p.Response; r != nil {
					got += fmt.Sprintf(" -> %d %v %s", r.Status, r.Fields, p.ResponseBody)
				}
			}
		}
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.HasPrefix(got, test.want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", test.question, got, test.want)
		}
	}
}
