package proxy

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/proxy/internal/sock"
)

// ruledInput reads a connection whose peer has HeadTimeout for a head that it has
// begun.
type ruledInput struct {
	*sock.Reader
	r       *ruled
	tcp     *net.TCPConn
	hop     *http2.Hop
	pressed bool
}

var _ http2.Input = (*ruledInput)(nil)

// Fill implements [http2.Input].
func (in *ruledInput) Fill() (int, error) {
	if in.hop.InHead() != in.pressed {
		in.pressed = !in.pressed
		var until time.Time
		if in.pressed {
			until = time.Now().Add(in.r.c.p.HeadTimeout)
		}
		in.tcp.SetReadDeadline(until)
		if in.r.ending.Load() { // meanwhile, and its deadline must hold
			in.tcp.SetReadDeadline(time.Now().Add(farewell))
		}
	}
	n, err := in.Reader.Fill()
	if in.pressed && errors.Is(err, os.ErrDeadlineExceeded) && !in.r.ending.Load() {
		return n, &http2.Error{Code: http2.EnhanceYourCalm, Reason: "header block too slow"}
	}
	return n, err
}

// ruledOutput writes to a connection, and can leave off where it would have to
// wait for the peer to read.
type ruledOutput struct {
	*net.TCPConn
	raw syscall.RawConn
	try func(fd uintptr) bool // o.writeNow, bound once

	// Of the one who is in TryWrite.
	b   []byte
	n   int
	err error
}

var _ http2.Output = (*ruledOutput)(nil)

func newRuledOutput(c *net.TCPConn) *ruledOutput {
	o := &ruledOutput{TCPConn: c}
	o.raw, _ = c.SyscallConn() // fails only for a conn that never was one
	o.try = o.writeNow
	return o
}

// TryWrite implements [http2.Output].
func (o *ruledOutput) TryWrite(b []byte) (int, error) {
	o.b, o.n, o.err = b, 0, nil
	err := o.raw.Write(o.try)
	o.b = nil
	if err == nil {
		err = o.err
	}
	return o.n, err
}

// writeNow writes until the kernel takes no more. It never asks to wait.
func (o *ruledOutput) writeNow(fd uintptr) bool {
	for o.n < len(o.b) {
		n, err := syscall.Write(int(fd), o.b[o.n:])
		switch {
		case err == nil:
			o.n += n
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return true
		default:
			o.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}
