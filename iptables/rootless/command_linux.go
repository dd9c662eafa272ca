package rootless

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that Run passes on to the command. The terminal's
// stop signals are not among them: they reach the whole process group, in
// which the command is.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH,
}

// caught returns the forwarded signals without those that the caller was
// started to ignore (nohup): the command inherits that as well.
func caught() []os.Signal {
	var list []os.Signal
	for _, s := range forwarded {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// command is the command as PID 1 sees it.
type command struct {
	argv   []string
	orders *control
	back   idMaps

	mu   sync.Mutex
	pid  int                     // 0 before the start, -1 after the end
	seen map[os.Signal]time.Time // when PID 1 itself last received a signal
}

// newCommand also begins to watch signals: none may end PID 1.
func newCommand(argv []string, orders *control) *command {
	c := &command{argv: argv, orders: orders, seen: map[os.Signal]time.Time{}}
	received := make(chan os.Signal, 64)
	if list := caught(); len(list) > 0 {
		signal.Notify(received, list...)
	}
	go c.watchSignals(received)
	return c
}

// watchSignals lives as long as PID 1.
func (c *command) watchSignals(received <-chan os.Signal) {
	for s := range received {
		c.mu.Lock()
		c.seen[s] = time.Now()
		c.mu.Unlock()
	}
}

// groupWindow is how close in time two copies of one signal count as one. Equal
// pending signals are merged by the kernel, too.
const (
	groupWindow = 100 * time.Millisecond
	groupWait   = 20 * time.Millisecond
)

// forward passes on a signal that the parent received, unless PID 1 received
// it as well. PID 1 stays in the parent's process group for this: a signal to
// both was sent to the group (Ctrl-C does so), and if the command is in that
// group it has its own copy; if not, it would not have had one without us.
func (c *command) forward(sig unix.Signal) {
	arrived := time.Now()
	time.Sleep(groupWait)
	c.mu.Lock()
	defer c.mu.Unlock()
	if seen, ok := c.seen[sig]; ok && seen.After(arrived.Add(-groupWindow)) {
		return
	}
	if c.pid > 0 {
		_ = unix.Kill(c.pid, sig)
	}
}

// start runs the command and reports when it cannot, or else when it ends.
func (c *command) start() {
	path, err := exec.LookPath(c.argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		c.reportNotStarted(err)
		return
	}
	// The lock keeps the reaper from seeing the end before the pid is known.
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(path, c.argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER,
			UidMappings:                c.back.UID,
			GidMappings:                c.back.GID,
			GidMappingsEnableSetgroups: c.back.Setgroups,
		},
	})
	if err != nil {
		c.reportNotStarted(err)
		return
	}
	c.pid = pid
	LetGoOfStdio()
	go c.reap()
}

// reportNotStarted tells a command that is not there or cannot be executed
// from a namespace that cannot be made.
func (c *command) reportNotStarted(err error) {
	code, step := ExitNotExecutable, "run "+c.argv[0]
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		code = ExitNotFound
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM):
		code, step = ExitFailed, stepNested
	}
	if named := (*exec.Error)(nil); errors.As(err, &named) {
		err = named.Err
	}
	if named := (*fs.PathError)(nil); errors.As(err, &named) {
		err = named.Err
	}
	r := failure(step, err)
	r.Exit = &code
	_ = c.orders.send(r)
}

// LetGoOfStdio replaces standard input and output of this process by
// /dev/null, so that the command is the only one that holds its pipes: a reader
// sees the end when the command closes its side. PID 1 does so by itself; a
// program that is there for its command only does so after Start. Standard
// error stays, for what goes wrong to be seen.
func LetGoOfStdio() {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.Dup3(null, 0, 0)
	_ = unix.Dup3(null, 1, 0)
	unix.Close(null)
}

// reap collects every orphan of the namespace, as its PID 1 must, and reports
// the command's end. It ends when no process is left.
func (c *command) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if !c.ended(pid) {
			continue
		}
		code := status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
		_ = c.orders.send(report{Exit: &code})
	}
}

// ended says whether pid is the command, and forgets it then: the number may
// be given away again.
func (c *command) ended(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pid != c.pid {
		return false
	}
	c.pid = -1
	return true
}
