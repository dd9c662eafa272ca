package json

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/internal/run"
	"github.com/sluice-proxy/sluice/codec/internal/value"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Splice implements [run.Format]. It writes just what the editor would; where
// that depends on more than is known here, it doubts.
func (r *runner) Splice(dst []byte) (out []byte, differs bool) {
	r.out, r.pos, r.edits = dst, 0, 0
	r.added, r.spans = r.added[:0], r.spans[:0]
	if r.emit(0); r.edits > 0 && r.Outcome == plan.Changed {
		r.keepTo(len(r.Text))
	}
	if cap(r.Nodes) > run.MaxKept/64 {
		r.added, r.spans, r.seen = nil, nil, nil
	}
	out, r.out = r.out, nil
	return out, r.edits > 0
}

func (r *runner) keepTo(end int) {
	r.out = append(r.out, r.Text[r.pos:end]...)
	r.pos = end
}

func (r *runner) cut(start, end int32) {
	r.edits++
	r.Measure(r.out)
	r.keepTo(int(start))
	r.pos = int(end)
}

// emit writes node at, which is in the text.
func (r *runner) emit(at int32) {
	n := &r.Nodes[at]
	switch {
	case !n.Touched || r.Outcome != plan.Changed:
	case n.State == run.Set:
		if v := &r.Vals[n.Val]; v.Kind == n.Kind && v.IsContainer() {
			r.emitContainer(at, v)
		} else if !r.equal(n, v) {
			r.cut(n.Spot.start, n.Spot.end)
			r.out = r.write(r.out, v)
		}
	case n.State == run.Made:
		r.cut(n.Spot.start, n.Spot.end)
		r.writeMade(at)
	case n.State == run.Gone: // only the message itself: others are left out by what they are in
		r.Doubt()
	case n.Kind == run.Object:
		r.emitObject(at)
	case n.Kind == run.Array:
		r.emitArray(at)
	}
}

// equal reports whether v is what stands at n.
func (r *runner) equal(n *run.Node[spot], v *run.Val) bool {
	text := r.Text[n.Spot.start:n.Spot.end]
	if n.Kind != v.Kind {
		return false
	}
	switch v.Kind {
	case run.String:
		return bytes.Equal(content(text), v.Text)
	case run.Number:
		return r.equalNumber(text, v)
	}
	return v.Kind < run.String
}

// equalNumber is [value.Equal] of the number that text spells and v.
func (r *runner) equalNumber(text []byte, v *run.Val) bool {
	i, whole := run.ShortInt(text)
	switch {
	case v.Form == run.Spelled && bytes.Equal(v.Text, text):
		return true
	case v.Form == run.Int && whole:
		return i == v.Int
	case v.Form == run.Float && !whole && bytes.ContainsAny(text, ".eE"):
		f, err := strconv.ParseFloat(string(text), 64)
		return err == nil && f == v.Float
	}
	return value.Equal(r.decoded(text), r.ValueOf(*v))
}

func (r *runner) emitObject(at int32) {
	n := r.Nodes[at]
	gone := int32(0)
	for c := n.First; c != 0; c = r.Nodes[c].Next {
		if m := &r.Nodes[c]; m.There && m.State == run.Gone {
			gone++
		}
	}
	switch added := r.collect(n.First); {
	case n.Alone:
		r.emitAlone(&n, added)
	case gone > 0 && gone == n.Count:
		r.emitEmptied(&n, added)
	default:
		gone = 0
		for c := n.First; c != 0; c = r.Nodes[c].Next {
			m := &r.Nodes[c]
			switch {
			case !m.There:
			case m.State != run.Gone:
				r.emit(c)
			case m.Spot.ordinal == gone: // nothing before it stays
				gone++
				r.cut(max(n.Spot.item, int32(r.pos)), m.Spot.behind)
			default:
				gone++
				r.cut(m.Spot.before, m.Spot.end)
			}
		}
		r.emitAdded(&n, added, n.Count > 0)
	}
}

// emitEmptied writes an object none of whose members stay.
func (r *runner) emitEmptied(n *run.Node[spot], added int) {
	if len(r.added) == added { // and no white space for nothing
		r.cut(n.Spot.start+1, n.Spot.end-1)
		return
	}
	r.cut(n.Spot.item, n.Spot.lastEnd)
	r.emitAdded(n, added, false)
}

// emitAlone writes an object of which only members that were set stay.
func (r *runner) emitAlone(n *run.Node[spot], added int) {
	end := none
	for c := n.First; c != 0; c = r.Nodes[c].Next {
		m := &r.Nodes[c]
		if !m.There || m.State == run.Gone {
			continue
		}
		switch {
		case end != none && int32(end) != m.Spot.before:
			r.cut(int32(end), m.Spot.before)
		case end == none && m.Spot.key > n.Spot.item:
			r.cut(n.Spot.item, m.Spot.key)
		}
		end = int(m.Spot.end)
		r.emit(c)
	}
	if end == none && n.Count > 0 {
		r.emitEmptied(n, added)
		return
	}
	if n.Count > 0 && int32(end) != n.Spot.lastEnd {
		r.cut(int32(end), n.Spot.lastEnd)
	}
	r.emitAdded(n, added, n.Count > 0)
}

// collect puts the members that are not in the text on r.added, sorted, and
// returns where they begin.
func (r *runner) collect(first int32) int {
	base := len(r.added)
	for c := first; c != 0; c = r.Nodes[c].Next {
		if r.Nodes[c].There || !r.IsThere(c) {
			continue
		}
		r.added = append(r.added, c)
		for i := len(r.added) - 1; i > base && r.nameOf(r.added[i]) < r.nameOf(r.added[i-1]); i-- {
			r.added[i], r.added[i-1] = r.added[i-1], r.added[i]
		}
	}
	return base
}

func (r *runner) nameOf(at int32) string { return r.Plan.Places[r.Nodes[at].Place].Key }

// emitAdded writes the new members of n, in the style of its last one, and
// takes them off r.added. others says whether some stand before them.
func (r *runner) emitAdded(n *run.Node[spot], base int, others bool) {
	if len(r.added) > base {
		end := n.Spot.lastEnd
		var lead, colon []byte = nil, []byte{':'}
		if n.Count > 0 {
			lead, colon = r.Text[n.Spot.lead:n.Spot.lastKey], r.Text[n.Spot.lastKeyEnd:n.Spot.lastStart]
		} else {
			end = n.Spot.start + 1
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

func (r *runner) writeMember(at int32, colon []byte) {
	if r.Measure(r.out); r.Outcome != plan.Changed {
		return
	}
	w := writer{out: r.out}
	w.string(r.nameOf(at))
	r.out = append(w.out, colon...)
	if n := &r.Nodes[at]; n.State == run.Made {
		r.writeMade(at)
	} else {
		r.out = r.write(r.out, &r.Vals[n.Val])
	}
}

// writeMade writes an object that is not in the text.
func (r *runner) writeMade(at int32) {
	base := r.collect(r.Nodes[at].First)
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
func (r *runner) write(dst []byte, v *run.Val) []byte {
	switch {
	case isSum(v): // the text of its parts is not known here
		r.Doubt()
		return dst
	case v.Kind == run.Null:
		return append(dst, "null"...)
	case v.Kind == run.False:
		return append(dst, "false"...)
	case v.Kind == run.True:
		return append(dst, "true"...)
	case v.Kind == run.String:
		return appendQuoted(dst, v.Text)
	case v.Text != nil:
		return append(dst, v.Text...)
	case v.Kind == run.Number && v.Form == run.Int:
		return strconv.AppendInt(dst, int64(v.Int), 10)
	}
	w := writer{out: dst, strict: true}
	var err error
	if v.Kind == run.Number && v.Form == run.Float {
		err = w.float(v.Float)
	} else {
		err = w.value(v.Value)
	}
	if err != nil {
		r.Doubt()
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
