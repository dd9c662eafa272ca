package xml

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

// run gathers the text of one element: in buf from base on the runs so far,
// from start on the one that is open.
type run struct {
	base, start int
	first       string // the only piece of the open run, as long as it is the only one
	data        bool   // the open run is more than layout
	children    bool
}

// add adds a piece of text to the open run.
func (d *decoder) add(r *run, piece string, data bool) {
	r.data = r.data || data
	if r.first == "" && len(d.buf) == r.start {
		r.first = piece
		return
	}
	d.buf = append(append(d.buf, r.first...), piece...)
	r.first = ""
}

// close ends the open run at the tag of a child.
func (d *decoder) close(r *run) {
	r.children = true
	if r.data {
		d.buf = append(d.buf, r.first...)
	} else {
		d.buf = d.buf[:r.start]
	}
	r.start, r.first, r.data = len(d.buf), "", false
}

// ends ends the open run at the element's end, and returns all its text.
func (d *decoder) ends(r *run) string {
	if r.children {
		d.close(r)
	}
	text := r.first
	if len(d.buf) > r.base {
		text = string(append(d.buf[r.base:], text...))
		d.buf = d.buf[:r.base]
	}
	return text
}

// lineEnds is s with all its line ends as \n (XML 1.0 section 2.11).
func lineEnds(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// push puts an attribute or a child on the stacks. They double: append's growth
// lets go of five times what it ends with.
func (d *decoder) push(name string, v codec.Value) {
	if len(d.names) == cap(d.names) {
		d.names = slices.Grow(d.names, len(d.names)+8)
		d.values = slices.Grow(d.values, len(d.values)+8)
	}
	d.names, d.values = append(d.names, name), append(d.values, v)
}

// assemble takes the attributes and children of an element off the stacks and
// makes its value of them.
func (d *decoder) assemble(base int, text string, arrays *paths) codec.Value {
	names, values := d.names[base:], d.values[base:]
	if len(names) == 0 {
		return text
	}
	members := d.groups.group(names)
	size := members
	if text != "" {
		size++
	}
	o := make(map[string]any, size)
	for i, name := range names {
		first := d.groups.first[i]
		count := d.groups.count[first]
		switch {
		case int(first) < i:
			array, _ := values[first].([]any)
			array[d.groups.filled[first]] = values[i]
			d.groups.filled[first]++
		case count > 1 || arrays != nil && name[0] != '@' && arrays.child(name).isArray():
			array := make([]any, count)
			array[0] = values[i]
			values[i], d.groups.filled[i] = array, 1
			o[name] = values[i]
		default:
			o[name] = values[i]
		}
	}
	if text != "" {
		o[textKey] = text
	}
	clear(values)
	d.names, d.values = d.names[:base], d.values[:base]
	return o
}

// grouper finds equal names in time and memory linear in their number. Its
// slices belong to the last list of names.
type grouper struct {
	first  []int32 // for each name the index of the first that is equal
	count  []int32 // for each first how many are equal
	filled []int32
}

// group returns how many different names there are.
func (g *grouper) group(names []string) int {
	g.first, g.count, g.filled = resize(g.first, len(names)), resize(g.count, len(names)), resize(g.filled, len(names))
	var few [8]int32 // the first of each name, until they are more
	var many map[string]int32
	different := 0
	for i, name := range names {
		first := int32(i)
		if i > 0 && name == names[i-1] {
			first = g.first[i-1]
		} else if many != nil {
			if j, ok := many[name]; ok {
				first = j
			} else {
				many[name] = first
			}
		} else {
			for _, j := range few[:min(different, len(few))] {
				if names[j] == name {
					first = j
					break
				}
			}
		}
		g.first[i], g.count[i] = first, 0
		g.count[first]++
		if int(first) < i {
			continue
		}
		if different < len(few) {
			few[different] = first
		} else if many == nil {
			many = make(map[string]int32, 4*len(few))
			for _, j := range few {
				many[names[j]] = j
			}
			many[name] = first
		}
		different++
	}
	return different
}

func resize(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n, n+n/2)
	}
	return s[:n]
}
