package stream

import "strings"

// eventWriter writes changed fields onto the text of an event.
type eventWriter struct {
	original *sseOriginal
	out      []byte
	lineEnd  string
	written  [fields]int // lines so far
}

// edit writes the lines of want in place of those that the event has. Those that
// are more than there were follow the last of their field; event and id come
// first where there were none, data last.
func (o *sseOriginal) edit(want [fields][]string) []byte {
	w := eventWriter{original: o, lineEnd: "\n"}
	var left [fields]int // lines of each field that are still to come
	for _, l := range o.lines {
		left[l.field]++
	}
	pos := 0
	if len(o.lines) > 0 {
		first := o.lines[0]
		pos = int(first.start) // after a byte order mark
		w.out = append(w.out, o.text[:pos]...)
		if first.end < first.next {
			w.lineEnd = string(o.text[first.end:first.next])
		}
	}
	for _, f := range []field{event, id} {
		if left[f] == 0 {
			w.rest(f, want[f], f.String()+": ")
		}
	}
	for _, l := range o.lines {
		left[l.field]--
		w.line(l, want[l.field], left[l.field] == 0)
		pos = int(l.next)
	}
	if w.written[data] < len(want[data]) {
		w.rest(data, want[data], "data: ")
	}
	if o.value == nil { // a new event
		return append(w.out, w.lineEnd...)
	}
	w.raw(o.text[pos:])
	return w.out
}

// line writes what is wanted in place of l. With the last of its field come all
// that are left.
func (w *eventWriter) line(l sseLine, want []string, last bool) {
	o := w.original
	if l.field == other || want == nil {
		w.raw(o.text[l.start:l.next])
		return
	}
	if l.field != data { // the last one counts, and takes the others' place
		if last {
			w.one(l, want)
		}
		return
	}
	w.one(l, want)
	if last {
		w.rest(l.field, want, w.prefix(l, want))
	}
}

// one writes the next line of want, if there is one, in the way of l.
func (w *eventWriter) one(l sseLine, want []string) {
	o := w.original
	n := w.written[l.field]
	if n >= len(want) {
		return
	}
	w.written[l.field]++
	if want[n] == o.read(l) {
		w.raw(o.text[l.start:l.next])
		return
	}
	w.raw([]byte(w.prefix(l, want[n:n+1]) + want[n]))
	w.raw(o.text[l.end:l.next])
}

// prefix is the beginning of l, made fit for lines that say want.
func (w *eventWriter) prefix(l sseLine, want []string) string {
	prefix := string(w.original.text[l.start:l.value])
	if l.value == l.end && !strings.Contains(prefix, ":") {
		return l.field.String() + ": "
	}
	if strings.HasSuffix(prefix, " ") {
		return prefix
	}
	for _, text := range want {
		if strings.HasPrefix(text, " ") { // the first space is none of the value
			return prefix + " "
		}
	}
	return prefix
}

// rest writes the lines of want that are left.
func (w *eventWriter) rest(f field, want []string, prefix string) {
	for _, text := range want[min(w.written[f], len(want)):] {
		if n := len(w.out); n > 0 && w.out[n-1] != '\n' && w.out[n-1] != '\r' && string(w.out) != bom {
			w.out = append(w.out, w.lineEnd...)
		}
		w.out = append(w.out, prefix...)
		w.out = append(w.out, text...)
		w.out = append(w.out, w.lineEnd...)
		w.written[f]++
	}
}

// raw writes text, and no CRLF of a CR that ended a line and an LF that ends the
// next.
func (w *eventWriter) raw(text []byte) {
	if n := len(w.out); n > 0 && len(text) > 0 && w.out[n-1] == '\r' && text[0] == '\n' {
		w.out = append(w.out, '\n')
	}
	w.out = append(w.out, text...)
}
