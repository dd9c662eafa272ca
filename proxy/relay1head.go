package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/http1"
	"github.com/sluice-proxy/sluice/rules"
)

// heads1 are the heads of an exchange as rules see them, in wire order and
// spelling. They are used again.
type heads1 struct {
	request, response rules.Head
	room              [20]rules.Field // for the fields of both
	used              int
}

func (h *heads1) reset() {
	clear(h.room[:h.used])
	h.request, h.response, h.used = rules.Head{}, rules.Head{}, 0
}

func (h *heads1) setRequest(q *http1.Request) *rules.Head {
	s := slicer{raw: string(q.Raw), of: q.Raw}
	h.request = rules.Head{
		Method: s.cut(q.Method),
		Path:   s.cut(q.Path),
		Query:  s.cut(q.Query),
		Host:   s.cut(q.Authority),
		Fields: h.fields(&s, &q.Head, true),
	}
	return &h.request
}

func (h *heads1) setResponse(p *http1.Response) *rules.Head {
	s := slicer{raw: string(p.Raw), of: p.Raw}
	h.response = rules.Head{Status: p.Status, Fields: h.fields(&s, &p.Head, false)}
	return &h.response
}

func (h *heads1) fields(s *slicer, from *http1.Head, request bool) rules.Fields {
	room := h.room[h.used:h.used]
	for i := range from.Fields {
		if endToEnd1(from, i, request) {
			f := &from.Fields[i]
			room = append(room, rules.Field{Name: s.cut(f.Name), Value: s.cut(f.Value)})
		}
	}
	h.used = min(h.used+len(room), len(h.room))
	return room[:len(room):len(room)]
}

// slicer turns slices of a head's bytes into parts of one string.
type slicer struct {
	raw string
	of  []byte
}

func (s *slicer) cut(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	from := cap(s.of) - cap(b) // both are slices of one array, to its end
	return s.raw[from : from+len(b)]
}

// endToEnd1 reports whether rules see field i of a head: not those of this hop,
// nor Host, which has a place of its own.
func endToEnd1(h *http1.Head, i int, request bool) bool {
	return !h.Hop(i) && (!request || h.Fields[i].Kind != http1.Host)
}

// changes1 are the changes of a head, line by line. The zero value is none.
type changes1 struct {
	line  []byte // the new start line, nil if it stays
	edits []http1.LineEdit
}

func (c *changes1) none() bool { return c.line == nil && len(c.edits) == 0 }

func (c *changes1) set(h *http1.Head, kind http1.FieldKind, name, value string) {
	index := h.Index(kind)
	if index < 0 {
		index = len(h.Fields)
	}
	c.edits = append(c.edits, http1.LineEdit{Index: index, Name: name, Value: value})
}

func (c *changes1) remove(h *http1.Head, kind http1.FieldKind) {
	for i := range h.Fields {
		if h.Fields[i].Kind == kind {
			c.edits = append(c.edits, http1.LineEdit{Index: i, Remove: true})
		}
	}
}

// chunk declares a body in chunks in the place of one of a length.
func (c *changes1) chunk(h *http1.Head) {
	c.remove(h, http1.ContentLength)
	c.set(h, http1.TransferEncoding, "Transfer-Encoding", "chunked")
}

// fields adds what the steps changed between in and out: of the values of a
// name, those that differ, each in the place of the old one.
func (c *changes1) fields(h *http1.Head, in, out rules.Fields, request bool) {
	lines := make([]int, 0, len(in)) // of in's fields
	for i := range h.Fields {
		if endToEnd1(h, i, request) {
			lines = append(lines, i)
		}
	}
	for i, f := range in {
		if firstOf(in, i) {
			c.name(f.Name, in, out, lines, len(h.Fields))
		}
	}
	for i, f := range out {
		if firstOf(out, i) && !in.Has(f.Name) {
			c.name(f.Name, in, out, lines, len(h.Fields))
		}
	}
}

// firstOf reports whether no field before i has its name.
func firstOf(fields rules.Fields, i int) bool { return !fields[:i].Has(fields[i].Name) }

// name adds what changed of one name's values.
func (c *changes1) name(name string, in, out rules.Fields, lines []int, end int) {
	next := 0 // in out
	find := func() *rules.Field {
		for ; next < len(out); next++ {
			if strings.EqualFold(out[next].Name, name) {
				next++
				return &out[next-1]
			}
		}
		return nil
	}
	for i := range in {
		if !strings.EqualFold(in[i].Name, name) {
			continue
		}
		line := lines[i]
		switch to := find(); {
		case to == nil:
			c.edits = append(c.edits, http1.LineEdit{Index: line, Remove: true})
		case to.Value != in[i].Value:
			c.edits = append(c.edits, http1.LineEdit{Index: line, Value: to.Value})
		}
	}
	for to := find(); to != nil; to = find() {
		c.edits = append(c.edits, http1.LineEdit{Index: end, Name: http.CanonicalHeaderKey(to.Name), Value: to.Value})
	}
}

// requestChanges are what becomes of the request's head on its way.
func (x *exchange1) requestChanges() changes1 {
	var c changes1
	h, in, out := &x.head1, x.request.in, x.request.out
	if out != in {
		if out.Method != in.Method || out.Path != in.Path || out.Query != in.Query || out.Host != in.Host {
			c.line = http1.AppendRequestLine(nil, out.Method, target1(h, in, out), h.Minor)
		}
		if out.Host != in.Host {
			c.set(&h.Head, http1.Host, "Host", out.Host)
		}
		c.fields(&h.Head, in.Fields, out.Fields, true)
	}
	switch b := &x.request.body; {
	case b.messages != nil && h.Kind == http1.Length:
		c.chunk(&h.Head)
	case b.isEdited && h.Kind != http1.Chunked:
		c.set(&h.Head, http1.ContentLength, "Content-Length", strconv.Itoa(len(b.edited)))
	}
	if h.Listed && x.touchable() {
		for i := range h.Fields { // rules do not see them, so nobody shall
			if h.Fields[i].Kind == http1.Other && h.Hop(i) {
				c.edits = append(c.edits, http1.LineEdit{Index: i, Remove: true})
			}
		}
	}
	if h.Upgrade && lists([]string{string(h.Get(http1.UpgradeField))}, "h2c") && x.touchable() {
		// What follows would talk itself past the rules.
		c.remove(&h.Head, http1.UpgradeField)
		c.remove(&h.Head, http1.HTTP2Settings)
		c.remove(&h.Head, http1.Connection)
		if h.Close {
			c.edits = append(c.edits, http1.LineEdit{Index: len(h.Fields), Name: "Connection", Value: "close"})
		}
	}
	return c
}

// target1 is the request target with what the steps changed, in its form.
func target1(h *http1.Request, in, out *rules.Head) string {
	if out.Method == http.MethodConnect {
		return out.Host
	}
	target := out.Path
	switch {
	case out.Query != "" || h.HasQuery && out.Query == in.Query:
		target += "?" + out.Query
	}
	if scheme, _, ok := strings.Cut(string(h.Target), "://"); ok && h.Target[0] != '/' {
		target = scheme + "://" + out.Host + target
	}
	return target
}

// responseChanges are what becomes of the response's head on its way.
func (x *exchange1) responseChanges() changes1 {
	var c changes1
	h, in, out := &x.reply1, x.response.in, x.response.out
	if out != in {
		if out.Status != in.Status {
			c.line = http1.AppendStatusLine(nil, h.Minor, out.Status, http.StatusText(out.Status))
		}
		c.fields(&h.Head, in.Fields, out.Fields, false)
	}
	b := &x.response.body
	head := x.request.in.Method == http.MethodHead
	switch {
	case x.tunnels:
	case head && x.touchesResponse():
		c.remove(&h.Head, http1.ContentLength) // the length of what the steps would leave is not known
	case b.messages != nil && h.Kind == http1.Length && x.repliesInChunks():
		c.chunk(&h.Head)
	case b.messages != nil && h.Kind == http1.Length: // its end is the connection's
		c.remove(&h.Head, http1.ContentLength)
		c.set(&h.Head, http1.Connection, "Connection", "close")
		x.ends = true
	case b.isEdited && h.Kind != http1.Chunked && h.Kind != http1.UntilClose:
		c.set(&h.Head, http1.ContentLength, "Content-Length", strconv.Itoa(len(b.edited)))
	case bodiless(out.Status) && !bodiless(in.Status) && !head:
		c.remove(&h.Head, http1.ContentLength)
		c.remove(&h.Head, http1.TransferEncoding)
	case bodiless(in.Status) && !bodiless(out.Status) && !head:
		c.set(&h.Head, http1.ContentLength, "Content-Length", "0")
	}
	if x.c.p.draining.Load() && !x.tunnels {
		c.set(&h.Head, http1.Connection, "Connection", "close")
		x.ends = true
	}
	return c
}

// bodiless reports whether a response of this status has no body.
func bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}
