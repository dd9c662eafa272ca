package watch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// batch is how many ends one call of epoll_wait(2) tells.
const batch = 64

// Watch notices ends. Its methods may be called from any goroutine.
type Watch struct {
	epoll *os.File // the runtime's poller waits for it: no thread is blocked
	raw   syscall.RawConn
	done  sync.WaitGroup // the watch's goroutine

	mu      sync.Mutex // guards what follows
	idle    sync.Cond  // calling has changed
	entries map[uint64]*entry
	last    uint64 // the newest entry's id; ids are never used again
	calling uint64 // id of the entry whose callback runs, 0 for none
}

// entry is a conn that is watched.
type entry struct {
	conn       syscall.RawConn
	ended      func(reset bool)
	fin, reset bool // told already; for the watch's goroutine
}

// New starts a watch. It holds one descriptor and one goroutine until Close.
func New() (*Watch, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.File would not take it to the poller
		unix.Close(fd)
		return nil, fmt.Errorf("make an epoll nonblocking: %w", err)
	}
	w := &Watch{epoll: os.NewFile(uintptr(fd), "epoll"), entries: map[uint64]*entry{}}
	w.idle.L = &w.mu
	if w.raw, err = w.epoll.SyscallConn(); err != nil {
		w.epoll.Close()
		return nil, fmt.Errorf("use an epoll: %w", err)
	}
	w.done.Go(w.run)
	return w, nil
}

// Add begins to watch c; see the package's documentation for when ended is
// called. An end that came before Add is told too. The watch does not own c, and
// forgets it by Remove only.
func (w *Watch) Add(c *net.TCPConn, ended func(reset bool)) (Token, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Token{}, fmt.Errorf("watch: %w", err)
	}
	w.mu.Lock()
	w.last++
	id := w.last
	w.entries[id] = &entry{conn: raw, ended: ended}
	w.mu.Unlock()
	event := unix.EpollEvent{
		Events: unix.EPOLLRDHUP | unix.EPOLLET, // EPOLLERR and EPOLLHUP come unasked
		Fd:     int32(uint32(id)), Pad: int32(uint32(id >> 32)),
	}
	if err := w.control(raw, unix.EPOLL_CTL_ADD, &event); err != nil {
		w.mu.Lock()
		delete(w.entries, id)
		w.mu.Unlock()
		return Token{}, fmt.Errorf("watch: %w", err)
	}
	return Token{id}, nil
}

// Remove ends the watch of a conn, before or after that is closed. Once it
// returned, no callback of the conn runs, nor will one: it waits for one that
// runs at that moment, so it must not be called from the callback itself or
// with a lock held that the callback takes. It may be called again, with the
// zero Token, and after Close.
func (w *Watch) Remove(t Token) {
	w.mu.Lock()
	for t.id != 0 && w.calling == t.id {
		w.idle.Wait()
	}
	e := w.entries[t.id]
	delete(w.entries, t.id)
	w.mu.Unlock()
	if e != nil {
		// A conn that is closed has left the epoll by itself, and its descriptor
		// may be another's by now: control does nothing then.
		_ = w.control(e.conn, unix.EPOLL_CTL_DEL, nil)
	}
}

// Close ends the watch and waits for a callback that runs. No callback runs
// after it; it must not be called from one.
func (w *Watch) Close() {
	w.mu.Lock()
	clear(w.entries)
	w.mu.Unlock()
	w.epoll.Close()
	w.done.Wait()
}

// control changes the epoll's interest in c while neither can be closed.
func (w *Watch) control(c syscall.RawConn, op int, event *unix.EpollEvent) error {
	var failed error
	err := w.raw.Control(func(epoll uintptr) {
		err := c.Control(func(fd uintptr) { failed = unix.EpollCtl(int(epoll), op, int(fd), event) })
		if err != nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// run tells ends until the epoll is closed.
func (w *Watch) run() {
	events := make([]unix.EpollEvent, batch)
	n := 0
	collect := func(fd uintptr) bool {
		var err error
		for {
			n, err = unix.EpollWait(int(fd), events, 0)
			if !errors.Is(err, unix.EINTR) {
				return n > 0
			}
		}
	}
	for w.raw.Read(collect) == nil {
		for _, event := range events[:n] {
			w.tell(event)
		}
	}
}

// tell calls what waits for an event. An end that was told is not told again:
// an edge also comes when something else happens to a conn that has ended.
func (w *Watch) tell(event unix.EpollEvent) {
	id := uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
	reset := event.Events&unix.EPOLLERR != 0
	w.mu.Lock()
	e := w.entries[id]
	if e == nil || e.reset || e.fin && !reset {
		w.mu.Unlock()
		return
	}
	w.calling = id
	w.mu.Unlock()

	e.fin, e.reset = true, reset
	e.ended(reset)

	w.mu.Lock()
	w.calling = 0
	w.mu.Unlock()
	w.idle.Broadcast()
}
