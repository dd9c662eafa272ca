package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// socket is a unix listener whose path appears at once with mode 0600 and is
// removed by Close.
type socket struct {
	*net.UnixListener
	path string
	own  fs.FileInfo // of the socket that was made: another may have taken its place
	once sync.Once   // a number that was freed may name another's socket next
}

// listenSocket listens at path. A socket that nobody answers is replaced; one
// that somebody answers, and what is no socket, is refused.
func listenSocket(path string) (*socket, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Between bind and chmod a socket has the mode of the umask. So it is bound
	// in a directory that only its owner enters, and linked to its place when
	// it is ready: a link, unlike a rename, never replaces another's.
	private, err := os.MkdirTemp(dir, ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	hidden := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s := &socket{UnixListener: l, path: path}
	if err = os.Chmod(hidden, 0o600); err == nil {
		err = os.Link(hidden, path)
	}
	if err == nil {
		s.own, err = os.Lstat(path)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return s, nil
}

// removeStale makes room at path.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s: another Sluice is serving it", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s is there: %w", path, err)
	}
	return os.Remove(path)
}

// Close closes the listener and removes the socket, if it is still the own.
func (s *socket) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.own) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}
