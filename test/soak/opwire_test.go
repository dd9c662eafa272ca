package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// wireCaller speaks HTTP/1.1 by hand, over a connection for each operation.
type wireCaller struct{ rig *rig }

func (c *wireCaller) move() {}

// connect opens a connection that lasts as long as ctx.
func connect(ctx context.Context, addr string) (*net.TCPConn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err) // a proxy always accepts
	}
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	return c.(*net.TCPConn), nil
}

func (c *wireCaller) run(ctx context.Context, i *instance, o *op) error {
	tcp, err := connect(ctx, i.web)
	if err != nil {
		return err
	}
	defer tcp.Close()
	switch o.IntN(4) {
	case 0:
		return wrapped("upgrade", c.upgrade(tcp, o))
	case 1:
		return wrapped("upload", c.upload(tcp, o))
	}
	return wrapped("pipeline", c.pipeline(tcp, o))
}

func wrapped(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// head writes a request's head.
func (c *wireCaller) head(o *op, line string, id uint64, faulty bool, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: soak\r\n%s: %d\r\n", line, idField, id)
	if faulty && o.fault >= upstreamResets {
		fmt.Fprintf(&b, "%s: %d %d\r\n", faultField, o.fault, o.at)
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

// pipeline sends several requests at once. A half-close after them stops no
// answer; an upstream's fault is of the last.
func (c *wireCaller) pipeline(tcp *net.TCPConn, o *op) error {
	count := 2 + o.IntN(5)
	o.size = min(o.size, 16<<10)
	o.at %= o.size + 1
	type asked struct {
		id, seed uint64
		post     bool
	}
	var requests []asked
	var text strings.Builder
	for n := range count {
		a := asked{c.rig.nextID(), o.Uint64(), o.IntN(2) == 0 && n < count-1}
		requests = append(requests, a)
		if a.post {
			text.WriteString(c.head(o, "POST /sum", a.id, false, fmt.Sprintf("Content-Length: %d", o.size)))
			text.Write(bytesOf(a.seed, o.size))
		} else {
			text.WriteString(c.head(o, fmt.Sprintf("GET /blob?seed=%d&n=%d", a.seed, o.size), a.id, n == count-1))
		}
	}
	sent := text.String()
	if o.fault == callerResets && o.IntN(2) == 0 {
		_, err := io.WriteString(tcp, sent[:o.at%len(sent)])
		return errors.Join(ignoreGone(err), testbed.Reset(tcp))
	}
	written := make(chan error, 1)
	go func() { // answers come while requests are still leaving
		_, err := io.WriteString(tcp, sent)
		if o.fault == callerEnds {
			err = errors.Join(err, tcp.CloseWrite())
		}
		written <- err
	}()
	r := bufio.NewReader(tcp)
	last := false
	for n, a := range requests {
		if last {
			break // a draining proxy has said so; what came after is not answered (RFC 9112, 9.6)
		}
		err := func() error {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			last = resp.Close
			if o.fault == callerResets && n == count-1 {
				_, _ = io.CopyN(io.Discard, resp.Body, int64(o.at))
				return testbed.Reset(tcp)
			}
			if resp.StatusCode != 200 {
				return fmt.Errorf("status %d, x-sluice-error %q", resp.StatusCode, resp.Header.Get("X-Sluice-Error"))
			}
			if !a.post {
				return readPattern(resp.Body, a.seed, o.size)
			}
			got, err := io.ReadAll(resp.Body)
			if want := fmt.Sprintf("%d %08x", o.size, crc32.ChecksumIEEE(bytesOf(a.seed, o.size))); err == nil && string(got) != want {
				return fmt.Errorf("%w: got %s, want %s", errCorrupt, got, want)
			}
			return err
		}()
		if n == count-1 && o.fault >= upstreamResets {
			err = o.judge(err, o.at < o.size)
		}
		if n == count-1 && o.fault == callerResets {
			err = nil
		}
		if err == nil && c.rig.times(a.id) > 1 {
			err = fmt.Errorf("asked %d times", c.rig.times(a.id))
		}
		if err != nil {
			return fmt.Errorf("answer %d of %d: %w", n, count, err)
		}
	}
	if err := <-written; err != nil && o.fault == none {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// ignoreGone drops the error of writing to a connection that its peer has ended.
func ignoreGone(err error) error {
	if testbed.IsReset(err) {
		return nil
	}
	return err
}

// upload sends a chunked body in small writes, and breaks it off.
func (c *wireCaller) upload(tcp *net.TCPConn, o *op) error {
	o.size = min(o.size, 64<<10)
	o.at %= o.size + 1
	body := bytesOf(o.seed, o.size)
	write := func() error {
		if _, err := io.WriteString(tcp, c.head(o, "POST /echo", o.id, true, "Transfer-Encoding: chunked")); err != nil {
			return err
		}
		for sent := 0; sent < len(body); {
			if (o.fault == callerResets || o.fault == callerEnds) && sent >= o.at {
				if o.fault == callerEnds {
					return tcp.CloseWrite()
				}
				return testbed.Reset(tcp)
			}
			n := min(len(body)-sent, 1+int(o.seed>>3)%4096)
			if o.fault == callerResets || o.fault == callerEnds {
				n = min(n, o.at-sent)
			}
			if _, err := fmt.Fprintf(tcp, "%x\r\n%s\r\n", n, body[sent:sent+n]); err != nil {
				return err
			}
			sent += n
		}
		_, err := io.WriteString(tcp, "0\r\n\r\n")
		return err
	}
	written := make(chan error, 1)
	go func() { written <- write() }()
	err := func() error {
		resp, err := http.ReadResponse(bufio.NewReader(tcp), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("status %d, x-sluice-error %q", resp.StatusCode, resp.Header.Get("X-Sluice-Error"))
		}
		return readPattern(resp.Body, o.seed, o.size)
	}()
	tcp.Close()
	<-written
	if err == nil && (o.fault == callerResets || o.fault == callerEnds) && o.at < o.size {
		return fmt.Errorf("%w: answered in full though the request was broken off", errCorrupt)
	}
	return o.judge(err, o.at < o.size)
}

// upgrade leaves HTTP for an echo of bytes.
func (c *wireCaller) upgrade(tcp *net.TCPConn, o *op) error {
	if o.fault == upstreamResets {
		o.fault = upstreamCuts
	}
	if _, err := io.WriteString(tcp, c.head(o, "GET /upgrade", o.id, true, "Connection: Upgrade", "Upgrade: soak")); err != nil {
		return err
	}
	r := bufio.NewReader(tcp)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("status %d, x-sluice-error %q", resp.StatusCode, resp.Header.Get("X-Sluice-Error"))
	}
	if err != nil {
		return o.judge(err, true)
	}
	return echoed(tcp, r, o)
}

// echoed sends the pattern and reads it back, on a connection that echoes.
func echoed(tcp *net.TCPConn, r io.Reader, o *op) error {
	written := make(chan error, 1)
	go func() {
		length := o.size
		if o.fault == callerResets || o.fault == callerEnds {
			length = o.at
		}
		_, err := io.Copy(struct{ io.Writer }{tcp}, io.LimitReader(&pattern{seed: o.seed}, int64(length)))
		switch o.fault {
		case callerResets:
			_ = testbed.Reset(tcp)
		default: // an end of one side is none of the other
			err = errors.Join(err, tcp.CloseWrite())
		}
		written <- err
	}()
	want := o.size
	if o.fault == callerEnds || o.fault == upstreamEnds {
		want = min(o.at, o.size)
	}
	err := readPattern(r, o.seed, want)
	tcp.Close()
	wrote := <-written
	switch o.fault {
	case none, callerEnds:
		return errors.Join(err, wrote)
	case callerResets:
		return nil // its own reads fail
	case upstreamEnds:
		// A clean end, unless what the upstream did not read turned it into a reset.
		if err != nil && !testbed.IsReset(err) && wrote == nil {
			return err
		}
		return nil
	}
	// A reset may take with it what was on its way, but is no clean end. The
	// kernel tells of it once: to the reading or to the writing.
	switch {
	case err == nil && o.at < o.size:
		return errors.New("no reset arrived")
	case errors.Is(err, errCut) && wrote == nil:
		return fmt.Errorf("a reset became a clean end: %w", err)
	case errors.Is(err, errCorrupt) && !errors.Is(err, errCut):
		return err
	}
	return nil
}
