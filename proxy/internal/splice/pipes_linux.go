package splice

import (
	"sync"

	"golang.org/x/sys/unix"
)

// pipeSize is asked for each kernel pipe; where the user's pipe pages are used
// up the kernel's default of 64 KiB stays.
const pipeSize = 256 << 10

// maxFree bounds the pipes that a Pipes keeps while nobody uses them.
const maxFree = 64

// Pipes lends kernel pipes to many [Pipe]s. The zero value works; nil makes
// pipes that nobody shares.
type Pipes struct {
	mu     sync.Mutex // guards what follows
	free   []*kernelPipe
	closed bool
}

// kernelPipe is what splice(2) needs between two sockets.
type kernelPipe struct {
	out, in int
	held    int // bytes inside
}

func (p *Pipes) get() (*kernelPipe, error) {
	if p != nil {
		p.mu.Lock()
		if n := len(p.free); n > 0 {
			k := p.free[n-1]
			p.free = p.free[:n-1]
			p.mu.Unlock()
			return k, nil
		}
		p.mu.Unlock()
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &kernelPipe{out: fds[0], in: fds[1]}, nil
}

// put takes k back. A pipe with bytes inside is closed: they belong to nobody
// else.
func (p *Pipes) put(k *kernelPipe) {
	if p != nil && k.held == 0 {
		p.mu.Lock()
		if !p.closed && len(p.free) < maxFree {
			p.free = append(p.free, k)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
	k.close()
}

// Close closes the pipes that nobody uses; the others are closed when they come
// back.
func (p *Pipes) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.free {
		k.close()
	}
	p.free, p.closed = nil, true
}

func (k *kernelPipe) close() {
	unix.Close(k.out)
	unix.Close(k.in)
}
