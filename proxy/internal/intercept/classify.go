package intercept

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// What went wrong with an upstream's connection, as rules see it in .error.
const (
	Refused        = "refused"
	Unreachable    = "unreachable" // no route, no such host, or not permitted to go there
	ConnectTimeout = "connect_timeout"
	Timeout        = "timeout"
	WasReset       = "reset" // or ended before its time
	Protocol       = "protocol"
)

// Classify returns which of these err is, "" for nil. It does not know whose
// hanging up ended a context: ask that before.
func Classify(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	dialling := errors.As(err, &op) && op.Op == "dial"
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.As(err, &dns):
		return Unreachable
	case isAny(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
		syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EACCES, syscall.EPERM):
		// The last two come from a prohibiting route or a packet filter.
		return Unreachable
	case isTimeout(err):
		if dialling {
			return ConnectTimeout
		}
		return Timeout
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN),
		isAny(err, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed):
		return WasReset
	case dialling:
		return Unreachable
	}
	return Protocol
}

func isAny[E error](err error, targets ...E) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &timeout) && timeout.Timeout()
}
