package rootless

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with a process in its foreground.
type terminal struct {
	master *os.File
	out    *bufio.Reader
	cmd    *exec.Cmd
}

// openTerminal starts cmd as the session leader of a fresh terminal.
func openTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("needs /dev/ptmx: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	var number int
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			t.Error(err)
		}
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if cred := cmd.SysProcAttr.Credential; cred != nil {
		if err := slave.Chown(int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &terminal{master: master, out: bufio.NewReader(master), cmd: cmd}
}

func (term *terminal) typeIn(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(term.master, s); err != nil {
		t.Fatal(err)
	}
}

// waitFor reads until a line contains want, and returns all that was read.
func (term *terminal) waitFor(t *testing.T, want string) string {
	t.Helper()
	_ = term.master.SetReadDeadline(time.Now().Add(10 * time.Second))
	var all strings.Builder
	for !strings.Contains(all.String(), want) {
		b, err := term.out.ReadByte()
		if err != nil {
			t.Fatalf("waiting for %q: %v after %q", want, err, all.String())
		}
		all.WriteByte(b)
	}
	return all.String()
}

func (term *terminal) exitCode() int {
	_ = term.cmd.Wait()
	return term.cmd.ProcessState.ExitCode()
}

func TestTerminal(t *testing.T) {
	t.Run("Ctrl-C arrives once", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			script := "trap 'n=$((n+1)); echo interrupt $n' INT; trap 'echo end; exit 9' QUIT; echo ready; while :; do sleep 0.01; done"
			term := openTerminal(t, who.command(t, drive{Argv: []string{"sh", "-c", script}}))
			term.waitFor(t, "ready")
			term.typeIn(t, "\x03")
			term.waitFor(t, "interrupt 1")
			time.Sleep(2 * groupWindow)
			term.typeIn(t, "\x1c") // Ctrl-\
			if got := term.waitFor(t, "end"); strings.Contains(got, "interrupt 2") {
				t.Errorf("got %q, want one interrupt", got)
			}
			if code := term.exitCode(); code != 9 {
				t.Errorf("exit code %d, want 9", code)
			}
		})
	})
	t.Run("Ctrl-C ends a command that does not catch it", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			term := openTerminal(t, who.command(t, drive{Argv: []string{"sh", "-c", "echo ready; exec sleep 100"}}))
			term.waitFor(t, "ready")
			term.typeIn(t, "\x03")
			if code := term.exitCode(); code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
		})
	})
	t.Run("input, size and its change", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			script := "trap 'stty size' WINCH; test -t 0 && echo terminal; read line; echo \"read $line\"; while :; do sleep 0.01; done"
			term := openTerminal(t, who.command(t, drive{Argv: []string{"sh", "-c", script}}))
			term.waitFor(t, "terminal")
			term.typeIn(t, "a line\n")
			term.waitFor(t, "read a line")
			raw, err := term.master.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var sizeErr error
			err = raw.Control(func(fd uintptr) {
				sizeErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 41, Col: 97})
			})
			if err != nil || sizeErr != nil {
				t.Fatal(err, sizeErr)
			}
			term.waitFor(t, "41 97")
		})
	})
}

// shell starts an interactive shell on a terminal, with the driver's command
// line as the function inside.
func shell(t *testing.T, who caller, argv ...string) *terminal {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash: an interactive shell with job control")
	}
	cmd := who.command(t, drive{Argv: argv})
	cmd.Env = append(os.Environ(), "PS1=prompt> ", "TERM=dumb", "BIN="+cmd.Path, "ARG="+cmd.Args[2])
	cmd.Path, cmd.Args = bash, []string{"bash", "--norc", "--noprofile", "--noediting", "-i"}
	term := openTerminal(t, cmd)
	term.waitFor(t, "prompt> ")
	return term
}

// isStopped says whether the process with token as its last argument and sh as
// its first is stopped.
func isStopped(token string) bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line := readTrimmed(filepath.Join(dir, "cmdline"))
		if !strings.HasPrefix(line, "sh\x00") || !strings.HasSuffix(line, token+"\x00") {
			continue
		}
		stat := readTrimmed(filepath.Join(dir, "stat"))
		state := stat[strings.LastIndexByte(stat, ')')+1:]
		return strings.HasPrefix(state, " T")
	}
	return false
}

func TestJobControl(t *testing.T) {
	t.Run("Ctrl-Z stops the job and fg continues it", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			token := fmt.Sprintf("stopped-%d-%d", os.Getpid(), time.Now().UnixNano())
			term := shell(t, who, "sh", "-c", "echo started; read line; echo \"read $line\"; exit 5", token)
			term.typeIn(t, "\"$BIN\" driver \"$ARG\"\n")
			term.waitFor(t, "started")
			term.typeIn(t, "\x1a")
			term.waitFor(t, "Stopped")
			term.waitFor(t, "prompt> ")
			// The shell waits for the driver alone. A command that has not
			// stopped yet could still read what is typed for the shell.
			eventually(t, "the command is stopped", func() bool { return isStopped(token) })
			term.typeIn(t, "fg\n")
			term.waitFor(t, "driver")
			term.typeIn(t, "words\n")
			term.waitFor(t, "read words")
			term.waitFor(t, "prompt> ")
			term.typeIn(t, "echo code=$?\n")
			term.waitFor(t, "code=5")
		})
	})
	t.Run("an interactive shell inside has jobs and gives the terminal back", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			term := shell(t, who, "bash", "--norc", "--noprofile", "--noediting", "-i")
			// A script's shell does not take the terminal back by itself.
			term.typeIn(t, "sh -c '\"$BIN\" driver \"$ARG\"; echo \"code $?\"; read line; echo \"after: $line\"'\n")
			term.waitFor(t, "prompt> ")
			// The quotes keep the echo of what is typed from being waited for.
			term.typeIn(t, "sh -c \"echo run''ning; exec sleep 100\"\n")
			term.waitFor(t, "running")
			term.typeIn(t, "\x1a")
			if got := term.waitFor(t, "Stopped"); strings.Contains(got, "no job control") {
				t.Errorf("got %q", got)
			}
			term.waitFor(t, "prompt> ")
			term.typeIn(t, "disown %1; exit 6\n")
			term.waitFor(t, "code 6")
			term.typeIn(t, "still mine\n")
			term.waitFor(t, "after: still mine")
		})
	})
	t.Run("in a pipeline", func(t *testing.T) {
		asEach(t, func(t *testing.T, who caller) {
			term := shell(t, who, "sh", "-c", "echo one; echo two")
			// The reader asks the terminal, as less does: it must be in the foreground.
			term.typeIn(t, "\"$BIN\" driver \"$ARG\" | (cat; read line </dev/tty; echo \"tty: $line\")\n")
			term.waitFor(t, "two")
			term.typeIn(t, "key\n")
			term.waitFor(t, "tty: key")
		})
	})
}
