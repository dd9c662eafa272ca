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
	// At has the index in Fields of the last field of each kind, plus one.
	at [kinds]uint16

	hasClose, hasKeepAlive, listsUpgrade bool

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

// Hop reports whether field i concerns this connection only and not the
// message (RFC 9110, 7.6.1), by its kind or because Connection lists it. TE is
// not among them: gRPC servers ask for `te: trailers`.
func (h *Head) Hop(i int) bool {
	f := &h.Fields[i]
	if f.Kind.hop() {
		return true
	}
	if !h.Listed || f.Kind == TE {
		return false
	}
	for j := range h.Fields {
		if h.Fields[j].Kind == Connection && lists(h.Fields[j].Value, f.Name) {
			return true
		}
	}
	return false
}

// lists reports whether the comma-separated list value has the element name.
func lists(value, name []byte) bool {
	for len(value) > 0 {
		var element []byte
		element, value = cutElement(value)
		if sameFold(element, name) {
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

// again makes h ready for another head, in b.
func (h *Head) again(b []byte, response bool) {
	fields := h.Fields[:0]
	if cap(fields) == 0 {
		fields = make([]Field, 0, 16)
	}
	*h = Head{Fields: fields, Framing: Framing{Length: -1, response: response}, base: &b[0], response: response}
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
// the head with it. n is 0 if it has not come yet.
func (h *Head) readFields(b []byte, limits *Limits) (n int, err error) {
	whole := len(b)
	if whole > limits.Head {
		b = b[:limits.Head]
	}
	pos, from := h.pos, min(max(h.pos, h.seen), len(b))
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			if whole >= limits.Head {
				return 0, h.refuse(reasonHeadTooLarge, limits.Head)
			}
			h.pos, h.seen = pos, len(b)
			return 0, nil
		}
		next := from + i + 1
		line := b[pos:next]
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return 0, h.refuse(reasonBareLF, next-1)
		}
		if len(line) == 2 {
			h.Raw = b[h.start:next]
			h.base = nil
			return next, nil
		}
		if len(h.Fields) == limits.Fields {
			return 0, h.refuse(reasonTooManyFields, pos)
		}
		var f Field
		if reason, at := f.parse(line); reason != "" {
			return 0, h.refuse(reason, pos+at)
		}
		h.Fields = append(h.Fields, f)
		if f.Kind != Other {
			if reason := h.know(&f); reason != "" {
				return 0, h.refuse(reason, pos)
			}
		}
		pos, from = next, next
	}
}

// parse splits line, which ends with its CRLF. reason is "" if all is well,
// else what is wrong with the byte at.
func (f *Field) parse(line []byte) (reason string, at int) {
	colon := 0
	for classes[line[colon]]&tokenByte != 0 { // ends at the CR at the latest
		colon++
	}
	if line[colon] != ':' || colon == 0 {
		return badName(line, colon), colon
	}
	from, to := colon+1, len(line)-2
	for from < to && isOWS(line[from]) {
		from++
	}
	for to > from && isOWS(line[to-1]) {
		to--
	}
	f.Name, f.Value, f.Line = line[:colon], line[from:to], line
	if i := badValue(f.Value); i >= 0 {
		return reasonOf(f.Value[i], reasonControl), from + i
	}
	f.Kind = kindOf(f.Name)
	return "", 0
}

// badName says why no field name ends at i of line.
func badName(line []byte, i int) string {
	colon := bytes.IndexByte(line, ':')
	switch {
	case i == 0 && isOWS(line[0]):
		return reasonObsFold
	case colon < 0 && i == len(line)-2:
		return reasonNoColon
	case isOWS(line[i]) && len(bytes.TrimRight(line[:max(colon, 0)], " \t")) == i:
		return reasonSpaceBeforeColon
	}
	return reasonOf(line[i], reasonName)
}
