package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// answerLimit is the longest that a load waits for the answers that are still
// to come at its end. Whoever never answers fails the run.
const answerLimit = 5 * time.Second

// Load runs spec against a proxy and measures it. An error is the load's own;
// what the proxy did wrong is in the Result.
func Load(spec Spec) (Result, error) {
	l, err := newLoop()
	if err != nil {
		return Result{}, err
	}
	m := new(meter)
	run := &load{loop: l, caller: &caller{meter: m, spec: spec, closed: spec.Rate == 0 && spec.Kind != Idle}}
	if err := run.connect(); err != nil {
		return Result{}, err
	}
	if spec.Kind == Idle {
		return run.idle()
	}
	return run.measure()
}

type load struct {
	*caller
	loop     *loop
	conns    []*conn
	starters []starter
	next     int // of the starters, in an open loop
}

// connect opens all connections; in a closed loop each begins at once.
func (r *load) connect() error {
	request := http1Request(r.spec)
	_, body := http1Answer(r.spec.Kind)
	block := bulk(rawBlock)
	for range r.spec.Conns {
		c, err := net.DialTimeout("tcp", r.spec.Address, 5*time.Second)
		if err != nil {
			return err
		}
		err = r.loop.attach(c, func(c *conn) protocol {
			r.conns = append(r.conns, c)
			switch r.spec.Kind.Protocol() {
			case GRPC:
				g := newGRPCClient(c, r.caller)
				r.starters = append(r.starters, g)
				return g
			case RawTCP:
				c.out = append(c.out, rawGreeting...)
				return &rawClient{caller: r.caller, conn: c, want: block}
			}
			h := &http1Client{caller: r.caller, conn: c, request: request, body: body, at: -1}
			r.starters = append(r.starters, h)
			return h
		})
		if err != nil {
			return err
		}
	}
	if !r.closed {
		return nil
	}
	for i, s := range r.starters {
		for range max(r.spec.Streams, 1) {
			s.begin(r.loop.now())
		}
		r.conns[i].flush()
	}
	return nil
}

func (r *load) failed() bool { return r.meter.errors > 0 }

func (r *load) measure() (Result, error) {
	if r.spec.Rate > 0 {
		if err := r.pace(); err != nil {
			return Result{}, err
		}
	}
	// The first answers make the proxy's upstream connections, its pools and
	// its heap; they are not what a request costs.
	if err := r.loop.run(r.loop.now()+r.spec.Warm, r.failed); err != nil {
		return Result{}, err
	}
	before, err := CPU(r.spec.PIDs)
	busyBefore, err2 := Busy(r.spec.OnCPU)
	if err := errors.Join(err, err2); err != nil {
		return Result{}, err
	}
	r.meter.reset()
	began := r.loop.now()
	if err := r.loop.run(began+r.spec.For, r.failed); err != nil {
		return Result{}, err
	}
	count, latency, elapsed := r.meter.count, r.meter.latency, r.loop.now()-began
	after, err := CPU(r.spec.PIDs)
	busy, err2 := Busy(r.spec.OnCPU)
	if err := errors.Join(err, err2); err != nil {
		return Result{}, err
	}
	result := Result{Count: count, Elapsed: elapsed, CPU: after - before, P50: latency.quantile(.5), P99: latency.quantile(.99)}
	result.Others = max(busy-busyBefore-result.CPU, 0)
	if result.RSS, result.Peak, err = Memory(r.spec.PIDs); err != nil {
		return Result{}, err
	}
	r.meter.stopping = true
	if r.spec.Kind != Raw {
		if err := r.loop.run(r.loop.now()+answerLimit, func() bool { return r.failed() || r.meter.inFlight == 0 }); err != nil {
			return Result{}, err
		}
		if !r.failed() && r.meter.inFlight > 0 {
			r.meter.fail(fmt.Errorf("%d requests were not answered within %v", r.meter.inFlight, answerLimit))
		}
	}
	if count == 0 && !r.failed() {
		r.meter.fail(errors.New("nothing was answered"))
	}
	return r.close(result), nil
}

// close ends all connections and notes what failed until then.
func (r *load) close(result Result) Result {
	result.Errors = r.meter.errors
	if r.meter.first != nil {
		result.Error = r.meter.first.Error()
	}
	for _, c := range r.conns {
		c.end(nil)
	}
	return result
}

// idle lets every connection do one request, one after the other, and then
// nothing for a while.
func (r *load) idle() (Result, error) {
	for i, s := range r.starters {
		s.begin(r.loop.now())
		r.conns[i].flush()
		err := r.loop.run(r.loop.now()+answerLimit, func() bool { return r.failed() || r.meter.inFlight == 0 })
		if err != nil {
			return Result{}, err
		}
		if r.meter.inFlight > 0 {
			r.meter.fail(fmt.Errorf("connection %d was not answered within %v", i, answerLimit))
		}
		if r.failed() {
			break
		}
	}
	if err := r.loop.run(r.loop.now()+r.spec.For, r.failed); err != nil {
		return Result{}, err
	}
	result := Result{Count: r.meter.count}
	var err error
	if result.RSS, result.Peak, err = Memory(r.spec.PIDs); err != nil {
		return Result{}, err
	}
	return r.close(result), nil
}

// pace begins Rate requests a second, each on the connection after the last
// one's, whether the earlier ones were answered or not.
func (r *load) pace() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a timer: %w", err)
	}
	every := unix.NsecToTimespec(int64(time.Second) / int64(r.spec.Rate))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return r.loop.add(fd, &pacer{load: r, fd: fd, every: time.Second / time.Duration(r.spec.Rate), due: r.loop.now()})
}

// pacer is the open loop's clock.
type pacer struct {
	*load
	fd    int
	every time.Duration
	due   time.Duration // of the last request
}

// ready begins what is due since the last time. Latencies are counted from when
// a request was due, so that a stall counts for all who would have called.
func (p *pacer) ready(uint32) {
	var ticks [8]byte
	if _, err := unix.Read(p.fd, ticks[:]); err != nil {
		return // another event has taken the tick
	}
	for range binary.NativeEndian.Uint64(ticks[:]) {
		p.due += p.every
		if p.meter.stopping {
			continue
		}
		i := p.next
		p.next = (p.next + 1) % len(p.starters)
		p.starters[i].begin(p.due)
		p.conns[i].flush()
	}
}
