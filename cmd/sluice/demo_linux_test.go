package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ordinary is the uid and gid of a user who is not root, nor anybody's.
const ordinary = 65534

// demoHome is where one demo runs: as an ordinary user, with a folder for
// temporary files of its own, and a mark by which its processes are known.
type demoHome struct {
	binary string
	tmp    string
	mark   string
	env    []string
	as     *syscall.Credential // nil when this already is an ordinary user
}

func newDemoHome(t *testing.T) demoHome {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo-test-") // not t.TempDir: another user has to get in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := demoHome{binary: filepath.Join(dir, "sluice"), tmp: filepath.Join(dir, "tmp"), mark: "SLUICE_DEMO_TEST=" + filepath.Base(dir)}
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		syscall.ForkLock.RLock() // a child of another test that holds the file would make it "text file busy"
		err = os.WriteFile(h.binary, text, 0o755)
		syscall.ForkLock.RUnlock()
		err = errors.Join(err, os.Mkdir(h.tmp, 0o755), os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		h.as = &syscall.Credential{Uid: ordinary, Gid: ordinary, Groups: []uint32{}}
		if err := os.Chown(h.tmp, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	h.env = append(os.Environ(), "HOME="+h.tmp, "TMPDIR="+h.tmp, "XDG_RUNTIME_DIR=", h.mark)
	return h
}

func (h demoHome) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = h.tmp, h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.as}
	cmd.WaitDelay = time.Second
	return cmd
}

// wantNothingLeft fails if a process, a socket or a file stayed.
func (h demoHome) wantNothingLeft(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := h.left(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q", left)
		}
	}
}

func (h demoHome) left(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(h.tmp + "/*")
	if err != nil {
		t.Fatal(err)
	}
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environments {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(h.mark+"\x00")) {
			command, _ := os.ReadFile(filepath.Dir(path) + "/cmdline") // a process may end meanwhile
			left = append(left, path+": "+string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		}
	}
	return left
}

// TestDemo is what a newcomer sees. UPDATE_GOLDEN=1 writes it anew.
func TestDemo(t *testing.T) {
	t.Parallel()
	h := newDemoHome(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := h.command(ctx, h.binary, "demo")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo: %v\n%s%s", err, &stdout, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: got %q, want nothing", &stderr)
	}
	h.wantNothingLeft(t)

	const golden = "testdata/demo/output.golden"
	got := steady(stdout.String())
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("output differs from %s (-want +got; UPDATE_GOLDEN=1 writes it):\n%s", golden, diff)
	}
}

// steady takes out of the demo's output what differs each time.
func steady(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`127\.0\.0\.1:\d+`, "127.0.0.1:PORT"},
		{`\d\d:\d\d:\d\d\.\d{3}`, "HH:MM:SS.mmm"},
		{`\b\d+(\.\d+)?ms\b`, "N.Nms"},
		{`  \d+\.\d\ds\b`, "  N.Nms"},
		{`in \d+\.\d s\.`, "in N.N s."},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

func TestDemoStaysForWhatItOffersToTry(t *testing.T) {
	t.Parallel()
	h := newDemoHome(t)
	cmd, tries, rest := h.stay(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// The tap shows the past, and follows until it is interrupted.
	tap := h.command(ctx, "bash", "-c", "exec "+tries[0]+" -o text")
	out, err := tap.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tap.Start(); err != nil {
		t.Fatal(err)
	}
	first := "/v1/orders/9007199254740993  200"
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), first) {
	}
	if !strings.Contains(lines.Text(), first) {
		t.Errorf("%s: ended without %q", tries[0], first)
	}
	if err := errors.Join(tap.Process.Signal(os.Interrupt), tap.Wait()); err != nil {
		t.Errorf("%s: %v", tries[0], err)
	}
	for i, want := range []string{`"email":"changed by me"`, `"stale":true`} {
		command := tries[i+1]
		out, err := h.command(ctx, "bash", "-c", command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %q, %v, want %s in it", command, out, err, want)
		}
	}

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(rest)
	if err != nil || !strings.Contains(string(said), "Nothing is left behind") {
		t.Errorf("after SIGINT: got %q, %v", said, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGINT: %v, want exit code 0", err)
	}
	h.wantNothingLeft(t)
}

// stay starts `sluice demo --stay` and returns the three commands that it
// offers, and what it prints after them.
func (h demoHome) stay(t *testing.T) (cmd *exec.Cmd, tries []string, rest *bufio.Reader) {
	t.Helper()
	cmd = h.command(t.Context(), h.binary, "demo", "--stay")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rest = bufio.NewReader(out)
	for n := 0; len(tries) < 3; {
		line, err := rest.ReadString('\n')
		if err != nil {
			t.Fatalf("demo --stay ended: %v", err)
		}
		if strings.HasPrefix(line, fmt.Sprintf("  %d. ", n+1)) {
			n++
		} else if n > len(tries) {
			tries = append(tries, strings.TrimSpace(line))
		}
	}
	return cmd, tries, rest
}

func TestDemoThatIsInterruptedCleansUp(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*exec.Cmd, io.Closer) error
		code int
	}{
		{"by a signal", func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(syscall.SIGTERM) }, 130},
		{"by a reader that has seen enough", func(_ *exec.Cmd, out io.Closer) error { return out.Close() }, 141},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newDemoHome(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := h.command(ctx, h.binary, "demo")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "failure 1 of 3") {
			}
			if err := test.end(cmd, out); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != test.code {
				t.Errorf("got %v, want exit code %d", err, test.code)
			}
			h.wantNothingLeft(t)
		})
	}
}
