package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestHTTPPassesUntouched(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				h := w.Header()
				h["Date"] = nil
				h["X-Multi"] = []string{"a", "b"}
				h.Set("Trailer", "X-Sum")
				w.WriteHeader(http.StatusTeapot)
				fmt.Fprintf(w, "%s %s %s %d %q", r.Method, r.RequestURI, r.Host, r.ContentLength, body)
				h.Set("X-Sum", r.Trailer.Get("X-T"))
			})
			s := startSidecar(t, upstream, nil)
			c := client(t, h2)
			for i := range 3 {
				body := io.Reader(strings.NewReader("hello"))
				req, _ := http.NewRequest("POST", "http://"+s.addr+"/a%2Fb//c?x=1;y=2&x=%20", body)
				req.Host = "Example.COM:99"
				req.ContentLength = -1
				req.Trailer = http.Header{"X-T": {"sum"}}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				want := `POST /a%2Fb//c?x=1;y=2&x=%20 Example.COM:99 -1 "hello"`
				if string(got) != want || resp.StatusCode != http.StatusTeapot {
					t.Errorf("request %d: got %d %s, want 418 %s", i, resp.StatusCode, got, want)
				}
				if v := resp.Header["X-Multi"]; len(v) != 2 {
					t.Errorf("X-Multi: got %q, want two values", v)
				}
				if _, ok := resp.Header["Date"]; ok {
					t.Error("a Date was made up")
				}
				if v := resp.Trailer.Get("X-Sum"); v != "sum" {
					t.Errorf("trailer: got %q, want sum", v)
				}
			}
			r := s.record("/a%2Fb//c")
			if r.Route != "" || r.Status != 418 || r.Error != nil {
				t.Errorf("record: %+v", r)
			}
		})
	}
}

func TestRuleEditsRequestAndResponse(t *testing.T) {
	upstream := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"got": %s, "tier": %q, "secret": 1}`, body, r.Header.Get("X-Tier"))
	})
	rule := `
route: orders
match: {http: "POST /orders/{id}"}
request:
  - jq: .id = $request.params.id | del(.debug)
  - head: .headers["x-tier"] = $body.tier
  - when: .quantity > 100
    reject: {status: 422, message: too many}
response:
  - jq: del(.secret)
`
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			s := startSidecar(t, upstream, []string{rule})
			c := client(t, h2)
			post := func(body string) (int, string, http.Header) {
				resp, err := c.Post("http://"+s.addr+"/orders/7", "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, _ := io.ReadAll(resp.Body)
				return resp.StatusCode, string(got), resp.Header
			}
			status, got, _ := post(`{"tier":"gold", "debug":true, "n": 1.10}`)
			want := `{"got": {"tier":"gold", "n": 1.10,"id":"7"}, "tier": "gold"}`
			if status != 200 || strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("got %d %s, want %s", status, got, want)
			}
			status, got, h := post(`{"tier":"gold","quantity":101}`)
			if status != 422 || h.Get("X-Sluice-Error") != "orders/request[2].reject; rejected" {
				t.Errorf("got %d %s %q, want 422", status, got, h)
			}
			status, got, h = post(`{"tier":`)
			if status != 400 || !strings.Contains(h.Get("X-Sluice-Error"), "decode") {
				t.Errorf("got %d %s %q, want 400", status, got, h)
			}
		})
	}
}
