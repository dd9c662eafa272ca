package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/test/testbed"
)

// patience is how long a conversation may take.
const patience = 20 * time.Second

// end is one end of a connection through Sluice, with all that it sent and
// received.
type end struct {
	name   string
	conn   *net.TCPConn
	sent   []byte
	ended  bool // it ended its own stream, in whatever way
	reset  bool
	cut    bool // it did so amid a message
	closed bool // it reads no more

	reading sync.WaitGroup
	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	got     []byte
	err     error // why got is complete; io.EOF for the clean end
}

func newEnd(name string, conn *net.TCPConn) *end {
	e := &end{name: name, conn: conn}
	e.changed = sync.NewCond(&e.mu)
	_ = conn.SetDeadline(time.Now().Add(patience))
	e.reading.Go(e.read)
	return e
}

func (e *end) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := e.conn.Read(buffer)
		e.mu.Lock()
		e.got = append(e.got, buffer[:n]...)
		e.err = err
		e.changed.Broadcast()
		e.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (e *end) stop() {
	e.conn.Close()
	e.reading.Wait()
}

func (e *end) received() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got[:len(e.got):len(e.got)]
}

// over is why nothing more can come; nil while it can.
func (e *end) over() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// await waits until n bytes were received. The connection's deadline bounds it.
func (e *end) await(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.got) < n {
		if e.err != nil {
			return fmt.Errorf("%s received %d bytes of %d: %w: %q", e.name, len(e.got), n, e.err, e.got[max(0, len(e.got)-200):])
		}
		e.changed.Wait()
	}
	return nil
}

// awaitEnd waits for the end of the stream, which has to be a clean one unless
// a reset may stand for it.
func (e *end) awaitEnd(orReset bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil {
		e.changed.Wait()
	}
	if errors.Is(e.err, io.EOF) || orReset && testbed.IsReset(e.err) {
		return nil
	}
	return fmt.Errorf("%s does not see the end but %w", e.name, e.err)
}

func (e *end) awaitReset() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil {
		e.changed.Wait()
	}
	if !testbed.IsReset(e.err) {
		return fmt.Errorf("%s does not see the reset but %w", e.name, e.err)
	}
	return nil
}

func (e *end) write(pieces [][]byte) error {
	for _, piece := range pieces {
		if _, err := e.conn.Write(piece); err != nil {
			return fmt.Errorf("%s: write: %w", e.name, err)
		}
		e.sent = append(e.sent, piece...)
	}
	return nil
}

// gone tells that a connection has no stream any more that could be ended.
func gone(err error) bool {
	return testbed.IsReset(err) || errors.Is(err, syscall.ENOTCONN) || errors.Is(err, net.ErrClosed)
}

// The ways of writing something.
var cuts = map[string]func([]byte) [][]byte{
	"whole":  func(b []byte) [][]byte { return [][]byte{b} },
	"bytes":  func(b []byte) [][]byte { return pieces(b, func(at int) int { return 1 + at/512 }) },
	"pieces": func(b []byte) [][]byte { return pieces(b, func(at int) int { return 1 + rand.IntN(7+at/8) }) },
}

// pieces cuts b into what size says for each place, so that long ones do not
// take long.
func pieces(b []byte, size func(at int) int) [][]byte {
	var all [][]byte
	for at := 0; at < len(b); {
		n := min(size(at), len(b)-at)
		all = append(all, b[at:at+n])
		at += n
	}
	return all
}

// ruleSet is a rule file that a connection must not notice.
type ruleSet struct {
	name  string
	touch bool // they can touch the connection
	match bool // they match, and leave everything as it is
	text  string
}

var ruleSets = []ruleSet{
	{name: "no rules"},
	{name: "rules for another port", text: "route: other\nmatch: {http: /, port: 1}\nrequest:\n  - head: .headers[\"x-rule\"] = \"1\"\n"},
	{name: "a route in shadow", text: "route: tried\nmode: shadow\nmatch: {http: /}\nrequest:\n  - head: .headers[\"x-rule\"] = \"1\"\n" +
		"  - when: . == null\n    reject: {}\n  - jq: .a = 1\nresponse:\n  - head: .headers[\"x-rule\"] = \"1\"\n  - jq: .b = 2\n"},
	{name: "rules for another path", touch: true, text: "route: other\nmatch: {http: \"/other/{id}\"}\n" +
		"request:\n  - head: .headers[\"x-rule\"] = \"1\"\n  - jq: .a = 1\nresponse:\n  - head: .headers[\"x-rule\"] = \"1\"\n  - jq: .b = 2\n"},
	{name: "a rule that changes nothing", touch: true, match: true, text: "route: all\nmatch: {http: /}\n" +
		"request:\n  - head: " + nothing + "\nresponse:\n  - head: " + nothing + "\n"},
}

// nothing is a step that has to be run, and leaves every head as it is.
const nothing = `if .headers["x-never"] then .headers["x-rule"] = "1" else . end`

var loopbacks = []struct{ name, address string }{{"v4", "127.0.0.1:0"}, {"v6", "[::1]:0"}}

// between makes connections whose two ends are both the test's, with a proxy
// between them, if there is one.
type between struct {
	t        *testing.T
	proxy    *proxy.Proxy
	front    *net.TCPListener // nil: no proxy
	upstream atomic.Pointer[net.TCPListener]
	address  string // to listen on

	mu      sync.Mutex // guards records
	records []*proxy.Record
}

// newBetween runs a proxy with one rule file, or none, until the test ends.
func newBetween(t *testing.T, address, rule string, options ...func(*proxy.Listener)) *between {
	t.Helper()
	b := &between{t: t, address: address, front: testbed.ListenTCP(t, address)}
	live := new(rules.Live)
	var files []rules.File
	if rule != "" {
		files = append(files, rules.File{Name: "rules/other.yaml", Text: []byte(rule)})
	}
	set, problems := rules.Compile(files)
	if set == nil {
		t.Fatalf("rules: %+v", problems)
	}
	live.Swap(set)
	listener := proxy.Listener{Name: "test", Net: b.front, Direction: rules.Outbound, Destination: b.destination}
	for _, option := range options {
		option(&listener)
	}
	p, err := proxy.New(proxy.Config{Listeners: []proxy.Listener{listener}, Rules: live, Observer: b})
	if err != nil {
		t.Fatal(err)
	}
	b.proxy = p
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		p.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return b
}

func (b *between) destination(*net.TCPConn) (netip.AddrPort, error) {
	return b.upstream.Load().Addr().(*net.TCPAddr).AddrPort(), nil
}

// Observe keeps the records of exchanges.
func (b *between) Observe(event proxy.Event) {
	if r, ok := event.(*proxy.Record); ok {
		b.mu.Lock()
		b.records = append(b.records, r.Clone())
		b.mu.Unlock()
	}
}

// connect returns both ends of a new connection. One goroutine at a time.
func (b *between) connect() (caller, upstream *net.TCPConn, err error) {
	listener, err := net.Listen("tcp", b.address)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	b.upstream.Store(listener.(*net.TCPListener))
	front := b.front
	if front == nil {
		front = b.upstream.Load()
	}
	conn, err := net.DialTimeout("tcp", front.Addr().String(), testbed.Patience)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	_ = b.upstream.Load().SetDeadline(time.Now().Add(patience))
	accepted, err := listener.Accept()
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("accept: %w", err)
	}
	return conn.(*net.TCPConn), accepted.(*net.TCPConn), nil
}

// mustBeRelayed checks what the observers were told: each exchange was carried
// by the relay lane and matched as it should.
func (b *between) mustBeRelayed(set ruleSet) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.records) == 0 {
		b.t.Error("no exchange was recorded")
	}
	for _, r := range b.records {
		if r.Lane != proxy.LaneRelay || (r.Route != "") != set.match {
			b.t.Errorf("%s %s took the %s lane and route %q", r.Call.Head.Method, r.Call.Head.Path, r.Lane, r.Route)
		}
	}
}
