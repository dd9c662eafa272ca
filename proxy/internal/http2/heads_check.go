package http2

import (
	"strconv"
	"strings"
)

// Request is what the pseudo-header fields of a request say.
type Request struct {
	Method    string
	Scheme    string // "" of CONNECT
	Authority string // "" if there is none; a Host field may stand in its place
	Path      string // with the query; "" of CONNECT
	Protocol  string // of an extended CONNECT (RFC 8441), else ""
}

// ParseRequest checks a request's head (RFC 9113, 8.2 and 8.3) and returns its
// pseudo-header fields and the others, which are a part of fields. The error is
// an *[Error] of the stream.
func ParseRequest(stream uint32, fields []Field) (r Request, rest []Field, err error) {
	n := 0
	var seen [5]bool
	for ; n < len(fields) && fields[n].IsPseudo(); n++ {
		var to *string
		var which int
		switch fields[n].Name {
		case ":method":
			to, which = &r.Method, 0
		case ":scheme":
			to, which = &r.Scheme, 1
		case ":authority":
			to, which = &r.Authority, 2
		case ":path":
			to, which = &r.Path, 3
		case ":protocol":
			to, which = &r.Protocol, 4
		default:
			return r, nil, malformed(stream, "unknown pseudo-header field")
		}
		if seen[which] {
			return r, nil, malformed(stream, "pseudo-header field twice")
		}
		if !validValue(fields[n].Value) {
			return r, nil, malformed(stream, "bad character in a pseudo-header field")
		}
		seen[which] = true
		*to = fields[n].Value
	}
	rest = fields[n:]
	if reason := r.check(seen[:], rest); reason != "" {
		return r, nil, malformed(stream, reason)
	}
	if reason := checkFields(rest); reason != "" {
		return r, nil, malformed(stream, reason)
	}
	return r, rest, nil
}

// check returns what is wrong with a request's pseudo-header fields, "" for
// nothing.
func (r *Request) check(seen []bool, rest []Field) string {
	const scheme, path, protocol = 1, 3, 4
	if !isToken(r.Method) {
		return "bad or missing :method"
	}
	if strings.ContainsAny(r.Authority, " \t/?#@\\") {
		return "bad :authority"
	}
	if r.Method == "CONNECT" && !seen[protocol] {
		if seen[scheme] || seen[path] || r.Authority == "" {
			return "bad pseudo-header fields of CONNECT"
		}
		return ""
	}
	switch {
	case seen[protocol] && (r.Method != "CONNECT" || !isToken(r.Protocol)):
		return "bad :protocol"
	case r.Scheme == "":
		return "missing :scheme"
	case r.Path == "*" && r.Method == "OPTIONS":
	case !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " \t#"):
		return "bad or missing :path"
	}
	// A Host field has to agree with :authority (RFC 9113, 8.3.1): who judges by
	// one of them must not be passed by the other.
	hosts := 0
	for i := range rest {
		if rest[i].Name == "host" {
			hosts++
			if seen[2] && rest[i].Value != r.Authority || hosts > 1 {
				return "Host and :authority differ"
			}
		}
	}
	return ""
}

// ParseResponse checks a response's head, interim ones too, and returns its
// status and its other fields, which are a part of fields. The error is an
// *[Error] of the stream.
func ParseResponse(stream uint32, fields []Field) (status int, rest []Field, err error) {
	if len(fields) == 0 || fields[0].Name != ":status" {
		return 0, nil, malformed(stream, "missing :status")
	}
	status = parseStatus(fields[0].Value)
	if status < 100 || status == 101 {
		return 0, nil, malformed(stream, "bad :status")
	}
	rest = fields[1:]
	if reason := checkFields(rest); reason != "" {
		return 0, nil, malformed(stream, reason)
	}
	return status, rest, nil
}

// parseStatus returns the number that s is, of three digits, or zero.
func parseStatus(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || n < 100 {
		return 0
	}
	return n
}

// CheckTrailers checks what follows a body. The error is an *[Error] of the
// stream.
func CheckTrailers(stream uint32, fields []Field) error {
	if reason := checkFields(fields); reason != "" {
		return malformed(stream, reason)
	}
	return nil
}

// ContentLength returns the length that a head says its body has, -1 if it says
// none. Several that agree are one (RFC 9110, 8.6). The error is an *[Error] of
// the stream.
func ContentLength(stream uint32, fields []Field) (int64, error) {
	length := int64(-1)
	for i := range fields {
		if fields[i].Name != "content-length" {
			continue
		}
		n, err := strconv.ParseUint(fields[i].Value, 10, 63)
		if err != nil || length >= 0 && int64(n) != length {
			return 0, malformed(stream, "bad content-length")
		}
		length = int64(n)
	}
	return length, nil
}

// checkFields returns what is wrong with fields that are no pseudo-header
// fields, "" for nothing.
func checkFields(fields []Field) string {
	for i := range fields {
		f := &fields[i]
		if !validName(f.Name) {
			if f.IsPseudo() {
				return "pseudo-header field out of place"
			}
			return "bad field name"
		}
		if !validValue(f.Value) {
			return "bad character in a field value"
		}
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return "connection-specific field"
		case "te":
			if !strings.EqualFold(f.Value, "trailers") {
				return "te is not trailers"
			}
		}
	}
	return ""
}

// validName reports whether s is a field's name: a token without upper case.
func validName(s string) bool {
	for i := range len(s) {
		if class[s[i]]&(token|upper) != token {
			return false
		}
	}
	return s != ""
}

// isToken reports whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if class[s[i]]&token == 0 {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s may be a field's value: no control characters
// but the tab, and no white space around it (RFC 9113, 8.2.1).
func validValue(s string) bool {
	if s == "" {
		return true
	}
	for i := range len(s) {
		if class[s[i]]&control != 0 {
			return false
		}
	}
	first, last := s[0], s[len(s)-1]
	return first != ' ' && first != '\t' && last != ' ' && last != '\t'
}

// What a byte may be in names and values.
const (
	token   = 1 << iota // RFC 9110, 5.6.2
	upper               // a letter in upper case
	control             // a control character but the tab
)

var class = func() (t [256]byte) {
	for c := range 0x21 {
		t[c] = control
	}
	t['\t'], t[' '], t[0x7f] = 0, 0, control
	for c := 'a'; c <= 'z'; c++ {
		t[c] = token
		t[c-'a'+'A'] = token | upper
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = token
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = token
	}
	return t
}()

func malformed(stream uint32, reason string) *Error {
	return streamError(stream, ProtocolError, reason)
}
