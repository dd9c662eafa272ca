package http1

import "bytes"

// maxEmptyLines may stand before a request line: old callers send one after a
// body (RFC 9112, 2.2).
const maxEmptyLines = 4

// Request is the head of a request.
type Request struct {
	Head
	Method, Target []byte
	Form           Form
	Path           []byte // of Target, escaped as it came, without the query; "*" of the asterisk form, empty with CONNECT
	Query          []byte // of Target, behind the question mark
	HasQuery       bool   // there is a question mark
	// Authority is whom the request is for: what Target says, else Host. Empty
	// if neither does.
	Authority      []byte
	ExpectContinue bool // and the sender may wait for a 100; never in HTTP/1.0 (RFC 9110, 10.1.1)
}

// Reset forgets everything, a head that is not whole included, and lets go of
// the buffer. Call it before r is used for another connection.
func (r *Request) Reset() {
	*r = Request{Head: Head{Fields: r.emptied()}}
}

// Parse reads the head that b begins with, and returns the number of its bytes.
// n counts empty lines before the request line; Raw leaves them out. If the
// head is not whole yet, n is 0 and err nil: call again with the same bytes
// and more behind them. Grown in place (the first byte at the same address),
// the bytes are not looked at again but for the last line's; elsewhere, they
// are parsed anew, so a buffer that doubles costs nothing that counts. After a
// head or an error, the next call starts anew. An error is an [*Error].
func (r *Request) Parse(b []byte, limits Limits) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	limits = limits.withDefaults()
	if !r.resumes(b) {
		*r = Request{Head: Head{Fields: r.Fields[:0]}}
		r.begin(b, false)
	}
	if r.Line == nil {
		if ok, err := r.skipEmptyLines(b); !ok {
			return 0, err
		}
		if ok, err := r.readStartLine(b, &limits); !ok {
			return 0, err
		}
		if reason, at := r.parseLine(); reason != "" {
			return 0, r.refuse(reason, r.start+at)
		}
	}
	n, err = r.readFields(b, &limits)
	if n == 0 {
		return 0, err
	}
	if reason := r.settle(); reason != "" {
		return 0, r.refuse(reason, n)
	}
	return n, nil
}

// skipEmptyLines moves to the request line. ok is false if it has not begun.
func (r *Request) skipEmptyLines(b []byte) (ok bool, err error) {
	for r.pos < len(b) && b[r.pos] == '\r' {
		switch {
		case len(b) == r.pos+1:
			return false, nil
		case b[r.pos+1] != '\n':
			return false, r.refuse(reasonBareCR, r.pos)
		case r.pos == 2*maxEmptyLines:
			return false, r.refuse(reasonEmptyLines, r.pos)
		}
		r.pos += 2
	}
	return r.pos < len(b), nil
}

// parseLine splits the request line: method, target and version, one space
// between them and nothing else (RFC 9112, 3).
func (r *Request) parseLine() (reason string, at int) {
	line := r.Line
	m := run(line, tokenByte)
	switch {
	case m == len(line):
		return reasonRequestLine, m
	case m == 0 || line[m] != ' ':
		return reasonOf(line[m], reasonMethod), m
	case !validMethod(line[:m]):
		return reasonMethod, 0
	}
	t := m + 1 + run(line[m+1:], targetByte)
	if t == len(line) {
		return reasonRequestLine, t
	}
	if line[t] != ' ' || t == m+1 {
		return reasonOf(line[t], reasonTarget), t
	}
	r.Method, r.Target = line[:m], line[m+1:t]
	version := line[t+1:]
	switch {
	case string(version) == "HTTP/1.1":
		r.Minor = 1
	case string(version) == "HTTP/1.0":
		r.Minor = 0
	default:
		return badVersion(version), t + 1
	}
	if !r.splitTarget() {
		return reasonTarget, m + 1
	}
	return "", 0
}

// ValidMethod reports whether a request can have this method.
func ValidMethod(s string) bool { return ValidName(s) && validMethod([]byte(s)) }

// validMethod judges a token. The preface of HTTP/2 is not a request (RFC 9113,
// 3.4). HEAD and CONNECT change how the answer is framed, and methods are
// case-sensitive to some servers only.
func validMethod(m []byte) bool {
	switch len(m) {
	case len("PRI"):
		return string(m) != "PRI"
	case len("HEAD"):
		return string(m) == "HEAD" || !equalFold(m, "head")
	case len("CONNECT"):
		return string(m) == "CONNECT" || !equalFold(m, "connect")
	}
	return true
}

// badVersion parts a version that is not spoken here from what is none.
func badVersion(v []byte) (reason string) {
	if len(v) == len("HTTP/1.1") && string(v[:5]) == "HTTP/" && v[6] == '.' && isDigit(v[5]) && isDigit(v[7]) {
		return reasonVersion
	}
	for _, c := range v {
		if reason := reasonOf(c, ""); reason != "" {
			return reason
		}
	}
	return reasonRequestLine
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// settle judges what only the whole head tells.
func (r *Request) settle() (reason string) {
	if reason := r.Head.settle(); reason != "" {
		return reason
	}
	if r.at[Host] == 0 {
		if r.Minor == 1 {
			return reasonMissingHost
		}
	} else {
		host := r.Get(Host)
		switch {
		case len(host) > 0 && !validAuthority(host):
			return reasonHost
		case r.Form == Origin || r.Form == Asterisk:
			r.Authority = host
		case !r.sameAuthority(host):
			return reasonHostMismatch
		}
	}
	if r.Form == AuthorityOnly && (r.Framing.Kind == Chunked || r.Length > 0) {
		return reasonUnexpectedBody // bytes behind the head are the tunnel's (RFC 9110, 9.3.6)
	}
	r.ExpectContinue = r.Minor == 1 && r.at[Expect] != 0 && equalFold(r.Get(Expect), "100-continue")
	return ""
}

// sameAuthority reports whether host names whom the target names. A server
// would go by the target (RFC 9112, 3.2.2), but not all do.
func (r *Request) sameAuthority(host []byte) bool {
	name, port := splitPort(host)
	targetName, targetPort := splitPort(r.Authority)
	if !sameFold(name, targetName) {
		return false
	}
	if bytes.Equal(port, targetPort) {
		return true
	}
	if r.Form == AuthorityOnly {
		return len(port) == 0 // some leave it out
	}
	scheme, _, _ := bytes.Cut(r.Target, []byte(":"))
	return isDefault(scheme, port) && isDefault(scheme, targetPort)
}

// isDefault reports whether port is what scheme means anyway.
func isDefault(scheme, port []byte) bool {
	switch string(port) {
	case "":
		return true
	case "80":
		return equalFold(scheme, "http")
	case "443":
		return equalFold(scheme, "https")
	}
	return false
}
