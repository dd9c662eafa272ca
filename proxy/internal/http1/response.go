package http1

// Response is the head of a response.
type Response struct {
	Head
	Status int    // 100 to 999
	Reason []byte // may be empty
}

// Reset forgets everything, a head that is not whole included, and lets go of
// the buffer. Call it before r is used for another connection.
func (r *Response) Reset() {
	*r = Response{Head: Head{Fields: r.emptied()}}
}

// Parse reads the head that b begins with, as an answer to a request of the
// given method, and returns the number of its bytes. All else is as with
// [Request.Parse], but for empty lines, of which there may be none. A 1xx is a
// head like others: what is not 101 is followed by another one.
func (r *Response) Parse(b []byte, limits Limits, method string) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	limits = limits.withDefaults()
	if !r.resumes(b) {
		*r = Response{Head: Head{Fields: r.Fields[:0]}}
		r.begin(b, true)
	}
	if r.Line == nil {
		if want := "HTTP/"; string(b[:min(len(b), len(want))]) != want[:min(len(b), len(want))] {
			return 0, r.refuse(reasonStatusLine, 0) // at once: a line end may never come
		}
		if ok, err := r.readStartLine(b, &limits); !ok {
			return 0, err
		}
		if reason, at := r.parseLine(); reason != "" {
			return 0, r.refuse(reason, at)
		}
	}
	n, err = r.readFields(b, &limits)
	if n == 0 {
		return 0, err
	}
	if reason := r.settle(method); reason != "" {
		return 0, r.refuse(reason, n)
	}
	return n, nil
}

// parseLine splits the status line. The space before an empty reason phrase
// may be missing, as many servers leave it out.
func (r *Response) parseLine() (reason string, at int) {
	line := r.Line
	const version = len("HTTP/1.1")
	if i := valueEnd(line, 0); i < len(line) {
		return reasonOf(line[i], reasonControl), i
	}
	if len(line) < version+len(" 200") || line[version] != ' ' {
		return reasonStatusLine, 0
	}
	switch string(line[:version]) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
		r.Minor = 0
	default:
		if badVersion(line[:version]) == reasonVersion {
			return reasonVersion, 0
		}
		return reasonStatusLine, 0
	}
	code, rest := line[version+1:version+4], line[version+4:]
	for _, c := range code {
		if !isDigit(c) {
			return reasonStatusLine, version + 1
		}
	}
	r.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	if r.Status < 100 || len(rest) > 0 && rest[0] != ' ' {
		return reasonStatusLine, version + 1
	}
	if len(rest) > 0 {
		r.Reason = rest[1:]
	}
	return "", 0
}

// settle judges what only the whole head tells.
func (r *Response) settle(method string) (reason string) {
	if reason := r.Head.settle(); reason != "" {
		return reason
	}
	switch {
	case r.Status < 200 || r.Status == 204:
		// Neither may say that a body follows (RFC 9110, 8.6; RFC 9112, 6.1).
		// Saying that none does is common and harmless.
		if r.Framing.Kind == Chunked || r.Length > 0 {
			return reasonUnexpectedBody
		}
		r.Framing.Kind = None
	case method == "HEAD", r.Status == 304, method == "CONNECT" && r.Status < 300:
		r.Framing.Kind = None // whatever the fields say (RFC 9112, 6.3)
	case r.Framing.Kind == None:
		r.Framing.Kind = UntilClose
		r.Close = true
	}
	return ""
}
