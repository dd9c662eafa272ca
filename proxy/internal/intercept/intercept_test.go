package intercept

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClassify(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	read := func(err error) error { return fmt.Errorf("send: %w", &net.OpError{Op: "read", Net: "tcp", Err: err}) }
	tests := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), Refused},
		{dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), Unreachable},
		{dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), Unreachable},
		{dial(os.NewSyscallError("connect", syscall.EPERM)), Unreachable},
		{dial(&net.DNSError{Err: "no such host", IsNotFound: true}), Unreachable},
		{dial(&net.DNSError{Err: "timeout", IsTimeout: true}), Unreachable},
		{dial(errors.New("anything")), Unreachable},
		{dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), ConnectTimeout},
		{dial(os.ErrDeadlineExceeded), ConnectTimeout},
		{dial(context.DeadlineExceeded), ConnectTimeout},
		{read(os.ErrDeadlineExceeded), Timeout},
		{read(syscall.ETIMEDOUT), Timeout},
		{context.DeadlineExceeded, Timeout},
		{read(syscall.ECONNRESET), WasReset},
		{read(syscall.EPIPE), WasReset},
		{io.ErrUnexpectedEOF, WasReset},
		{io.EOF, WasReset},
		{net.ErrClosed, WasReset},
		{errors.New("malformed HTTP response"), Protocol},
	}
	for _, test := range tests {
		if got := Classify(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestClassifyOfRealDials(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	var d Dialer
	if _, err := d.Dial(t.Context(), l.Addr().String()); Classify(err) != Refused {
		t.Errorf("closed port: got %q of %v", Classify(err), err)
	}
	if _, err := d.Dial(t.Context(), "no-such-host.invalid:80"); Classify(err) != Unreachable {
		t.Errorf("unknown host: got %q of %v", Classify(err), err)
	}
	if _, err := d.Dial(t.Context(), "no port"); err == nil {
		t.Error("bad address: got no error")
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if _, err := d.Dial(ctx, "192.0.2.1:80"); Classify(err) != ConnectTimeout {
		t.Errorf("no time left: got %q of %v", Classify(err), err)
	}
	if n := len(d.outgoing.pending); n != 0 {
		t.Errorf("%d announcements are left after all dials have returned", n)
	}
}

func TestIsOwn(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	tests := []struct {
		listener, destination string
		want                  bool
	}{
		{"127.0.0.1:15001", "127.0.0.1:15001", true},
		{"127.0.0.1:15001", "127.0.0.1:80", false},
		{"127.0.0.1:15001", "127.0.0.2:15001", false},
		{"127.0.0.1:15001", "0.0.0.0:15001", true},
		{"0.0.0.0:15001", "127.0.0.2:15001", true},
		{"0.0.0.0:15001", "[::ffff:127.0.0.1]:15001", true},
		{"0.0.0.0:15001", "[::1]:15001", false},
		{"0.0.0.0:15001", "192.0.2.77:15001", false},
		{"[::]:15001", "127.0.0.1:15001", true},
		{"[::]:15001", "[::1]:15001", true},
		{"[::]:15001", "[2001:db8::77]:15001", false},
		{"[fe80::1%1]:15001", "[fe80::1%1]:15001", true},
	}
	for _, test := range tests {
		o := NewOwn(&net.UnixAddr{Name: "x"}, tcp("127.0.0.9:9"), tcp(test.listener))
		if got := o.IsOwn(netip.MustParseAddrPort(test.destination)); got != test.want {
			t.Errorf("listener %s, destination %s: got %v, want %v", test.listener, test.destination, got, test.want)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOwn(tcp("[::]:15001"))
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if !o.IsOwn(netip.AddrPortFrom(ip, 15001)) {
			t.Errorf("%v: got false for an address of this host", ip)
		}
	}
}

// accept returns the other end of what dial makes.
func accept(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	l.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrs(c *net.TCPConn) (peer, destination netip.AddrPort) {
	return c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort()
}

func TestOwnConnectionIsKnownWhileItIsOpen(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d Dialer
	up, err := d.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	peer, destination := addrs(accept(t, l))
	if !d.IsOutgoing(peer, destination) {
		t.Error("open connection: got false")
	}
	if d.IsOutgoing(peer, netip.MustParseAddrPort("192.0.2.1:80")) {
		t.Error("same source port towards another destination: got true")
	}
	up.Close()
	if d.IsOutgoing(peer, destination) {
		t.Error("closed connection: got true")
	}
}

// A looping connection may be accepted, and asked about, before its dial has
// returned.
func TestDialFindsItselfAmongSuspects(t *testing.T) {
	var o outgoing
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	o.begin(to)
	o.begin(to) // another one, which is still on its way
	c, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, destination := addrs(accept(t, l))
	if o.isOwn(pair{peer, destination}) {
		t.Error("before the dial returned: got true, which nobody can know")
	}
	if !o.made(c) {
		t.Error("the dial did not find itself")
	}
	o.finish(to)
	o.finish(to)
	if len(o.pending) != 0 {
		t.Errorf("pending: got %d destinations, want none", len(o.pending))
	}
}

func TestForgetSparesANewerConnection(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d Dialer
	up, err := d.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	key := pairOf(up)
	d.outgoing.forget(gone{key: key}) // of an older connection
	if _, ok := d.outgoing.conns[key]; !ok {
		t.Error("the newer connection was forgotten")
	}
	d.outgoing.forget(gone{key, d.outgoing.conns[key]})
	if _, ok := d.outgoing.conns[key]; ok {
		t.Error("the connection was not forgotten")
	}
}

func TestDirectConnectionIsNotRedirected(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		l, err := Listen(t.Context(), addr, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var d Dialer
		up, err := d.Dial(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := OriginalDestination(accept(t, l))
		if !errors.Is(err, ErrNotRedirected) {
			t.Errorf("%s: got %v and %v, want ErrNotRedirected", addr, got, err)
		}
		up.Close()
		l.Close()
	}
}

func TestResetIsSeenByThePeer(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d Dialer
	up, err := d.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	Reset(accept(t, l))
	if _, err := up.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// scripted is a listener that fails as it is told, then waits to be closed.
type scripted struct {
	errs   []error // nil accepts a connection; for the accept loop's goroutine
	calls  []time.Duration
	begun  time.Time
	once   sync.Once
	closed chan struct{}
}

func (s *scripted) Accept() (net.Conn, error) {
	s.calls = append(s.calls, time.Since(s.begun))
	if len(s.errs) == 0 {
		<-s.closed
		return nil, net.ErrClosed
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return &net.TCPConn{}, nil
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *scripted) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptLoopBacksOffAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{begun: time.Now(), closed: make(chan struct{})}
		for range 12 {
			s.errs = append(s.errs, syscall.EMFILE)
		}
		s.errs = append(s.errs, nil, syscall.ENFILE, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var reports []time.Duration
		accepted := 0
		result := make(chan error, 1)
		var wait sync.WaitGroup
		wait.Go(func() {
			result <- AcceptLoop(ctx, s, func(err error, backoff time.Duration) {
				if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
					t.Errorf("report: got %v", err)
				}
				reports = append(reports, time.Since(s.begun))
			}, func(net.Conn) { accepted++ })
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		if accepted != 2 {
			t.Errorf("accepted: got %d, want 2", accepted)
		}
		wait5 := 5 * time.Millisecond
		for i, want := range []time.Duration{0, wait5, 3 * wait5, 7 * wait5, 15 * wait5} {
			if s.calls[i] != want {
				t.Errorf("call %d: at %v, want %v", i, s.calls[i], want)
			}
		}
		if got := s.calls[12] - s.calls[11]; got != time.Second {
			t.Errorf("longest wait: got %v, want 1s", got)
		}
		if got := s.calls[14] - s.calls[13]; got != wait5 {
			t.Errorf("wait after a success: got %v, want 5ms", got)
		}
		for i := 1; i < len(reports); i++ {
			if reports[i]-reports[i-1] < time.Second {
				t.Errorf("reports at %v: more than one a second", reports)
			}
		}
		if reports[0] != 0 {
			t.Errorf("first report: at %v, want at once", reports[0])
		}
		cancel()
		wait.Wait()
		if err := <-result; err != nil {
			t.Errorf("end: got %v, want nil", err)
		}
	})
}

func TestAcceptLoopPassesOverAbortedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{begun: time.Now(), closed: make(chan struct{})}
		for range 100 {
			s.errs = append(s.errs, syscall.ECONNABORTED)
		}
		var wait sync.WaitGroup
		wait.Go(func() { AcceptLoop(t.Context(), s, nil, func(net.Conn) {}) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if at := s.calls[10]; at != 0 {
			t.Errorf("11th call: at %v, want at once", at)
		}
		if at := s.calls[len(s.calls)-1]; len(s.calls) != 101 || at < time.Minute {
			t.Errorf("%d calls by %v: want 101, and no spin", len(s.calls), at)
		}
		s.Close()
		wait.Wait()
	})
}
