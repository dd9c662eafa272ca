package main

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTapFilters(t *testing.T) {
	dir := runtimeDir(t)
	o := observe(t, filepath.Join(dir, "sluice", "a.sock"))
	o.exchange("a", "pay", "/pay", 200)
	o.exchange("b", "", "/orders/7", 503)
	o.exchange("c", `we"ird\(1)`, "/orders/8", 404)
	for args, want := range map[string]string{
		"":                     "abc",
		"--route pay":          "a",
		"--status 5xx,404":     "bc",
		"--status 200":         "a",
		"--where .status>=500": "b",
		"--where .status>300 --where .status<500": "c",
		"--limit 2":                    "bc",
		"--since 2026-11-23T12:00:01Z": "",
		"inbound 5xx":                  "b",
		"outbound":                     "",
		"GET /orders":                  "bc",
		"POST":                         "",
		"orders":                       "abc", // the host's name
		"rders/8":                      "c",
		`we"ird\(1)`:                   "c",
		"UNAVAILABLE":                  "",
	} {
		out, err := sluice(t, newTapCmd, append([]string{"--no-follow"}, strings.Fields(args)...)...)
		if err != nil {
			t.Errorf("%s: %v", args, err)
		}
		var got strings.Builder
		for _, found := range regexp.MustCompile(`"exchange","id":"(.)"`).FindAllStringSubmatch(out, -1) {
			got.WriteString(found[1])
		}
		if got.String() != want {
			t.Errorf("%s: got %s, want %s", args, &got, want)
		}
	}
}

func TestTapSaysWhatIsWrongWithAQuery(t *testing.T) {
	dir := runtimeDir(t)
	observe(t, filepath.Join(dir, "sluice", "a.sock"))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--where", ".a | fo(1)"}, "where: column 6: function not defined: fo/1\n  .a | fo(1)\n       ^"},
		{[]string{"--since", "soon"}, "since: "},
		{[]string{"--status", "6"}, "--status: "},
		{[]string{"--limit", "-1"}, "--limit: "},
		{[]string{"--nope"}, "unknown flag"},
	} {
		if _, err := sluice(t, newTapCmd, test.args...); exitCode(err) != exitUsage || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want a usage error %s", test.args, err, test.want)
		}
	}
}

func TestTapAsText(t *testing.T) {
	t.Setenv("TZ", "UTC")
	dir := runtimeDir(t)
	o := observe(t, filepath.Join(dir, "sluice", "a.sock"))
	o.exchange("a", "pay", "/pay", 200)
	out, err := sluice(t, newTapCmd, "--no-follow", "-o", "text")
	if err != nil || !strings.HasSuffix(out, ":00.000  →•  GET orders/pay  200  1.0ms  [pay]\n") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestTapFollowsUntilItsLimit(t *testing.T) {
	dir := runtimeDir(t)
	o := observe(t, filepath.Join(dir, "sluice", "a.sock"))
	o.exchange("a", "pay", "/pay", 200)
	cmd := newTapCmd()
	r, w := io.Pipe()
	cmd.SetOut(w)
	cmd.SetArgs([]string{"--limit", "2"})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(t.Context()); w.Close() }()
	first := make([]byte, 4096)
	n, err := r.Read(first)
	if err != nil || !bytes.Contains(first[:n], []byte(`"id":"a"`)) {
		t.Fatalf("got %q, %v; want the past at once", first[:n], err)
	}
	o.exchange("b", "pay", "/pay", 200)
	o.exchange("c", "pay", "/pay", 200)
	rest, err := io.ReadAll(r)
	if err != nil || bytes.Count(rest, []byte{'\n'}) != 1 || !bytes.Contains(rest, []byte(`"id":"b"`)) {
		t.Errorf("got %q, %v; want b alone", rest, err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("tap did not end at its limit")
	}
}
