package rootless

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const unixCloneNewnet = unix.CLONE_NEWNET

var readFull = io.ReadFull

// piped is a running driver whose output is read line by line.
type piped struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	out, err *bufio.Reader
}

func startPiped(t *testing.T, cmd *exec.Cmd) *piped {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &piped{cmd: cmd, stdin: stdin, out: bufio.NewReader(stdout), err: bufio.NewReader(stderr)}
}

func (p *piped) line(t *testing.T) string    { t.Helper(); return readLine(t, p.out) }
func (p *piped) errLine(t *testing.T) string { t.Helper(); return readLine(t, p.err) }

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read a line: %v after %q", err, line)
	}
	return strings.TrimSpace(line)
}

func (p *piped) exitCode(t *testing.T) int {
	t.Helper()
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func TestExitCodes(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	asEach(t, func(t *testing.T, who caller) {
		for _, tt := range []struct {
			name   string
			argv   []string
			want   int
			stderr string
		}{
			{"success", []string{"true"}, 0, ""},
			{"failure", []string{"sh", "-c", "exit 7"}, 7, ""},
			{"killed", []string{"sh", "-c", "kill -9 $$"}, 137, ""},
			{"terminated", []string{"sh", "-c", "kill $$"}, 143, ""},
			{"not in PATH", []string{"no-such-command"}, 127, "driver: run no-such-command: executable file not found in $PATH\n"},
			{"no such file", []string{"/no/such"}, 127, "driver: run /no/such: no such file or directory\n"},
			{"not executable", []string{"/etc/passwd"}, 126, "driver: run /etc/passwd: permission denied\n"},
			{"a directory", []string{"/etc"}, 126, "driver: run /etc: is a directory\n"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got := finish(t, who.command(t, drive{Argv: tt.argv}))
				if got.code != tt.want || got.stderr != tt.stderr {
					t.Errorf("got %d, %q, want %d, %q", got.code, got.stderr, tt.want, tt.stderr)
				}
			})
		}
	})
}

func TestCommandIsTheCaller(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		cmd := who.command(t, drive{Argv: []string{"sh", "-c", "id -u; id -g; pwd; echo $MARK; touch made-inside; cat"}})
		dir, err := os.MkdirTemp("", "rootless-cwd-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chown(dir, who.uid(), -1); err != nil {
			t.Fatal(err)
		}
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MARK=kept")
		cmd.Stdin = strings.NewReader("from stdin\n")
		wantOutput(t, finish(t, cmd), fmt.Sprintf("%d\n%d\n%s\nkept\nfrom stdin", who.uid(), who.uid(), dir))
		info, err := os.Stat(filepath.Join(dir, "made-inside"))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != who.uid() {
			t.Errorf("a file made inside belongs to %d", owner)
		}
	})
}

func TestRootKeepsItsFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: an ordinary user has one uid only")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, caller{}.run(t, "cat "+file+" && chown 4321 "+file+" && stat -c %u "+file), "secret\n4321")
}

func TestNoFilesLeakIntoTheCommand(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		// What the tests themselves inherited passes, as it does without us.
		direct := who.command(t, drive{})
		direct.Args = []string{testBinary(), "probe", "files"}
		want := finish(t, direct).stdout
		wantOutput(t, who.probe(t, drive{}, "files"), strings.TrimSpace(want))
	})
}

func TestInheritedFilesReachTheCommand(t *testing.T) {
	// As with `3>log` and `<(...)` in a shell.
	log, err := os.CreateTemp("", "rootless-log-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd := callers(t)[0].command(t, drive{Argv: []string{"sh", "-c", "echo to three >&3"}})
	cmd.ExtraFiles = []*os.File{log}
	if r := finish(t, cmd); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if b, err := os.ReadFile(log.Name()); err != nil || string(b) != "to three\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestCommandHasNoPowerOverTheRedirect(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		wantOutput(t, who.probe(t, drive{}, "power"),
			"route: add address 192.0.2.3: operation not permitted; rules: netlink receive: operation not permitted; kill PID 1: <nil>")
	})
}

func TestACommandThatClosesItsOutputEndsThePipe(t *testing.T) {
	p := startPiped(t, callers(t)[0].command(t, drive{Argv: []string{"sh", "-c", "echo last; exec sleep 100 >/dev/null"}}))
	if got := p.line(t); got != "last" {
		t.Errorf("got %q", got)
	}
	if _, err := p.out.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end while the command runs", err)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		wantOutput(t, who.run(t, "(sleep 0.05 & sleep 0.1 &) ; exec "+testBinary()+" probe zombies"), "reaped")
	})
}

func TestSignalsReachTheCommand(t *testing.T) {
	for sig, name := range map[syscall.Signal]string{
		unix.SIGTERM: "TERM", unix.SIGINT: "INT", unix.SIGHUP: "HUP", unix.SIGQUIT: "QUIT", unix.SIGUSR1: "USR1", unix.SIGUSR2: "USR2", unix.SIGWINCH: "WINCH",
	} {
		t.Run(name, func(t *testing.T) {
			asEach(t, func(t *testing.T, who caller) {
				script := "trap 'echo got " + name + "; exit 3' " + name + "; echo ready; while :; do sleep 0.01; done"
				p := startPiped(t, who.command(t, drive{Argv: []string{"sh", "-c", script}}))
				p.line(t)
				if err := p.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if got := p.line(t); got != "got "+name {
					t.Errorf("got %q", got)
				}
				if code := p.exitCode(t); code != 3 {
					t.Errorf("exit code %d, want 3", code)
				}
			})
		})
	}
}

func TestDefaultDeathBySignalIsTheExitCode(t *testing.T) {
	p := startPiped(t, callers(t)[0].command(t, drive{Argv: []string{"sh", "-c", "echo ready; exec sleep 100"}}))
	p.line(t)
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != 128+15 {
		t.Errorf("exit code %d, want 143", code)
	}
}

func TestASignalToTheGroupArrivesOnce(t *testing.T) {
	asEach(t, func(t *testing.T, who caller) {
		script := "trap 'echo got INT' INT; trap 'echo end; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
		cmd := who.command(t, drive{Argv: []string{"sh", "-c", script}})
		cmd.SysProcAttr.Setpgid = true
		p := startPiped(t, cmd)
		p.line(t)
		if err := unix.Kill(-cmd.Process.Pid, unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := p.line(t); got != "got INT" {
			t.Errorf("got %q", got)
		}
		// The window in which a second copy would be forwarded.
		time.Sleep(2 * groupWindow)
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if got := p.line(t); got != "end" {
			t.Errorf("got %q, want the one signal only", got)
		}
	})
}

func TestIgnoredHangupStaysIgnored(t *testing.T) {
	// As with nohup.
	cmd := callers(t)[0].command(t, drive{Argv: []string{"sh", "-c", "echo ready; sleep 0.3; echo alive"}})
	cmd.Args = append([]string{"sh", "-c", `trap '' HUP; exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
	p := startPiped(t, cmd)
	p.line(t)
	if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := p.line(t); got != "alive" {
		t.Errorf("got %q", got)
	}
}

func TestNothingIsLeftAfterKill(t *testing.T) {
	for _, victim := range []string{"parent", "parent of a stopped namespace", "namespace", "command"} {
		t.Run(victim, func(t *testing.T) {
			asEach(t, func(t *testing.T, who caller) {
				token := fmt.Sprintf("leftover-%d-%d", os.Getpid(), time.Now().UnixNano())
				// A background child and a daemon in a session of its own.
				script := "(exec -a " + token + " sleep 100) & setsid -f sh -c 'exec -a " + token + " sleep 100'; echo ready; exec sleep 100 #" + token
				p := startPiped(t, who.command(t, drive{Argv: []string{"bash", "-c", strings.ReplaceAll(script, "sh -c", "bash -c")}}))
				p.line(t)
				eventually(t, "the command's children run", func() bool { return len(withArgument(t, token)) >= 2 })
				pid := p.cmd.Process.Pid
				switch victim {
				case "parent of a stopped namespace":
					// It cannot see its control socket end.
					if err := unix.Kill(childOf(t, pid), unix.SIGSTOP); err != nil {
						t.Fatal(err)
					}
				case "namespace":
					pid = childOf(t, pid)
				case "command":
					pid = childOf(t, childOf(t, pid))
				}
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				code := p.exitCode(t)
				want, other := map[string]int{"namespace": ExitFailed, "command": 137}[victim]
				if !other {
					want = -1 // the driver itself died of a signal
				}
				if code != want {
					t.Errorf("exit code %d, want %d", code, want)
				}
				eventually(t, "every process is gone", func() bool { return len(withArgument(t, token)) == 0 })
			})
		})
	}
}

func TestNothingIsLeftAfterTheCommandEnds(t *testing.T) {
	token := fmt.Sprintf("leftover-%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd := callers(t)[0].command(t, drive{Argv: []string{"bash", "-c", "setsid -f bash -c 'exec -a " + token + " sleep 100 >/dev/null 2>&1'; exit 4"}})
	if r := finish(t, cmd); r.code != 4 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if left := withArgument(t, token); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCloseGivesEverythingBack(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	ignore := goleak.IgnoreCurrent()
	before := open()
	for range 3 {
		ns, err := Start(t.Context(), Config{Argv: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
		if err := ns.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
	eventually(t, "the runtime closed what was dropped", func() bool { return open() <= before })
	goleak.VerifyNone(t, ignore)
}

func TestEndOfContextKillsTheCommand(t *testing.T) {
	ns, err := Start(t.Context(), Config{Argv: []string{"sleep", "100"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if code, err := ns.Run(ctx); code != ExitFailed || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestStartRefusesANonexistentDirectory(t *testing.T) {
	_, err := Start(t.Context(), Config{Argv: []string{"true"}, Dir: "/no/such/directory"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := Start(t.Context(), Config{}); err == nil {
		t.Error("got no error for an empty command")
	}
}

// withArgument returns the processes that have s in their command line,
// drivers left out: they have the whole script in theirs.
func withArgument(t *testing.T, s string) []string {
	t.Helper()
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && strings.Contains(string(line), s) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// childOf returns the child of pid.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		after := string(b[strings.LastIndexByte(string(b), ')')+1:])
		if field := strings.Fields(after); field[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(strings.Fields(string(b))[0])
			if err != nil {
				t.Fatal(err)
			}
			return child
		}
	}
	t.Fatalf("pid %d has no child", pid)
	return 0
}
