package tap

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func serve(t *testing.T, tap *Tap) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tap", tap.ServeTap)
	mux.HandleFunc("GET /exchanges/{id}", tap.ServeExchange)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestTapAsNDJSONAndAsServerSentEvents(t *testing.T) {
	tap := New(Config{})
	fill(tap, 0, 2)
	base := serve(t, tap)
	resp, body := get(t, base+"/tap", "*/*")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %s %q, want 2 lines of JSON", resp.Header.Get("Content-Type"), body)
	}
	resp, body = get(t, base+"/tap", "text/event-stream")
	if !strings.HasPrefix(body, "event: exchange\ndata: {") || strings.Count(body, "\n\n") != 2 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %s %q, want 2 server-sent events", resp.Header.Get("Content-Type"), body)
	}
}

func TestFollowedEventsArriveAtOnce(t *testing.T) {
	tap := New(Config{})
	base := serve(t, tap)
	resp, err := http.Get(base + "/tap?follow=true&limit=2") // answers its head at once
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 2 {
		fill(tap, i, i+1)
		if line, err := lines.ReadString('\n'); err != nil || !json.Valid([]byte(line)) {
			t.Errorf("got %q, %v; want a line", line, err)
		}
	}
	if _, err := lines.ReadString('\n'); err != io.EOF {
		t.Errorf("got %v, want the end at the limit", err)
	}
}

func TestTooManyReadersAreRefused(t *testing.T) {
	tap := New(Config{Readers: 1})
	base := serve(t, tap)
	first, err := http.Get(base + "/tap?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, base+"/tap", ""); resp.StatusCode != 503 {
		t.Errorf("got %d, want 503", resp.StatusCode)
	}
	first.Body.Close()
}

func TestWrongQueries(t *testing.T) {
	base := serve(t, New(Config{}))
	tests := []struct {
		query, want string
		column      int
	}{
		{"where=" + url.QueryEscape(".status >= 500 |"), "where: column 17: unexpected EOF", 17},
		{"where=" + url.QueryEscape("\"é\" == 1 and )"), "where: column 14: unexpected token", 14},
		{"where=" + url.QueryEscape(".a | asci_downcase"), "where: column 6: function not defined: asci_downcase/0", 6},
		{"where=" + url.QueryEscape("input"), "where: column 1: input(s)/0 is not allowed", 1},
		{"where=" + url.QueryEscape(`import "x" as x; .`), "where: column 1: cannot load module", 1},
		{"where=", "where: column 1: missing query", 1},
		{"since=yesterday", `since: "yesterday" is neither a duration`, 0},
		{"limit=0", `limit: "0" is not a number from 1 up`, 0},
		{"limit=1&limit=2", "limit: given more than once", 0},
		{"follow=maybe", "follow: ", 0},
		{"wher=.a", "wher: unknown parameter", 0},
	}
	for _, test := range tests {
		resp, body := get(t, base+"/tap?"+test.query, "")
		var got struct {
			Error  string
			Column int
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s: %q: %v", test.query, body, err)
		}
		if resp.StatusCode != 400 || !strings.HasPrefix(got.Error, test.want) || got.Column != test.column {
			t.Errorf("%s: got %d %q at %d, want 400 %q at %d", test.query, resp.StatusCode, got.Error, got.Column, test.want, test.column)
		}
	}
}

func TestWhereThatFailsOnAnEventIsToldOnce(t *testing.T) {
	tap := New(Config{})
	fill(tap, 0, 3)
	tap.Observe(edited())
	c := readAll(t, tap, "where="+url.QueryEscape(`.request.body.tier // .route | test("o")`))
	if got := strings.Join(c.kinds, " "); got != "where_error exchange" {
		t.Errorf("got %s, want where_error exchange", got)
	}
}

func TestWhereCannotRunForEver(t *testing.T) {
	tap := New(Config{})
	fill(tap, 0, 1)
	c := readAll(t, tap, "where="+url.QueryEscape(`last(repeat(1))`))
	if got := strings.Join(c.kinds, " "); got != "where_error" {
		t.Errorf("got %s, want where_error", got)
	}
}

func TestExchangeByID(t *testing.T) {
	tap := New(Config{})
	for _, e := range everyEvent() {
		tap.Observe(e)
	}
	base := serve(t, tap)
	_, body := get(t, base+"/exchanges/x3", "")
	var got struct {
		Type, ID string
		Messages []struct{ Index int }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Type != "exchange" || got.ID != "x3" || len(got.Messages) != 1 || got.Messages[0].Index != 4 {
		t.Errorf("got %+v, want x3 with its message", got)
	}
	if resp, body := get(t, base+"/exchanges/nobody", ""); resp.StatusCode != 404 || !strings.Contains(body, `"error"`) {
		t.Errorf("got %d %s, want 404", resp.StatusCode, body)
	}
}

func TestATapThatIsOffSaysSo(t *testing.T) {
	base := serve(t, New(Config{Memory: -1}))
	if resp, body := get(t, base+"/tap?follow=true", ""); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "the tap is off") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}
