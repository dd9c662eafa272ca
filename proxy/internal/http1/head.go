package http1

import "bytes"

// Field is one field line as it came. All three are subslices of the buffer
// that was parsed.
type Field struct {
	Name  []byte // a token, in the sender's spelling
	Value []byte // without the white space around it; may be empty
	Line  []byte // the whole line with its CRLF
	Kind  FieldKind
}

// Head is what request and response heads have in common. It is valid as long
// as the buffer that was parsed is.
type Head struct {
	Raw     []byte // from the first byte of the start line to the empty line, which is included
	Line    []byte // the start line without its CRLF
	Minor   int    // of HTTP/1.Minor: 0 or 1
	Fields  []Field
	Framing      // of the body that follows
	Close   bool // the sender ends the connection after this exchange
	Upgrade bool // Upgrade is there and Connection lists it; never in HTTP/1.0 (RFC 9110, 7.8)
	// Listed: Connection lists a name besides close, keep-alive, upgrade and te,
	// and the fields of such names belong to this hop, as [Head.Hop] says.
	Listed bool
	// AcceptsTrailers: TE lists trailers.
	AcceptsTrailers bool
	// at has the index in Fields of the last field of each kind, plus one.
	at [kinds]uint16

	hasClose, hasKeepAlive, listsUpgrade bool
	options                              int // elements of Connection so far

	// How far a head that is not whole has got. base is the first byte of the
	// buffer, nil before the first call and after the last.
	base     *byte
	start    int // of the start line, behind empty lines
	pos      int // of the line that is not whole
	seen     int // bytes from pos to here hold no LF
	response bool
}

// Index is the place in Fields of the last field of kind k, or -1.
func (h *Head) Index(k FieldKind) int { return int(h.at[k]) - 1 }

// Get is the value of the last field of kind k; nil if there is none.
func (h *Head) Get(k FieldKind) []byte {
	if i := h.Index(k); i >= 0 {
		return h.Fields[i].Value
	}
	return nil
}

// Lists reports whether one of the fields of kind k, whose values are lists,
// has the element, which is in lower case. Case does not matter in them.
func (h *Head) Lists(k FieldKind, element string) bool {
	if h.at[k] == 0 {
		return false
	}
	for i := range h.Fields {
		if h.Fields[i].Kind == k && lists(h.Fields[i].Value, element) {
			return true
		}
	}
	return false
}

// Hop reports whether field i concerns this connection only and not the
// message (RFC 9110, 7.6.1), by its kind or because Connection lists it.
// Content-Length counts as framing, which is the connection's. TE does not:
// gRPC servers ask for `te: trailers`.
func (h *Head) Hop(i int) bool {
	f := &h.Fields[i]
	if f.Kind.hop() {
		return true
	}
	if !h.Listed || f.Kind == TE {
		return false
	}
	for j := range h.Fields {
		if h.Fields[j].Kind == Connection && listsName(h.Fields[j].Value, f.Name) {
			return true
		}
	}
	return false
}

// lists reports whether the comma-separated list value has the element, which
// is in lower case.
func lists(value []byte, element string) bool {
	for len(value) > 0 {
		var e []byte
		if e, value = cutElement(value); equalFold(e, element) {
			return true
		}
	}
	return false
}

// listsName is lists for a name in any case.
func listsName(value, name []byte) bool {
	for len(value) > 0 {
		var e []byte
		if e, value = cutElement(value); sameFold(e, name) {
			return true
		}
	}
	return false
}

func cutElement(list []byte) (element, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return trimOWS(list[:i]), list[i+1:]
	}
	return trimOWS(list), nil
}

// resumes reports whether b is the buffer of the last call, grown in place.
func (h *Head) resumes(b []byte) bool {
	return h.base != nil && len(b) >= h.seen && &b[0] == h.base
}

// begin makes h, which is zero but for Fields, ready for a head in b.
func (h *Head) begin(b []byte, response bool) {
	if cap(h.Fields) == 0 {
		h.Fields = make([]Field, 0, 16)
	}
	h.base, h.response = &b[0], response
	h.Framing = Framing{Length: -1, response: response}
}

// emptied is Fields without what it points to, for another time.
func (h *Head) emptied() []Field {
	if cap(h.Fields) > 32 {
		return nil
	}
	clear(h.Fields[:cap(h.Fields)])
	return h.Fields[:0]
}

// refuse ends the parse: the next one starts anew.
func (h *Head) refuse(reason string, offset int) error {
	h.base = nil
	return fault(h.response, reason, int64(offset))
}

// readStartLine takes the start line. ok is false if it is not whole yet.
func (h *Head) readStartLine(b []byte, limits *Limits) (ok bool, err error) {
	from := max(h.pos, h.seen)
	i := bytes.IndexByte(b[from:], '\n')
	if i < 0 {
		h.seen = len(b)
		switch {
		case len(b)-h.pos > limits.Line+1: // one may be its CR
			return false, h.refuse(reasonLineTooLong, h.pos+limits.Line)
		case len(b) >= limits.Head:
			return false, h.refuse(reasonHeadTooLarge, limits.Head)
		}
		return false, nil
	}
	end := from + i
	switch {
	case end == h.pos || b[end-1] != '\r':
		return false, h.refuse(reasonBareLF, end)
	case end-1-h.pos > limits.Line:
		return false, h.refuse(reasonLineTooLong, h.pos+limits.Line)
	}
	h.start, h.Line = h.pos, b[h.pos:end-1]
	h.pos, h.seen = end+1, end+1
	return true, nil
}

// readFields takes field lines up to the empty line, and returns the length of
// the head with it. n is 0 if it has not come yet. A line is judged once it is
// whole, so that the reason does not depend on how the bytes came.
func (h *Head) readFields(b []byte, limits *Limits) (n int, err error) {
	whole := len(b)
	if whole > limits.Head {
		b = b[:limits.Head]
	}
	pos := h.pos
	if h.seen > pos && bytes.IndexByte(b[min(h.seen, len(b)):], '\n') < 0 {
		return 0, h.wait(b, pos, whole, limits)
	}
	for pos < len(b) {
		if len(b)-pos >= 2 && b[pos] == '\r' && b[pos+1] == '\n' {
			n = pos + len("\r\n")
			h.Raw = b[h.start:n]
			h.base = nil
			return n, nil
		}
		f := h.nextField()
		took, reason, at := f.parse(b[pos:])
		if took == 0 {
			h.Fields = h.Fields[:len(h.Fields)-1]
			if reason != "" {
				return 0, h.refuse(reason, pos+at)
			}
			break
		}
		if len(h.Fields) > limits.Fields {
			return 0, h.refuse(reasonTooManyFields, pos)
		}
		if f.Kind != Other {
			if reason := h.know(f); reason != "" {
				return 0, h.refuse(reason, pos)
			}
		}
		pos += took
	}
	return 0, h.wait(b, pos, whole, limits)
}

// wait notes that the line at pos is not whole in b, which is what of the
// bytes so far can be head.
func (h *Head) wait(b []byte, pos, whole int, limits *Limits) error {
	if whole >= limits.Head {
		return h.refuse(reasonHeadTooLarge, limits.Head)
	}
	h.pos, h.seen = pos, len(b)
	return nil
}

// nextField is a new field at the end of Fields, to be filled where it is.
func (h *Head) nextField() *Field {
	n := len(h.Fields)
	if n == cap(h.Fields) {
		h.Fields = append(h.Fields, Field{})
	} else {
		h.Fields = h.Fields[:n+1]
	}
	return &h.Fields[n]
}

// parse reads the field line that b begins with, n bytes with its CRLF. If n is
// 0, either the line is not whole, or reason says what is wrong with the byte
// at.
func (f *Field) parse(b []byte) (n int, reason string, at int) {
	i := 0
	for i < len(b) && classes[b[i]]&tokenByte != 0 {
		i++
	}
	if i == len(b) || i == 0 || b[i] != ':' {
		reason = badName(b, i)
		return 0, reason, i
	}
	f.Name = b[:i]
	i++
	for i < len(b) && isOWS(b[i]) {
		i++
	}
	from := i
	i = valueEnd(b, i)
	if len(b)-i < 2 || b[i] != '\r' || b[i+1] != '\n' {
		if lineEnd(b) == 0 {
			return 0, "", 0 // not whole
		}
		return 0, reasonOf(b[i], reasonControl), i
	}
	to := i
	for to > from && isOWS(b[to-1]) {
		to--
	}
	n = i + len("\r\n")
	f.Value, f.Line, f.Kind = b[from:to], b[:n], kindOf(f.Name)
	return n, "", 0
}

// badName says why no field name ends at i of the line that b begins with; ""
// while the line is not whole.
func badName(b []byte, i int) (reason string) {
	line := b[:lineEnd(b)]
	if len(line) == 0 {
		return ""
	}
	colon := bytes.IndexByte(line, ':')
	switch {
	case i == 0 && isOWS(line[0]):
		return reasonObsFold
	case colon < 0 && string(line[i:]) == "\r\n":
		return reasonNoColon
	case colon > 0 && isOWS(line[i]) && len(bytes.TrimRight(line[:colon], " \t")) == i:
		return reasonSpaceBeforeColon
	}
	return reasonOf(line[i], reasonName)
}

// lineEnd is the length of the line that b begins with, its LF included, and 0
// if it is not whole.
func lineEnd(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }
