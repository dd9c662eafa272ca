package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/shop"
	"github.com/sluice-proxy/sluice/iptables/rootless"
)

// The test binary is also sluice, and PID 1 of its namespaces.
func TestMain(m *testing.M) {
	rootless.MaybeHelper()
	// A race-built binary waits for a second before it exits with 0.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(m, map[string]func(){"sluice": func() { os.Exit(Main(os.Args[1:])) }})
}

// patience bounds what is waited for. Nothing here takes a tenth of it.
const patience = 30 * time.Second

// TestExec runs the scripts of testdata/exec. Each has a shop of its own on
// the host's loopback ($SHOP_HTTP, $SHOP_HTTP_PORT, $SHOP_GRPC,
// $SHOP_GRPC_PORT) and a port that nobody listens on ($FREE_PORT).
func TestExec(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/exec",
		Setup: setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      scriptExits,
			"eventually": scriptEventually,
		},
	})
}

func setUpScript(env *testscript.Env) error {
	httpSide, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	grpcSide, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer free.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go serveScriptShop(ctx, httpSide, grpcSide, done)
	env.Defer(func() {
		cancel()
		if err := <-done; err != nil {
			env.T().Log("the shop ended:", err)
		}
	})

	env.Setenv("SHOP_HTTP", httpSide.Addr().String())
	env.Setenv("SHOP_GRPC", grpcSide.Addr().String())
	env.Setenv("SHOP_HTTP_PORT", portOf(httpSide))
	env.Setenv("SHOP_GRPC_PORT", portOf(grpcSide))
	env.Setenv("FREE_PORT", portOf(free))
	env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, "run"))
	env.Setenv("GORACE", os.Getenv("GORACE"))
	return os.Mkdir(filepath.Join(env.WorkDir, "run"), 0o700)
}

func serveScriptShop(ctx context.Context, httpSide, grpcSide net.Listener, done chan<- error) {
	done <- shop.Serve(ctx, httpSide, grpcSide)
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// scriptExits is `exits CODE COMMAND [ARG...]`.
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("got exit code %d, want %d", got, want)
	}
}

// scriptEventually is `eventually COMMAND [ARG...]`: it is repeated until it
// succeeds.
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %v: %v", patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
