package detect

import (
	"encoding/binary"
	"errors"
)

// MaxHello is the longest ClientHello that is read, in bytes as they came, with
// the record headers.
const MaxHello = 16 << 10

// The errors of [ClientHello].
var (
	ErrNotHello     = errors.New("not a TLS ClientHello")
	ErrHelloTooLong = errors.New("TLS ClientHello over 16 KiB")
)

// Hello is what a ClientHello says in the clear.
type Hello struct {
	SNI  string   // as sent; "" if absent or not printable ASCII
	ALPN []string // in the caller's order
}

const (
	recordHeader    = 5
	recordHandshake = 22
	maxPlaintext    = 1 << 14 // RFC 8446, 5.1
	typeClientHello = 1
)

// tlsKind judges the first record's header and the type of its first message.
// Raw means: not TLS.
func tlsKind(b []byte) Kind {
	for i, c := range b[:min(len(b), recordHeader+1)] {
		switch i {
		case 0:
			if c != recordHandshake {
				return Raw
			}
		case 1:
			if c != 3 {
				return Raw
			}
		case 2:
			if c > 4 {
				return Raw
			}
		case 4:
			if n := binary.BigEndian.Uint16(b[3:]); n == 0 || n > maxPlaintext {
				return Raw
			}
		case 5:
			if c != typeClientHello {
				return Raw
			}
			return TLS
		}
	}
	return Unknown
}

// ClientHello reads the names in the ClientHello that b begins with. more is
// true if it goes on beyond b; then err is nil. The hello may be spread over
// several records.
func ClientHello(b []byte) (h Hello, more bool, err error) {
	switch tlsKind(b) {
	case Raw:
		return Hello{}, false, ErrNotHello
	case Unknown:
		return Hello{}, true, nil
	}
	message, more, err := handshake(b[:min(len(b), MaxHello)])
	switch {
	case err != nil:
		return Hello{}, false, err
	case more && len(b) >= MaxHello:
		return Hello{}, false, ErrHelloTooLong
	case more:
		return Hello{}, true, nil
	}
	if h, ok := parseHello(message); ok {
		return h, false, nil
	}
	return Hello{}, false, ErrNotHello
}

// handshake joins the records' fragments of the first handshake message and
// returns its body.
func handshake(b []byte) (body []byte, more bool, err error) {
	var joined []byte
	for {
		if len(joined) >= 4 {
			n := int(joined[1])<<16 | int(joined[2])<<8 | int(joined[3])
			if n > MaxHello {
				return nil, false, ErrHelloTooLong
			}
			if len(joined) >= 4+n {
				return joined[4 : 4+n], false, nil
			}
		}
		if len(b) < recordHeader {
			return nil, true, nil
		}
		n := int(binary.BigEndian.Uint16(b[3:]))
		if b[0] != recordHandshake || b[1] != 3 || n == 0 || n > maxPlaintext {
			return nil, false, ErrNotHello
		}
		fragment := b[recordHeader:min(len(b), recordHeader+n)]
		if joined == nil {
			joined = fragment[:len(fragment):len(fragment)] // one record is the rule: no copy
		} else {
			joined = append(joined, fragment...)
		}
		b = b[recordHeader+len(fragment):]
		if len(fragment) < n {
			b = nil
		}
	}
}

// parseHello reads the body of a ClientHello (RFC 8446, 4.1.2). It reports
// false if a length leads outside of it.
func parseHello(b []byte) (Hello, bool) {
	var h Hello
	r := reader{b: b, ok: true}
	r.bytes(2 + 32) // version, random
	r.bytes(r.uint(1))
	r.bytes(r.uint(2)) // cipher suites
	r.bytes(r.uint(1)) // compression methods
	if len(r.b) == 0 {
		return h, r.ok // no extensions
	}
	extensions := reader{b: r.bytes(r.uint(2)), ok: r.ok}
	for extensions.ok && len(extensions.b) > 0 {
		kind := extensions.uint(2)
		data := reader{b: extensions.bytes(extensions.uint(2)), ok: extensions.ok}
		switch kind {
		case 0: // server_name (RFC 6066, 3)
			names := reader{b: data.bytes(data.uint(2)), ok: data.ok}
			for names.ok && len(names.b) > 0 {
				isHost := names.uint(1) == 0
				name := names.bytes(names.uint(2))
				if isHost && h.SNI == "" && isPrintable(name) {
					h.SNI = string(name)
				}
			}
			extensions.ok = extensions.ok && names.ok
		case 16: // ALPN (RFC 7301, 3.1)
			names := reader{b: data.bytes(data.uint(2)), ok: data.ok}
			for names.ok && len(names.b) > 0 {
				if name := names.bytes(names.uint(1)); names.ok {
					h.ALPN = append(h.ALPN, string(name))
				}
			}
			extensions.ok = extensions.ok && names.ok
		}
	}
	return h, r.ok && extensions.ok
}

// reader takes big-endian fields off b. After one that leads outside, ok is
// false and all that follows is empty.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.b, r.ok = nil, false
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) uint(size int) int {
	n := 0
	for _, c := range r.bytes(size) {
		n = n<<8 | int(c)
	}
	return n
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
