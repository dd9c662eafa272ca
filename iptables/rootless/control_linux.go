package rootless

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// order goes from the parent to the namespace; exactly one field is set.
type order struct {
	Setup  *setup
	Run    bool
	Signal unix.Signal
	Socket int // an address family: make a TCP socket of it
}

// setup is the first order: all that the namespace cannot find out itself.
type setup struct {
	IPv6       bool // give the command an IPv6 default route
	ResolvConf []byte
	HostPorts  []uint16
	Back       idMaps // from the namespace's ids to the command's
}

// report goes from the namespace to the parent.
type report struct {
	Sockets []string // names of the files that come along; set up well
	Step    string   // what failed, when Errno or Text is set
	Errno   unix.Errno
	Text    string
	Exit    *int // the command's exit code, or ours when Step is set
}

// err is the failure that the report tells of, or nil.
func (r *report) err() error {
	switch {
	case r.Errno != 0 && r.Text != "":
		return fmt.Errorf("%s: %w", r.Text, r.Errno)
	case r.Errno != 0:
		return r.Errno
	case r.Text != "":
		return errors.New(r.Text)
	}
	return nil
}

// failure makes the report of a step that failed with err.
func failure(step string, err error) report {
	r := report{Step: step}
	if errno, ok := err.(unix.Errno); ok {
		r.Errno = errno
		return r
	}
	r.Text = err.Error()
	if errors.As(err, &r.Errno) {
		// The errno's own words are added again on the other side.
		r.Text = strings.TrimSuffix(r.Text, ": "+r.Errno.Error())
	}
	return r
}

// maxMessage bounds one order or report. The largest holds a resolv.conf.
const maxMessage = 64 << 10

// control is one end of a SOCK_SEQPACKET pair that carries JSON messages and
// files. One goroutine may send while another receives.
type control struct{ conn *net.UnixConn }

// newControlPair returns the parent's end and the raw, close-on-exec file
// descriptor of the other.
func newControlPair() (*control, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("make a socket pair: %w", err)
	}
	c, err := newControl(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, -1, err
	}
	return c, fds[1], nil
}

// newControl takes ownership of fd, even when it fails.
func newControl(fd int) (*control, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "control")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("take the control socket: %w", err)
	}
	uconn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("take the control socket: it is a %T", conn)
	}
	return &control{conn: uconn}, nil
}

// send writes v and passes files along, which stay the caller's.
func (c *control) send(v any, files ...int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("message of %d bytes is too long", len(b))
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	_, _, err = c.conn.WriteMsgUnix(b, oob, nil)
	return err
}

// receive reads the next message into v and returns the files that came with
// it, which are then the caller's. io.EOF means that the other end is gone.
func (c *control) receive(v any) ([]*os.File, error) {
	b := make([]byte, maxMessage)
	oob := make([]byte, unix.CmsgSpace(4*16))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, err
	}
	files, err := receivedFiles(oob[:oobn])
	if err == nil {
		err = json.Unmarshal(b[:n], v)
	}
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("read a control message: %w", err)
	}
	return files, nil
}

func receivedFiles(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "from the namespace"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (c *control) setDeadline(t time.Time) { _ = c.conn.SetDeadline(t) }

func (c *control) Close() error { return c.conn.Close() }
