package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// startLimit bounds how long a process may take until it serves.
const startLimit = 15 * time.Second

// lab is what all processes of a run have in common.
type lab struct {
	dir    string // of everything that the run writes; 0755
	self   string // this program
	sluice string // the binary
	files  int    // that a process may have open
	cpus   cpus
}

// cpus are the processors of each part.
type cpus struct{ proxy, load, backend int }

// process is one that the run started.
type process struct {
	cmd *exec.Cmd
	log string
	in  io.Closer // its standard input, if it ends with it

	ended chan struct{} // closed when it has
}

// command is args on one processor, with prefix before all of it.
func (l *lab) command(cpu int, prefix []string, args ...string) *exec.Cmd {
	all := slices.Concat(prefix, []string{l.self, "pin", strconv.Itoa(cpu)}, args)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	// Main's thread, which starts all processes, lives as long as the run.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd
}

// start starts a command that logs into dir.
func start(cmd *exec.Cmd, dir string) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.wait()
	return p, nil
}

// wait notes the end of the process. How it ended does not matter: a run that
// needed it has failed.
func (p *process) wait() {
	_ = p.cmd.Wait()
	close(p.ended)
}

// stop ends the process, gently for a while.
func (p *process) stop() {
	if p.in != nil {
		p.in.Close()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	kill := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.ended
}

// failure is err with what the process said.
func (p *process) failure(err error) error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-2000):])
}

// family is the process and all that it started, and they again.
func (p *process) family() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name in parentheses may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	family := []int{p.cmd.Process.Pid}
	for i := 0; i < len(family); i++ {
		for pid, parent := range parents {
			if parent == family[i] {
				family = append(family, pid)
			}
		}
	}
	return family, nil
}

// await tries until try succeeds, the process has ended or it has been too
// long.
func (p *process) await(try func() error) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("it has ended")
		case <-limit.C:
			return fmt.Errorf("not ready after %v: %w", startLimit, err)
		case <-again.C:
		}
	}
}

// answers reports whether somebody listens at address.
func answers(network, address string) error {
	c, err := net.DialTimeout(network, address, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// backend is the service behind the proxies.
type backend struct {
	*process
	at map[traffic.Protocol]string
}

// startBackend starts one, with prefix, that listens on host.
func (l *lab) startBackend(prefix []string, host string) (*backend, error) {
	dir, err := os.MkdirTemp(l.dir, "backend-")
	if err != nil {
		return nil, err
	}
	cmd := l.command(l.cpus.backend, prefix, l.self, "backend", host)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(cmd, dir)
	if err != nil {
		return nil, err
	}
	p.in = in
	b := &backend{process: p}
	if err := json.NewDecoder(out).Decode(&b.at); err != nil {
		p.stop()
		return nil, p.failure(fmt.Errorf("start the backend: %w", err))
	}
	return b, nil
}

// load runs spec in a process of its own.
func (l *lab) load(ctx context.Context, prefix []string, spec traffic.Spec) (traffic.Result, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return traffic.Result{}, err
	}
	var result traffic.Result
	cmd := l.command(l.cpus.load, prefix, l.self, "load", string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	})
	defer stop()
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	if err != nil {
		return result, fmt.Errorf("load: %w\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return result, fmt.Errorf("read what the load measured: %w", err)
	}
	return result, nil
}

// raiseFiles allows as many open files as the idle case needs, or as many as
// may be, and answers how many.
func raiseFiles() (int, error) {
	const need = 32768
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	// Root may go beyond the hard limit, unless it lacks CAP_SYS_RESOURCE.
	if limit.Max < need && unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: need, Max: need}) == nil {
		return need, nil
	}
	limit.Cur = min(need, limit.Max)
	return int(limit.Cur), unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// freePorts finds n ports of host that nobody listens on.
func freePorts(host string, n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		// All are held until the end, so that each is another one.
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

var errNotRoot = errors.New("-redirect needs root: it makes network namespaces")
