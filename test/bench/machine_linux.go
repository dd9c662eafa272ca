package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writeMachine says what the tables were measured on, and of what.
func writeMachine(w io.Writer, began time.Time, o options, outcomes []outcome) {
	what := "commit " + commit()
	if o.sluice != "" {
		what = "binary " + o.sluice
	}
	fmt.Fprintf(w, "Measured on %s, %s, %d rounds of %v, in %v.\n\n", began.UTC().Format("2006-01-02 15:04 MST"), what, o.rounds, o.length,
		time.Since(began).Round(time.Second))
	fmt.Fprintf(w, "Machine: %s, %d processors, Linux %s, %s, nginx %s, HAProxy %s.\n\n", processor(), runtime.NumCPU(), kernel(), runtime.Version(),
		installed(nginx, nginxVersion), installed(haproxy, haproxyVersion))
	// Others cost the proxies their caches, which is not the same for all.
	if percent := disturbance(outcomes); percent > 2 {
		fmt.Fprintf(w, "**Disturbed:** other processes had %.0f %% of the proxies' processor. Measure again on a quiet machine.\n\n", percent)
	}
}

// commit is the tree's, with a plus if it was changed since.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed := ""
	if out, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(out) > 0 {
		changed = "+"
	}
	return strings.TrimSpace(string(out)) + changed
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func installed(name string, version func(path string) string) string {
	path, err := look(name)
	if err != nil {
		return "none"
	}
	return version(path)
}
