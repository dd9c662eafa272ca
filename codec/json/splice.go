package json

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// splice writes what the run has left behind dst. It writes just what the
// editor would; where that depends on more than is known here, it doubts.
func (r *Runner) splice(dst []byte) {
	r.out, r.pos, r.edits = dst, 0, 0
	r.emit(0)
	switch {
	case r.outcome != plan.Changed:
	case r.edits == 0:
		r.outcome = plan.Unchanged
	default:
		r.keepTo(len(r.text))
	}
}

func (r *Runner) keepTo(end int) {
	r.out = append(r.out, r.text[r.pos:end]...)
	r.pos = end
}

func (r *Runner) cut(start, end int32) {
	r.edits++
	r.measure(r.out)
	r.keepTo(int(start))
	r.pos = int(end)
}

// emit writes node at, which is in the text.
func (r *Runner) emit(at int32) {
	n := &r.nodes[at]
	switch {
	case !n.touched || r.outcome != plan.Changed:
	case n.state == isSet:
		if v := &r.vals[n.val]; v.kind == n.kind && v.isContainer() {
			r.emitContainer(at, v)
		} else if !r.equal(n, v) {
			r.cut(n.start, n.end)
			r.out = r.write(r.out, v)
		}
	case n.state == isMade:
		r.cut(n.start, n.end)
		r.writeMade(at)
	case n.state == isGone: // only the message itself: others are left out by what they are in
		r.doubt()
	case n.kind == isObject:
		r.emitObject(at)
	case n.kind == isArray:
		r.emitArray(at)
	}
}

// equal reports whether v is what stands at n.
func (r *Runner) equal(n *spot, v *val) bool {
	text := r.text[n.start:n.end]
	if n.kind != v.kind {
		return false
	}
	switch v.kind {
	case isString:
		return bytes.Equal(r.content(text), v.text)
	case isNumber:
		return r.equalNumber(text, v)
	}
	return v.kind < isString
}

// equalNumber is [value.Equal] of the number that text spells and v.
func (r *Runner) equalNumber(text []byte, v *val) bool {
	i, whole := shortInt(text)
	switch {
	case v.form == asText && bytes.Equal(v.raw, text):
		return true
	case v.form == asInt && whole:
		return i == v.i
	case v.form == asFloat && !whole && bytes.ContainsAny(text, ".eE"):
		f, err := strconv.ParseFloat(string(text), 64)
		return err == nil && f == v.f
	}
	return value.Equal(r.valueOf(val{kind: isNumber, raw: text}), r.valueOf(*v))
}

func (r *Runner) emitObject(at int32) {
	n := r.nodes[at]
	gone := int32(0)
	for c := n.first; c != 0; c = r.nodes[c].next {
		if m := &r.nodes[c]; m.start != none && m.state == isGone {
			gone++
		}
	}
	switch added := r.collect(n.first); {
	case n.alone:
		r.emitAlone(&n, added)
	case gone > 0 && gone == n.count:
		r.emitEmptied(&n, added)
	default:
		gone = 0
		for c := n.first; c != 0; c = r.nodes[c].next {
			m := &r.nodes[c]
			switch {
			case m.start == none:
			case m.state != isGone:
				r.emit(c)
			case m.ordinal == gone: // nothing before it stays
				gone++
				r.cut(max(n.item, int32(r.pos)), m.behind)
			default:
				gone++
				r.cut(m.before, m.end)
			}
		}
		r.emitAdded(&n, added, n.count > 0)
	}
}

// emitEmptied writes an object none of whose members stay.
func (r *Runner) emitEmptied(n *spot, added int) {
	if len(r.added) == added { // and no white space for nothing
		r.cut(n.start+1, n.end-1)
		return
	}
	r.cut(n.item, n.lastEnd)
	r.emitAdded(n, added, false)
}

// emitAlone writes an object of which only members that were set stay.
func (r *Runner) emitAlone(n *spot, added int) {
	end := none
	for c := n.first; c != 0; c = r.nodes[c].next {
		m := &r.nodes[c]
		if m.start == none || m.state == isGone {
			continue
		}
		switch {
		case end != none && int32(end) != m.before:
			r.cut(int32(end), m.before)
		case end == none && m.key > n.item:
			r.cut(n.item, m.key)
		}
		end = int(m.end)
		r.emit(c)
	}
	if end == none && n.count > 0 {
		r.emitEmptied(n, added)
		return
	}
	if n.count > 0 && int32(end) != n.lastEnd {
		r.cut(int32(end), n.lastEnd)
	}
	r.emitAdded(n, added, n.count > 0)
}

// collect puts the members that are not in the text on r.added, sorted, and
// returns where they begin.
func (r *Runner) collect(first int32) int {
	base := len(r.added)
	for c := first; c != 0; c = r.nodes[c].next {
		if r.nodes[c].start != none || !r.isThere(c) {
			continue
		}
		r.added = append(r.added, c)
		for i := len(r.added) - 1; i > base && r.nameOf(r.added[i]) < r.nameOf(r.added[i-1]); i-- {
			r.added[i], r.added[i-1] = r.added[i-1], r.added[i]
		}
	}
	return base
}

func (r *Runner) nameOf(at int32) string { return r.plan.Places[r.nodes[at].place].Key }

// emitAdded writes the new members of n, in the style of its last one, and
// takes them off r.added. others says whether some stand before them.
func (r *Runner) emitAdded(n *spot, base int, others bool) {
	if len(r.added) > base {
		end := n.lastEnd
		var lead, colon []byte = nil, []byte{':'}
		if n.count > 0 {
			lead, colon = r.text[n.lead:n.lastKey], r.text[n.lastKeyEnd:n.lastStart]
		} else {
			end = n.start + 1
		}
		r.cut(end, end)
		for i := base; i < len(r.added); i++ {
			if i > base || others {
				r.out = append(append(r.out, ','), lead...)
			}
			r.writeMember(r.added[i], colon)
		}
	}
	r.added = r.added[:base]
}

func (r *Runner) writeMember(at int32, colon []byte) {
	if r.measure(r.out); r.outcome != plan.Changed {
		return
	}
	w := writer{out: r.out}
	w.string(r.nameOf(at))
	r.out = append(w.out, colon...)
	if n := &r.nodes[at]; n.state == isMade {
		r.writeMade(at)
	} else {
		r.out = r.write(r.out, &r.vals[n.val])
	}
}

// writeMade writes an object that is not in the text.
func (r *Runner) writeMade(at int32) {
	base := r.collect(r.nodes[at].first)
	r.out = append(r.out, '{')
	for i := base; i < len(r.added); i++ {
		if i > base {
			r.out = append(r.out, ',')
		}
		r.writeMember(r.added[i], []byte{':'})
	}
	r.out = append(r.out, '}')
	r.added = r.added[:base]
}

// write appends v as the writer would.
func (r *Runner) write(dst []byte, v *val) []byte {
	switch {
	case v.base != nil: // the text of its parts is not known here
		r.doubt()
		return dst
	case v.kind == isNull:
		return append(dst, "null"...)
	case v.kind == isFalse:
		return append(dst, "false"...)
	case v.kind == isTrue:
		return append(dst, "true"...)
	case v.kind == isString:
		return appendQuoted(dst, v.text)
	case v.raw != nil:
		return append(dst, v.raw...)
	case v.kind == isNumber && v.form == asInt:
		return strconv.AppendInt(dst, int64(v.i), 10)
	}
	w := writer{out: dst, strict: true}
	var err error
	if v.kind == isNumber {
		err = w.float(v.f)
	} else {
		err = w.value(v.value)
	}
	if err != nil {
		r.doubt()
	}
	return w.out
}

// appendQuoted is the writer's string for bytes.
func appendQuoted(dst, text []byte) []byte {
	plain := true
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		dst = append(append(dst, '"'), text...)
		return append(dst, '"')
	}
	w := writer{out: dst}
	w.string(string(text))
	return w.out
}
