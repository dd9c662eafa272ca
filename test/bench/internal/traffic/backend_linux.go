package traffic

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Backend serves all protocols until end, which is never written to, is closed
// at its other side. It takes over the listeners.
func Backend(listeners map[Protocol]net.Listener, end *os.File) error {
	l, err := newLoop()
	if err != nil {
		return err
	}
	small, _ := http1Answer(Get)
	large, _ := http1Answer(Download)
	answers := &http1Answers{small: small, large: large, orders: orderCheckers()}
	methods := grpcMethods()
	block := bulk(rawBlock)
	makers := map[Protocol]func(*conn) protocol{
		HTTP1:  func(c *conn) protocol { return &http1Server{conn: c, answers: answers} },
		GRPC:   func(c *conn) protocol { return newGRPCServer(c, methods) },
		RawTCP: func(c *conn) protocol { return &rawServer{conn: c, block: block} },
	}
	for p, listener := range listeners {
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			return fmt.Errorf("take over a listener: %w", err)
		}
		defer file.Close()
		fd := int(file.Fd())
		if err := unix.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("prepare a listener: %w", err)
		}
		if err := l.add(fd, &acceptor{loop: l, fd: fd, make: makers[p]}); err != nil {
			return fmt.Errorf("add a listener: %w", err)
		}
	}
	parent := &ender{}
	if err := l.add(int(end.Fd()), parent); err != nil {
		return fmt.Errorf("watch the end: %w", err)
	}
	return l.run(0, func() bool { return parent.over })
}

type ender struct{ over bool }

func (e *ender) ready(uint32) { e.over = true }

type acceptor struct {
	loop *loop
	fd   int
	make func(*conn) protocol
}

func (a *acceptor) ready(uint32) {
	for {
		fd, _, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			return // the caller went away, or notices that nobody answers
		}
		// What goes wrong with a connection, its caller notices.
		_ = a.loop.adopt(fd, a.make)
	}
}

// complain tells what a caller did wrong, which the caller only sees as an end.
func complain(err error) {
	var errno syscall.Errno
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &errno) {
		fmt.Fprintln(os.Stderr, "backend:", err)
	}
}
