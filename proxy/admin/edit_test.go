package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// startFiles serves a directory of rule files that is watched.
func startFiles(t *testing.T) (s *Server, dir string, live *rules.Live, socket *http.Client) {
	t.Helper()
	dir, live = t.TempDir(), new(rules.Live)
	if err := os.WriteFile(filepath.Join(dir, "orders.yaml"), []byte(ruleFile), 0o644); err != nil {
		t.Fatal(err)
	}
	w, problems, err := watch.New(dir, live, watch.Options{})
	if err != nil {
		t.Fatal(err, problems)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	s, _, socket = start(t, func(c *Config) { c.Rules, c.Files = live, w })
	return s, dir, live, socket
}

func TestRoutesAreWrittenAndRemoved(t *testing.T) {
	s, dir, live, socket := startFiles(t)
	hash := live.Load().Hash()
	refund := "match: {http: POST /refund}\n"
	for _, test := range []struct {
		name, request, body string
		header              []string
		status              int
		want                string
	}{
		{"created", "PUT /routes/refund", refund, nil, 201, `"generation":2,`},
		{"the same again", "PUT /routes/refund", refund, nil, 200, `"generation":2,`},
		{"replaced", "PUT /routes/refund", refund + "on_error: pass\n", nil, 200, `"generation":3,`},
		{"shown", "GET /routes/refund", "", nil, 200, `"on_error":"pass"`},
		{
			"its problems", "PUT /routes/refund", "match: {http: nowhere}\nrespnse: []\n", nil, 422,
			`{"error":"the rule files have problems, so nothing was written","route":"refund","file":"` + dir + `/refund.yaml","routes":0,"problems":[{"file":"` + dir +
				`/refund.yaml","line":1,"column":15,"end_column":22,"severity":"error","code":"bad-pattern","route":"refund","path":"match.http","message":"no path","hint":"a pattern is`,
		},
		{"no YAML", "PUT /routes/refund", "\x00", nil, 422, `"code":"yaml"`},
		{"nothing", "PUT /routes/refund", "", nil, 422, `"code":"empty"`},
		{"another's pattern", "PUT /routes/mine", refund, nil, 422, `"code":"route-conflict"`},
		{"a path", "PUT /routes/..%2f..%2fetc%2fpasswd", refund, nil, 400, `not a possible name`},
		{"a hidden file", "PUT /routes/.git", refund, nil, 400, `not a possible name`},
		{"a NUL", "DELETE /routes/refund%00.yaml", "", nil, 400, `not a possible name`},
		{"a file's name", "DELETE /routes/refund.yaml", "", nil, 400, `not a possible name`},
		{"too long", "PUT /routes/" + strings.Repeat("a", 5000), refund, nil, 400, `not a possible name`},
		{"too large", "PUT /routes/refund", strings.Repeat("# 45678\n", 140_000), nil, 413, `at most 1048576 bytes`},
		{"compressed", "PUT /routes/refund", refund, []string{"Content-Encoding", "gzip"}, 415, `without a coding`},
		{"an old hash", "PUT /routes/refund", refund, []string{"If-Match", `"` + hash + `"`}, 412, `others by now`},
		{"no hash", "PUT /routes/refund", refund, []string{"If-Match", hash}, 400, `with its quotes`},
		{"any hash", "PUT /routes/refund", refund, []string{"If-Match", "*"}, 400, `with its quotes`},
		{"there already", "PUT /routes/refund", refund, []string{"If-None-Match", "*"}, 412, `others by now`},
		{"another condition", "DELETE /routes/refund", "", []string{"If-None-Match", "*"}, 400, `If-None-Match takes *`},
		{"nobody's", "DELETE /routes/none", "", nil, 404, `no such route: none`},
		{"for all", "PUT /routes/_all", "response: [{head: '.headers[\"x-a\"] = \"1\"'}]", nil, 201, `"generation":4,`},
		{"for others", "PUT /routes/_others", "response: []", nil, 400, `not a possible name`},
		{"removed", "DELETE /routes/_all", "", nil, 200, `"generation":5,`},
		{"removed too", "DELETE /routes/refund", "", nil, 200, `"generation":6,`},
		{"all of them", "DELETE /routes/orders", "", nil, 200, `"routes":0,"problems":[]}`},
		{"gone", "GET /routes/orders", "", nil, 404, `no route`},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		status, body := call(t, socket, method, "http://sluice"+path, test.body, test.header...)
		if status != test.status || !strings.Contains(body, test.want) || !json.Valid([]byte(body)) {
			t.Errorf("%s: got %d %s, want %d %s", test.name, status, body, test.status, test.want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	if live.Load().Number != 7 {
		t.Errorf("generation %d, want 7", live.Load().Number)
	}
	// Over TCP nothing of it works without the token.
	tcp := "http://" + s.Addr().String() + "/routes/refund"
	if status, body := call(t, http.DefaultClient, "PUT", tcp, refund); status != 401 || live.Load().Number != 7 {
		t.Errorf("without the token: %d %s", status, body)
	}
	if status, body := call(t, http.DefaultClient, "PUT", tcp, refund, "Authorization", "Bearer "+tokenOf(t, s)); status != 201 {
		t.Errorf("with the token: %d %s", status, body)
	}
}

// The ETag of what was read is the condition of what is written.
func TestARouteIsChangedOnlyIfNothingElseWas(t *testing.T) {
	_, _, _, socket := startFiles(t)
	ask := func(method, body, match string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://sluice/routes/orders", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if match != "" {
			req.Header.Set("If-Match", match)
		}
		resp, err := socket.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("ETag")
	}
	_, first := ask("GET", "", "")
	status, second := ask("PUT", ruleFile+"on_error: pass\n", first)
	if status != 200 || second == first || first == "" {
		t.Errorf("got %d, ETag %s after %s", status, second, first)
	}
	if status, _ := ask("DELETE", "", first); status != 412 {
		t.Errorf("got %d with an old ETag", status)
	}
	if status, _ := ask("DELETE", "", second); status != 200 {
		t.Errorf("got %d with the ETag of the answer", status)
	}
}

func TestADirectoryThatCannotBeWritten(t *testing.T) {
	_, dir, _, socket := startFiles(t)
	if err := os.Symlink("..2026", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	status, body := call(t, socket, "DELETE", "http://sluice/routes/orders", "")
	if status != 409 || !strings.Contains(body, "is a ConfigMap's: change the ConfigMap") {
		t.Errorf("got %d %s", status, body)
	}
}
