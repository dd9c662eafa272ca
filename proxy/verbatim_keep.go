package proxy

import (
	"bytes"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// What a verbatim connection keeps for its observers comes from slabs, so that
// an exchange costs few allocations. They grow up to this, so that a connection
// that says little holds little.
const (
	headsSlab  = 8
	fieldsSlab = 32
)

// seenHead is a header block and what it says.
type seenHead struct {
	block []byte // nil: it may mean something else the next time
	head  *rules.Head
	kind  callKind // of a request

	service, method string // of a call
	format          codec.Codec
	encoding        string

	plan   planOf // of a request on a ruled connection
	isGRPC bool   // a response's head with no end: its messages are gRPC's
}

// begin begins a half with its head.
func (s *seenHead) begin(h *Half) {
	h.In, h.Out = s.head, s.head
	h.Body.Codec, h.Body.Encoding = s.format, s.encoding
}

// longestSeen bounds the blocks that are remembered.
const longestSeen = 64

// readHead decodes a header block. One whose fields are all in the tables, as
// most are on a connection that carries one call after the other, comes again as
// the same few bytes, and is not decoded again.
func (w *way) readHead(block []byte) (*seenHead, error) {
	if len(block) <= longestSeen {
		for i := range w.seen {
			if s := &w.seen[i]; s.block != nil && bytes.Equal(s.block, block) {
				return s, nil
			}
		}
	}
	if allow := w.allow.Load(); allow > w.table {
		// Once allowed is allowed: the receiver judges, and knows when its
		// settings came into force.
		w.table = allow
		w.heads.AllowTable(allow)
	}
	fields, err := w.heads.Decode(block)
	if err != nil {
		return nil, err
	}
	s := &w.unseen
	*s = seenHead{}
	if !http2.Indexed(block) {
		clear(w.seen[:]) // the tables may have changed
	} else if len(block) <= longestSeen {
		s = &w.seen[w.next]
		w.next = (w.next + 1) % len(w.seen)
		*s = seenHead{block: bytes.Clone(block)}
	}
	if w.v.observed {
		w.describeHead(s, fields)
	}
	return s, nil
}

// describeHead fills in what a head says.
func (w *way) describeHead(s *seenHead, fields []http2.Field) {
	if len(w.slab) == 0 {
		w.slab = make([]rules.Head, min(2*w.slabbed+1, headsSlab))
	}
	s.head, w.slab = &w.slab[0], w.slab[1:]
	w.slabbed = min(w.slabbed+1, headsSlab)
	w.fillHead(s.head, fields)
	if w.from == OriginCaller {
		if s.kind = callKindOf(s.head, HTTP2); s.kind != callNone {
			s.service, s.method = splitMethod(s.head.Path)
		}
	}
	s.format = w.format(s.head.Fields.Get("content-type"))
	s.encoding = s.head.Fields.Get("content-encoding")
}

// fillHead fills in a head. It takes whatever the peers say to each other.
func (w *way) fillHead(h *rules.Head, fields []http2.Field) {
	n := 0
	host := ""
	for i := range fields {
		f := &fields[i]
		switch f.Name {
		case ":method":
			h.Method = f.Value
		case ":authority":
			h.Host = f.Value
		case ":path":
			h.Path, h.Query, _ = strings.Cut(f.Value, "?")
		case ":status":
			h.Status = statusOf(f.Value)
		case "host":
			host = f.Value
		default:
			if endToEndName(f.Name) {
				n++
			}
		}
	}
	if h.Host == "" {
		h.Host = host
	}
	if cap(w.fields)-len(w.fields) < n {
		w.fields = make(rules.Fields, 0, max(n, min(2*cap(w.fields), fieldsSlab)))
	}
	from := len(w.fields)
	for i := range fields {
		if endToEndName(fields[i].Name) {
			w.fields = append(w.fields, rules.Field{Name: fields[i].Name, Value: fields[i].Value})
		}
	}
	h.Fields = w.fields[from:len(w.fields):len(w.fields)]
}

// endToEndName reports whether heads show a field of that name: those of
// hopByHop do not belong to the message, and those that begin with a colon are
// elsewhere.
func endToEndName(name string) bool {
	if name == "" {
		return true
	}
	switch name[0] {
	case ':':
		return false
	case 'c':
		return name != "content-length" && name != "connection"
	case 'h':
		return name != "host"
	case 't':
		return name != "trailer" && name != "transfer-encoding"
	case 'k':
		return name != "keep-alive"
	case 'p':
		return name != "proxy-connection"
	case 'u':
		return name != "upgrade"
	}
	return true
}

// statusOf is a status of three digits, else 0.
func statusOf(s string) int {
	if len(s) != 3 {
		return 0
	}
	n := 0
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// mediaFormat is a content type that was looked up.
type mediaFormat struct {
	contentType string
	codec       codec.Codec
}

// format is the codec of a content type, nil if there is none. A connection
// carries few different ones.
func (w *way) format(contentType string) codec.Codec {
	if contentType == "" {
		return nil
	}
	for i := range w.media {
		if w.media[i].contentType == contentType {
			return w.media[i].codec
		}
	}
	found, _ := w.v.c.p.Codecs.ByContentType(contentType)
	w.media[1] = w.media[0]
	w.media[0] = mediaFormat{contentType, found}
	return found
}
