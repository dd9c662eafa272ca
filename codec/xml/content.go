package xml

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// content brings the children and the text of c to what they shall be.
func (e *editor) content(c *change) error {
	p := e.plan(c)
	switch {
	case !c.retext && !p.reshaped:
		for _, at := range p.places {
			if err := e.place(c, &p, at, false); err != nil {
				return err
			}
		}
		return nil
	case !c.retext && c.textWas == "" && len(p.places) > 0 && p.left > 0:
		return e.layout(c, &p)
	}
	return e.mixed(c, &p)
}

// mixed writes an element's children and text where one has to do with the
// other: taking a child out joins two runs, and layout that comes to stand beside
// data, or in an element without children, would become data itself.
func (e *editor) mixed(c *change, p *plan) error {
	n := e.nodes[c.node]
	pieces := e.pieces(c.node, p)
	lead, err := retext(c, pieces, p.left > 0)
	if err != nil {
		return err
	}
	dropLayout(pieces, lead != "", p.left > 0)
	empty := n.close == n.inner && n.end == n.inner
	if empty {
		e.cut(c.tagEnd, int(n.inner))
		e.out = append(e.out, '>')
	}
	if lead != "" {
		if !empty {
			e.cut(int(n.inner), int(n.inner))
		}
		e.freshText(lead, p.left > 0 && isBlank(lead))
	}
	if err := e.pass(c, p, pieces); err != nil {
		return err
	}
	if len(c.newChildren) > 0 {
		if !empty {
			e.cut(int(n.close), int(n.close))
		}
		if err := e.added(c, ""); err != nil {
			return err
		}
	}
	if empty {
		e.close(e.nameOf(c.node))
	}
	return nil
}

// pieces returns the content of an element with what it is.
func (e *editor) pieces(n int32, p *plan) []piece {
	pieces := e.tokens(n, 2*len(p.places)+1)
	start, run, nth := 0, int32(0), 0 // start: of the run as it was
	for i := range pieces {
		pieces[i].run = run
		if pieces[i].kind != child {
			continue
		}
		markData(pieces[start:i], len(p.places) > 0)
		if p.stays(p.places[nth]) {
			run++
		}
		start, nth = i+1, nth+1
	}
	markData(pieces[start:], len(p.places) > 0)
	return pieces
}

// markData marks the pieces of a run, unless that is layout.
func markData(run []piece, layout bool) {
	data := !layout
	for i := range run {
		data = data || run[i].isData()
	}
	for i := range run {
		run[i].data = data && run[i].kind.isText()
	}
}

// isData reports whether t alone makes a run data.
func (t *piece) isData() bool { return t.kind == literal || t.kind == cdata && t.text != "" }

// retext brings the pieces to the text of c, or returns the text that is to
// stand before all of them.
func retext(c *change, pieces []piece, children bool) (lead string, err error) {
	was, is := c.textWas, c.text
	if !c.retext {
		is = was
	}
	var data []int
	for i := range pieces {
		if pieces[i].data {
			data = append(data, i)
		}
	}
	if len(data) == 0 {
		return is, nil
	}
	if is == "" {
		for _, i := range data {
			pieces[i].gone = true
		}
		return "", nil
	}
	from, to := 0, 1 // of data, what changes
	start, end := 0, len(pieces[data[0]].text)
	if was != is {
		from, to, start, end = changed(was, is, pieces, data)
	} else if !children || anyData(pieces, data) {
		return "", nil
	}
	first := &pieces[data[from]]
	if first.run != pieces[data[to-1]].run {
		return "", value.Within(value.Key(textKey), inexpressible("the edit spans more than one run of text between children"))
	}
	text := is[start : len(is)-(len(was)-end)]
	// White space alone is data only if it is written as more than itself.
	alone := children && isBlank(text) && !anyData(pieces, slices.Concat(within(pieces, data[:from], first.run), within(pieces, data[to:], first.run)))
	for alone && text == "" && from > 0 && pieces[data[from-1]].run == first.run {
		from--
		text = pieces[data[from]].text
	}
	for alone && text == "" && to < len(data) && pieces[data[to]].run == first.run {
		text = pieces[data[to]].text
		to++
	}
	for _, i := range data[from:to] {
		pieces[i].gone = true
	}
	if text != "" {
		first = &pieces[data[from]]
		first.gone, first.write, first.text, first.alone = false, true, text, alone
	}
	return "", nil
}

// anyData reports whether some of data makes a run data by itself.
func anyData(pieces []piece, data []int) bool {
	return slices.ContainsFunc(data, func(i int) bool { return pieces[i].isData() })
}

// within returns those of data that are in a run.
func within(pieces []piece, data []int, run int32) []int {
	var list []int
	for _, i := range data {
		if pieces[i].run == run {
			list = append(list, i)
		}
	}
	return list
}

// changed returns which of data the edit from was to is changes, and where in
// was they begin and end.
func changed(was, is string, pieces []piece, data []int) (from, to, start, end int) {
	common := 0
	for common < min(len(was), len(is)) && was[common] == is[common] {
		common++
	}
	tail := len(was)
	for tail > common && len(is)-(len(was)-tail) > common && was[tail-1] == is[len(is)-(len(was)-tail)-1] {
		tail--
	}
	for from < len(data)-1 && start+len(pieces[data[from]].text) < common {
		start += len(pieces[data[from]].text)
		from++
	}
	// What begins where one piece ends and the next begins belongs to the next,
	// unless nothing of that is replaced.
	for from < len(data)-1 && start+len(pieces[data[from]].text) == common && tail > common {
		start = common
		from++
	}
	to, end = from+1, start+len(pieces[data[from]].text)
	for end < tail {
		end += len(pieces[data[to]].text)
		to++
	}
	return from, to, start, end
}

// dropLayout takes away the layout that would become data. lead says that the
// first run has text in front.
func dropLayout(pieces []piece, lead, children bool) {
	runs := int32(1)
	if len(pieces) > 0 {
		runs += pieces[len(pieces)-1].run
	}
	hasData := make([]bool, runs)
	hasData[0] = lead
	for i := range pieces {
		if t := &pieces[i]; t.data && !t.gone {
			hasData[t.run] = true
		}
	}
	for i := range pieces {
		t := &pieces[i]
		if t.kind == blank && !t.data && (!children || hasData[t.run]) {
			t.gone = true
		}
	}
}

// pass writes the pieces, in their order.
func (e *editor) pass(c *change, p *plan, pieces []piece) error {
	nth := 0
	joins := false // something before the piece is gone
	for i := range pieces {
		t := &pieces[i]
		switch {
		case t.kind == child:
			at := p.places[nth]
			nth++
			if err := e.place(c, p, at, false); err != nil {
				return err
			}
			joins = joins || !p.stays(at)
			continue
		case t.gone:
			e.cut(int(t.start), int(t.end))
			joins = true
			continue
		case t.write:
			e.cut(int(t.start), int(t.end))
			if t.kind == cdata && fitsCDATA(t.text) {
				e.out = append(append(append(e.out, cdataStart...), t.text...), cdataEnd...)
			} else {
				e.freshText(t.text, t.alone)
			}
		case joins && t.kind.isText() && t.kind != cdata:
			e.keepTo(int(t.start))
			e.out = join(e.out, e.text[t.start:t.end])
			e.pos = int(t.end)
		}
		joins = t.kind.isText() && t.write
	}
	return nil
}

// freshText writes text that stands where there was other or none. Alone, it is
// white space that would be layout.
func (e *editor) freshText(s string, alone bool) {
	if alone {
		e.out = appendBlank(e.out, s)
		return
	}
	e.out = join(e.out, string(appendText(nil, s)))
}

// join appends raw text behind what was not before it: "]]" and ">" would be an
// error in text, \r and \n one line end.
func join(out []byte, raw string) []byte {
	tail := string(out[max(0, len(out)-2):])
	if strings.HasSuffix(tail, "\r") && strings.HasPrefix(raw, "\n") {
		out = append(out, '\r')
	}
	head := raw[:min(len(raw), 2)]
	if i := strings.Index(tail+head, cdataEnd); i >= 0 {
		at := i + len(cdataEnd) - 1 - len(tail) // of the ">" in raw
		return append(append(append(out, raw[:at]...), "&gt;"...), raw[at+1:]...)
	}
	return append(out, raw...)
}
