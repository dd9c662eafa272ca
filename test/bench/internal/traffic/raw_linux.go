package traffic

import (
	"bytes"
	"errors"
	"fmt"
)

// rawClient takes what comes after its greeting, and counts it in MiB.
type rawClient struct {
	*caller
	conn *conn
	at   int // where in the pattern the next byte is
	read int
	want []byte
}

func (r *rawClient) receive(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		part := rest[:min(len(rest), len(r.want)-r.at)]
		if !bytes.Equal(part, r.want[r.at:r.at+len(part)]) {
			return 0, errors.New("the bytes are not what was sent")
		}
		rest = rest[len(part):]
		r.at = (r.at + len(part)) % len(r.want)
	}
	r.progress(len(b))
	return len(b), nil
}

func (r *rawClient) skipped(n int) error {
	r.at = (r.at + n) % len(r.want)
	r.progress(n)
	return nil
}

// progress looks at 1 MiB of every 32: the rest is only counted.
func (r *rawClient) progress(n int) {
	r.meter.count += float64(n) / (1 << 20)
	r.read += n
	if r.read > 1<<20 && r.conn.skip == 0 {
		r.read, r.conn.skip = 0, 31<<20
	}
}

func (r *rawClient) drained() {}

func (r *rawClient) ended(err error) { r.meter.fail(fmt.Errorf("connection ended: %w", err)) }

// rawServer writes without end, once it was greeted.
type rawServer struct {
	conn  *conn
	block []byte
}

func (r *rawServer) receive(b []byte) (int, error) {
	if len(b) < len(rawGreeting) {
		return 0, nil
	}
	if !bytes.Equal(b, rawGreeting) {
		return 0, fmt.Errorf("unexpected greeting %q", b)
	}
	r.conn.tail = r.block
	return len(b), nil
}

func (r *rawServer) skipped(int) error { return nil }
func (r *rawServer) drained()          { r.conn.tail = r.block }
func (r *rawServer) ended(err error)   { complain(err) }
