package http1

import "bytes"

// Form is the form of a request target (RFC 9112, 3.2).
type Form uint8

// The forms.
const (
	Origin        Form = iota // /path?query
	Absolute                  // scheme://authority/path?query
	AuthorityOnly             // host:port, with CONNECT
	Asterisk                  // *, with OPTIONS
)

// ValidTarget reports whether a request of this method can have this target.
func ValidTarget(method, target string) bool {
	r := Request{Method: []byte(method), Target: []byte(target)}
	return all(target, targetByte) && r.splitTarget()
}

// splitTarget takes Target apart. All its bytes are of targetByte.
func (r *Request) splitTarget() (ok bool) {
	target := r.Target
	if string(r.Method) == "CONNECT" {
		r.Form, r.Authority = AuthorityOnly, target
		name, port := splitPort(target)
		return validAuthority(target) && len(name) > 0 && len(port) > 0
	}
	switch {
	case len(target) == 0:
		return false
	case target[0] == '/':
		r.splitQuery(target)
		return true
	case string(target) == "*":
		r.Form, r.Path = Asterisk, target
		return string(r.Method) == "OPTIONS"
	}
	r.Form = Absolute
	return r.splitAbsolute()
}

func (r *Request) splitAbsolute() (ok bool) {
	scheme, rest, found := bytes.Cut(r.Target, []byte("://"))
	if !found || !validScheme(scheme) {
		return false
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.Authority = rest[:end]
	r.splitQuery(rest[end:])
	name, _ := splitPort(r.Authority)
	return len(name) > 0 && validAuthority(r.Authority)
}

func (r *Request) splitQuery(b []byte) {
	r.Path = b
	if i := bytes.IndexByte(b, '?'); i >= 0 {
		r.Path, r.Query, r.HasQuery = b[:i], b[i+1:], true
	}
}

func validScheme(b []byte) bool {
	for i, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return len(b) > 0
}

// validAuthority reports whether b is host or host:port. User information is
// refused (RFC 9110, 4.2.4), and so are escapes in names, which readers undo
// or not.
func validAuthority(b []byte) bool {
	name, port := splitPort(b)
	for _, c := range port {
		if !isDigit(c) {
			return false
		}
	}
	if len(name) > 0 && name[0] == '[' {
		return len(name) > 2 && name[len(name)-1] == ']' && validAddress(name[1:len(name)-1])
	}
	return len(name) > 0 && run(name, hostByte) == len(name)
}

// validAddress reports whether b has only bytes of an IPv6 address with a zone
// or not. Whether it is one does not change where anything ends.
func validAddress(b []byte) bool {
	address, zone, found := bytes.Cut(b, []byte("%"))
	for _, c := range address {
		if classes[c]&hexByte == 0 && c != ':' && c != '.' {
			return false
		}
	}
	return len(address) > 1 && (!found || len(zone) > 0 && run(zone, hostByte) == len(zone))
}

// splitPort cuts the port off an authority. An address in brackets keeps them.
func splitPort(b []byte) (name, port []byte) {
	i := bytes.LastIndexByte(b, ':')
	if i < 0 || bytes.IndexByte(b[i:], ']') >= 0 {
		return b, nil
	}
	return b[:i], b[i+1:]
}
