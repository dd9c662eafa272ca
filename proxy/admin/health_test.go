package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	reason := "no rules yet"
	h := NewHealth(HealthConfig{
		Ready:   func() (bool, string) { return reason == "", reason },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
	})
	get := func(path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
	}
	for _, test := range []struct{ reason, path, want string }{
		{"no rules yet", "/healthz/live", `200 {"status":"live"}`},
		{"no rules yet", "/healthz/ready", `503 {"status":"not ready","reason":"no rules yet"}`},
		{"", "/healthz/ready", `200 {"status":"ready"}`},
		{"draining", "/healthz/ready", `503 {"status":"not ready","reason":"draining"}`},
		{"", "/metrics", "200 metrics"},
		{"", "/config", "404 404 page not found"},
	} {
		reason = test.reason
		if got := get(test.path); got != test.want {
			t.Errorf("%s: got %s, want %s", test.path, got, test.want)
		}
	}
}
