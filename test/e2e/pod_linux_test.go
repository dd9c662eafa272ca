package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-proxy/sluice/iptables/rootless"
	"github.com/sluice-proxy/sluice/test/netns"
	"github.com/sluice-proxy/sluice/test/testbed"
)

func TestMain(m *testing.M) {
	rootless.MaybeHelper()
	code := m.Run()
	if dir := binary.dir; dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// binary is the sluice under test, built once.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

func sluice(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "sluice-e2e-"); binary.err != nil {
			return
		}
		binary.err = os.Chmod(binary.dir, 0o755)
		out, err := exec.Command("go", "build", "-o", binary.dir+"/sluice", "github.com/sluice-proxy/sluice/cmd/sluice").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.dir + "/sluice"
}

// The pod's service and the peer's servers, by port.
const (
	httpPort     = 8080
	grpcPort     = 9090
	tlsPort      = 8443
	greetingPort = 3306
	closedPort   = 7
)

const greeting = "5.7.0 hello, who are you?\r\n"

// service is who runs the pod's service: nobody special.
var service = netns.As{UID: 65534, GID: 65534}

// pod is a host with a service and a sidecar, joined to a peer host.
type pod struct {
	*netns.Host
	t      *testing.T
	peer   *netns.Host
	dir    string // of the rules, in rules/
	log    *output
	run    *exec.Cmd
	exited chan error
}

// family is the addresses of one address family.
type family struct{ name, pod, peer string }

var families = []family{{"v4", "10.79.0.2", "10.79.0.1"}, {"v6", "fd79::2", "fd79::1"}}

func (f family) at(host string, port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)).String()
}

// newPod makes both hosts and the same servers on each, and redirects with
// flags.
func newPod(t *testing.T, flags ...string) *pod {
	t.Helper()
	bin := sluice(t)
	p := &pod{Host: netns.New(t, "pod"), t: t, peer: netns.New(t, "peer"), dir: t.TempDir()}
	netns.Connect(t, p.Host, "10.79.0.2/24 fd79::2/64", p.peer, "10.79.0.1/24 fd79::1/64")
	for _, dir := range []string{p.dir, p.dir + "/rules"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The sidecar reads its files as another user than the test's.
	for dir := p.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(h *netns.Host, who netns.As) {
		testbed.Echo(t, h.Listen(t, fmt.Sprintf(":%d", httpPort), who))
		testbed.GRPC(t, h.Listen(t, fmt.Sprintf(":%d", grpcPort), who), testbed.GRPCConfig{})
		testbed.Greeting(t, h.Listen(t, fmt.Sprintf(":%d", greetingPort), who), greeting)
	}
	serve(p.Host, service)
	serve(p.peer, netns.As{})
	p.Run(t, bin, append([]string{"iptables", "apply"}, flags...)...)
	return p
}

// rule writes a rule file.
func (p *pod) rule(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.dir+"/rules/"+name+".yaml", []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// start runs the sidecar as its own user, 1337, without any capability, and
// waits until it is ready.
func (p *pod) start() {
	p.t.Helper()
	p.startAs([]string{"--reuid", "1337", "--regid", "1337", "--clear-groups", "--inh-caps=-all"})
}

// startAs is start under another identity, as setpriv's arguments say it, and
// with further flags.
func (p *pod) startAs(who []string, flags ...string) {
	p.t.Helper()
	p.spawn(who, flags...)
	testbed.Eventually(p.t, 20*time.Second, func() error { return p.get("/healthz/ready", http.StatusOK) })
}

// spawn starts the sidecar and does not wait for it.
func (p *pod) spawn(who []string, flags ...string) {
	p.t.Helper()
	conf := fmt.Sprintf("rules: %s/rules\nadmin: {listen: \"off\", socket: %s/admin.sock}\ndrain: 20s\n", p.dir, p.dir)
	if err := os.WriteFile(p.dir+"/sluice.yaml", []byte(conf), 0o644); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chown(p.dir, 1337, 1337); err != nil {
		p.t.Fatal(err)
	}
	p.log = new(output)
	args := append(slices.Clone(who), sluice(p.t), "run", "-c", p.dir+"/sluice.yaml")
	p.run = p.Cmd(context.Background(), "setpriv", append(args, flags...)...)
	p.run.Stdout, p.run.Stderr = p.log, p.log
	if err := p.run.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan error, 1)
	exited, run := p.exited, p.run
	go func() { exited <- run.Wait() }()
	p.t.Cleanup(func() {
		_ = run.Process.Kill() // it may have ended
		if p.t.Failed() {
			p.t.Logf("sidecar:\n%s", p.log)
		}
	})
}

// get asks the health port from inside the pod.
func (p *pod) get(path string, want int) error {
	client := p.client(p.Host, netns.As{}, false)
	resp, err := client.Get("http://127.0.0.1:15020" + path)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
	}
	return nil
}

// client is an HTTP client on a host, under a user.
func (p *pod) client(h *netns.Host, who netns.As, h2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	transport := &http.Transport{
		Protocols: &protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return h.Dial(ctx, network, address, who)
		},
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// dialGRPC is a gRPC client on a host, under a user.
func (p *pod) dialGRPC(h *netns.Host, who netns.As, address string) *grpc.ClientConn {
	return testbed.GRPCDial(p.t, address, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return h.Dial(ctx, "tcp", address, who)
	}))
}

// sluice runs a command of the binary against the running sidecar.
func (p *pod) sluice(args ...string) string {
	p.t.Helper()
	return p.Run(p.t, sluice(p.t), append(args, "--admin", p.dir+"/admin.sock")...)
}

// stop sends SIGTERM and waits for a clean exit.
func (p *pod) stop() {
	p.t.Helper()
	if err := p.run.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.awaitExit()
}

func (p *pod) awaitExit() {
	p.t.Helper()
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Errorf("sidecar: %v, want a clean exit", err)
		}
	case <-time.After(30 * time.Second):
		p.t.Fatal("sidecar has not ended within 30 s")
	}
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.buf.String())
}
