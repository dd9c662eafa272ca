package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// streamed is how many messages a long stream has.
var streamed = flag.Int("messages", 20_000, "messages of each stream of TestLongStreamsAreRewrittenInConstantMemory")

const streamRules = `
route: feed
match: {http: GET /feed}
response:
  - jq: .data.secret = "***" | .id = "\($message.index)"
`

const callRules = `
route: calls
match: {grpc: grpc.testing.TestService/FullDuplexCall}
response:
  - jq: .payload.body = "aGk="
`

// TestLongStreamsAreRewrittenInConstantMemory: however many messages a stream
// has, the sidecar needs no more memory for them. Its resident memory after the
// first fifth is compared with that at the end.
func TestLongStreamsAreRewrittenInConstantMemory(t *testing.T) {
	for name, rewrite := range map[string]func(t *testing.T, n int){"server-sent events": longFeed, "gRPC": longCall} {
		t.Run(name, func(t *testing.T) { rewrite(t, *streamed) })
	}
}

// measured makes a mark that compares resident memory at its first and its last
// call.
func measured(t *testing.T, pid int) (mark, end func()) {
	t.Helper()
	resident := func() int {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		kib, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return kib
	}
	first := 0
	return func() { first = resident() }, func() {
		last := resident()
		t.Logf("%d MiB after a fifth, %d MiB at the end", first>>10, last>>10)
		if last > first+16<<10 {
			t.Errorf("resident memory grew from %d to %d MiB", first>>10, last>>10)
		}
	}
}

// sidecarOf runs the built binary in front of upstream, and returns its address
// and pid.
func sidecarOf(t *testing.T, upstream, rule string) (address string, pid int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rule.yaml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	l := testbed.Loopback(t)
	address = l.Addr().String()
	l.Close() // it will hardly be taken in between
	var said bytes.Buffer
	cmd := exec.Command(sluice(t), "run", "--listen", address, "--upstream", upstream, "--rules", dir, "-c", quietConfig(t))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("sluice: %v\n%s", err, said.String())
		}
	})
	testbed.Eventually(t, 10*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	return address, cmd.Process.Pid
}

// quietConfig is a configuration of which no port is anybody else's.
func quietConfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	text := fmt.Sprintf("admin: {listen: \"off\", socket: %s/admin.sock}\nhealth: \"off\"\ntap: {memory: 1MiB}\n", filepath.Dir(file))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func longFeed(t *testing.T, n int) {
	upstream := testbed.HTTP(t, testbed.Loopback(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		b := bufio.NewWriter(w)
		for i := range n {
			fmt.Fprintf(b, "event: tick\ndata: {\"n\": %d, \"secret\": \"%08d\"}\n\n", i, i)
		}
		b.Flush()
	}))
	address, pid := sidecarOf(t, upstream, streamRules)
	mark, end := measured(t, pid)
	resp, err := http.Get("http://" + address + "/feed")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	var want []byte
	for i := range n {
		want = fmt.Appendf(want[:0], "id: %d\nevent: tick\ndata: {\"n\": %d, \"secret\": \"***\"}\n\n", i, i)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("event %d: got %q, %v, want %q", i, got, err, want)
		}
		if i == n/5 {
			mark()
		}
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("and %q, %v", rest, err)
	}
	end()
}

func longCall(t *testing.T, n int) {
	server := testbed.GRPC(t, testbed.Loopback(t), testbed.GRPCConfig{})
	address, pid := sidecarOf(t, server.Addr, callRules)
	mark, end := measured(t, pid)
	call, err := testbed.GRPCClient(t, address).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ask := &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: 20}}}
		for range n {
			if call.Send(ask) != nil {
				return
			}
		}
		_ = call.CloseSend() // the answers tell
	}()
	for i := range n {
		answer, err := call.Recv()
		if err != nil || string(answer.GetPayload().GetBody()) != "hi" {
			t.Fatalf("message %d: got %v, %v", i, answer, err)
		}
		if i == n/5 {
			mark()
		}
	}
	if _, err := call.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("and %v", err)
	}
	end()
}
