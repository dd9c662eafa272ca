package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Processes die with the thread that started them; see lab.command.
	runtime.LockOSThread()
	if found, err := subcommand(os.Args[1:]); found {
		exit(err)
		return
	}
	exit(bench())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	cases    string
	only     string
	rounds   int
	length   time.Duration
	quick    bool
	redirect bool
	strict   bool
	out      string
	codecs   bool
	keep     bool
	sluice   string
	profiles string
	also     binaries
	cpus     cpus
}

func parse() options {
	o := options{also: binaries{}}
	flag.StringVar(&o.cases, "case", "", "cases by number, as 1,5; default: all")
	flag.StringVar(&o.only, "only", "", "proxies by name, as sluice,nginx; default: all")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each proxy has its turn in each case")
	flag.DurationVar(&o.length, "for", 2*time.Second, "how long each run is measured")
	flag.BoolVar(&o.quick, "quick", false, "one round of half a second: does everything work?")
	flag.BoolVar(&o.redirect, "redirect", false, "also R1 and R5, through a real REDIRECT in network namespaces; needs root")
	flag.BoolVar(&o.strict, "strict", false, "fail if a gate does not hold")
	flag.StringVar(&o.out, "o", "", "also write the tables between the marks of this file")
	flag.BoolVar(&o.codecs, "codecs", false, "no traffic: the codecs and rules beside the usual libraries")
	flag.BoolVar(&o.keep, "keep", false, "keep the logs and configurations of all processes")
	flag.StringVar(&o.sluice, "sluice", "", "the binary; default: built from this tree")
	flag.StringVar(&o.profiles, "profile", "", "a directory for CPU profiles of Sluice, one of each case")
	flag.Var(o.also, "also", "NAME=PATH of a further sluice binary to compare; repeatable")
	flag.IntVar(&o.cpus.proxy, "cpu-proxy", 0, "processor of the proxy")
	flag.IntVar(&o.cpus.load, "cpu-load", 1, "processor of the load")
	flag.IntVar(&o.cpus.backend, "cpu-backend", 1, "processor of the backend")
	flag.Parse()
	if o.quick {
		o.rounds, o.length = 1, 500*time.Millisecond
	}
	return o
}

func bench() error {
	o := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if n := runtime.NumCPU(); n < 2 {
		return fmt.Errorf("needs two processors, one for the proxy alone: there is %d", n)
	}
	files, err := raiseFiles()
	if err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	cases := allCases(files)
	if o.redirect || strings.Contains(o.cases, "R") {
		cases = append(cases, redirectCases()...)
	}
	cases, err = choose(cases, o.cases)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	if o.codecs {
		defer os.RemoveAll(dir)
		return benchCodecs(ctx, dir, o)
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "logs and configurations:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	l, err := newLab(ctx, dir, files, o)
	if err != nil {
		return err
	}
	r := &runner{
		lab: l, rounds: o.rounds, profiles: o.profiles, also: o.also, pods: map[string]*pod{},
		progress: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	defer r.close()
	if r.backend, err = l.startBackend(nil, "127.0.0.1"); err != nil {
		return err
	}
	r.benches = &goBenches{lab: l, built: map[string]built{}}
	var outcomes []outcome
	began := time.Now()
	for _, c := range cases {
		outcome, err := r.run(ctx, c.only(o.only).timed(300*time.Millisecond, o.length))
		if err != nil {
			return err
		}
		outcomes = append(outcomes, outcome)
	}
	var report bytes.Buffer
	writeMachine(&report, began, o, outcomes)
	writeTables(&report, outcomes)
	if _, err := io.Copy(os.Stdout, bytes.NewReader(report.Bytes())); err != nil {
		return err
	}
	if o.out != "" {
		if err := writeInto(o.out, trafficSection, report.Bytes()); err != nil {
			return err
		}
	}
	return verdict(outcomes, o.strict)
}

// newLab prepares what all processes need: this program and Sluice, in a
// directory that every user can read.
func newLab(ctx context.Context, dir string, files int, o options) (*lab, error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, self: self, sluice: o.sluice, files: files, cpus: o.cpus}
	if o.sluice != "" {
		binary, err := os.ReadFile(o.sluice)
		if err != nil {
			return nil, err
		}
		l.sluice = filepath.Join(dir, "sluice")
		return l, os.WriteFile(l.sluice, binary, 0o755)
	}
	l.sluice = filepath.Join(dir, "sluice")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.sluice, "github.com/sluice-proxy/sluice/cmd/sluice")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return l, nil
}

func writeInto(path, section string, report []byte) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if document, err = replaceSection(document, section, report); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, document, 0o644)
}

// verdict is an error if a run failed or, if strict, a gate.
func verdict(outcomes []outcome, strict bool) error {
	var bad []string
	for _, o := range outcomes {
		for _, proxy := range o.Proxies {
			if failure := o.By[proxy].failed(); failure != "" {
				bad = append(bad, fmt.Sprintf("case %s, %s: %s", o.ID, proxy, failure))
			}
		}
		for _, g := range o.Gates {
			if _, held := o.held(g); strict && g.measured(o) && !held {
				bad = append(bad, fmt.Sprintf("case %s, %s: the gate does not hold", o.ID, g.name()))
			}
		}
	}
	if bad != nil {
		return fmt.Errorf("failed:\n%s", strings.Join(bad, "\n"))
	}
	return nil
}
