package rootless

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is PID 1 of the namespace as the parent sees it.
type process struct {
	pid   int
	ended chan struct{} // closed when it has been waited for
	how   string        // how it ended; read after ended is closed
}

// startProcess starts this binary again, in fresh namespaces, as MaybeHelper
// expects it. The two descriptors stay the caller's.
func startProcess(config Config, maps idMaps, orders, sockets int) (*process, error) {
	files, places := childFiles(stdio(config), orders, sockets)
	argv := []string{helperName, strconv.Itoa(places[0]), strconv.Itoa(places[1]), "--"}
	env := config.Env
	if env == nil {
		env = os.Environ()
	}
	attr := &syscall.ProcAttr{
		Dir:   config.Dir,
		Env:   env,
		Files: files,
		Sys: &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
			UidMappings:                maps.UID,
			GidMappings:                maps.GID,
			GidMappingsEnableSetgroups: maps.Setgroups,
			// The control socket's end tells PID 1 as well. This holds even
			// when PID 1 is stopped or stuck.
			Pdeathsig: unix.SIGKILL,
		},
	}
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go p.keep(append(argv, config.Argv...), attr, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func stdio(config Config) (fds [3]uintptr) {
	for i, f := range []*os.File{config.Stdin, config.Stdout, config.Stderr} {
		fds[i] = uintptr(i)
		if f != nil {
			fds[i] = f.Fd()
		}
	}
	return fds
}

// keep starts the process and waits for it, on one thread: the death signal
// belongs to the thread that made the child, and Go's others come and go. The
// thread ends with the goroutine.
func (p *process) keep(argv []string, attr *syscall.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", argv, attr)
	p.pid = pid
	started <- err
	if err != nil {
		return
	}
	defer close(p.ended)
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			p.how = err.Error()
		case status.Signaled():
			p.how = "signal: " + status.Signal().String()
		default:
			p.how = fmt.Sprintf("exit code %d", status.ExitStatus())
		}
		return
	}
}

// killBudget is the longest wait for killed processes to be gone. A process in
// an uninterruptible wait, on a dead NFS server perhaps, takes longer.
const killBudget = 10 * time.Second

// kill ends the namespace with all its processes, waits for that, and returns
// how its PID 1 ended. The kernel does not let it end before the others.
func (p *process) kill() string {
	select {
	case <-p.ended:
		return p.how
	default:
	}
	// Not waited for yet, or at this very moment: the pid is ours still, or
	// free for so short a time that no other process has it.
	_ = unix.Kill(p.pid, unix.SIGKILL)
	select {
	case <-p.ended:
		return p.how
	case <-time.After(killBudget):
		return fmt.Sprintf("pid %d does not die", p.pid)
	}
}
