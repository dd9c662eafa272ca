package xml

import (
	"strings"

	"github.com/sluice-proxy/sluice/codec"
)

const bom = "\ufeff"

// What values take, in bytes and about: they may take memoryRatio times what a
// document may be long.
const (
	memoryRatio   = 12
	memoryElement = 160
	memoryMember  = 48 // of an element with attributes or children, which has room for eight
)

// decoder reads one document in one pass. Attributes and children of the
// elements that are still open wait on stacks.
type decoder struct {
	text     string
	pos      int
	depth    int // elements that are open
	max      int
	elements int // so far
	memory   int // bytes, about, that values may still take
	arrays   *paths
	names    []string
	values   []codec.Value
	buf      []byte            // text that is in pieces
	keys     map[string]string // from an attribute's name to its key
	groups   grouper
}

// document returns the root element's name and value.
func (d *decoder) document() (string, codec.Value, error) {
	if strings.HasPrefix(d.text, "\xfe\xff") || strings.HasPrefix(d.text, "\xff\xfe") {
		return "", nil, d.wrong("found UTF-16, expected UTF-8")
	}
	if at := illegal(d.text); at >= 0 {
		d.pos = at
		return "", nil, d.wrong("found " + described(d.text[at:]))
	}
	if strings.HasPrefix(d.text, bom) {
		d.pos = len(bom)
	}
	if err := d.declaration(); err != nil {
		return "", nil, err
	}
	if err := d.misc(); err != nil {
		return "", nil, err
	}
	if d.follows("<!DOCTYPE") {
		return "", nil, d.wrong("found a DOCTYPE, which is not accepted")
	}
	if !d.follows("<") {
		return "", nil, d.unexpected("an element")
	}
	root, v, err := d.element(d.arrays)
	if err != nil {
		return "", nil, err
	}
	if err := d.misc(); err != nil {
		return "", nil, err
	}
	if d.pos < len(d.text) {
		return "", nil, d.unexpected("the end")
	}
	if d.arrays.child(root).isArray() {
		v = []any{v}
	}
	return root, v, nil
}

// element reads the element at whose '<' it stands, a child of the one that
// arrays is about.
func (d *decoder) element(arrays *paths) (string, codec.Value, error) {
	if d.depth == d.max {
		return "", nil, &codec.LimitError{Format: name, Limit: "depth", Max: int64(d.max)}
	}
	d.depth++
	d.elements++
	d.pos++
	tag, err := d.name()
	if err != nil {
		return "", nil, err
	}
	base := len(d.names)
	empty, err := d.attributes(base)
	if err != nil {
		return "", nil, err
	}
	arrays = arrays.child(tag)
	var text string
	if !empty {
		if text, err = d.content(tag, arrays); err != nil {
			return "", nil, err
		}
	}
	d.depth--
	d.memory -= memoryElement
	if n := len(d.names) - base; n > 0 {
		d.memory -= memoryMember * max(n, 8)
	}
	if d.memory < 0 {
		return "", nil, &codec.LimitError{Format: name, Limit: "items", Max: int64(d.elements)}
	}
	return tag, d.assemble(base, text, arrays), nil
}

// attributes reads up to the end of a start tag, and reports whether that is
// the element's end too.
func (d *decoder) attributes(base int) (empty bool, err error) {
	var seen map[string]bool // once there are many
	for {
		spaced := d.space()
		switch {
		case d.follows(">"):
			d.pos++
			return false, nil
		case d.follows("/>"):
			d.pos += 2
			return true, nil
		case !spaced:
			return false, d.unexpected("white space, '>' or '/>'")
		}
		start := d.pos
		name, err := d.name()
		if err != nil {
			return false, err
		}
		key := d.key(name)
		if twice(d.names[base:], key, &seen) {
			d.pos = start
			return false, d.wrong("an attribute that the element has already")
		}
		v, err := d.attribute()
		if err != nil {
			return false, err
		}
		d.push(key, v)
	}
}

// twice reports whether key is among names. seen holds them when a search
// through all for each would cost the square.
func twice(names []string, key string, seen *map[string]bool) bool {
	const few = 16
	if len(names) < few {
		for _, n := range names {
			if n == key {
				return true
			}
		}
		return false
	}
	if *seen == nil {
		*seen = make(map[string]bool, 2*few)
		for _, n := range names {
			(*seen)[n] = true
		}
	}
	if (*seen)[key] {
		return true
	}
	(*seen)[key] = true
	return false
}

// key is the member that the attribute name is. Names recur, so the usual
// document has few.
func (d *decoder) key(name string) string {
	const most = 256
	if k, ok := d.keys[name]; ok {
		return k
	}
	k := "@" + name
	if d.keys == nil {
		d.keys = make(map[string]string)
	}
	if len(d.keys) < most {
		d.keys[name] = k
	}
	return k
}

// attribute reads a value from its '=' on.
func (d *decoder) attribute() (string, error) {
	raw, err := d.quoted()
	if err != nil {
		return "", err
	}
	start := d.pos - len(raw) - 1
	plain := true
	for i := range len(raw) {
		switch raw[i] {
		case '<':
			d.pos = start + i
			return "", d.unexpected("'&lt;' in an attribute")
		case '&', '\r', '\n', '\t':
			plain = false
		}
	}
	if plain {
		return raw, nil
	}
	return d.expand(raw, start, true)
}

// quoted reads '=' and what stands in quotes behind it.
func (d *decoder) quoted() (string, error) {
	d.space()
	if !d.follows("=") {
		return "", d.unexpected("'='")
	}
	d.pos++
	d.space()
	if !d.follows(`"`) && !d.follows("'") {
		return "", d.unexpected("a value in quotes")
	}
	quote := d.text[d.pos]
	d.pos++
	n := strings.IndexByte(d.text[d.pos:], quote)
	if n < 0 {
		d.pos = len(d.text)
		return "", d.unexpected(string(quote))
	}
	raw := d.text[d.pos : d.pos+n]
	d.pos += n + 1
	return raw, nil
}

// expand is what the text s at start means.
func (d *decoder) expand(s string, start int, attribute bool) (string, error) {
	out, bad := expand(make([]byte, 0, len(s)), s, attribute)
	if bad >= 0 {
		d.pos = start + bad
		return "", d.wrong("found " + preview(d.text[d.pos:]) + ", expected one of the five entities of XML, a legal character's number, or '&amp;'")
	}
	return string(out), nil
}

// content reads up to and with the end tag of the element tag, and returns its
// text.
func (d *decoder) content(tag string, arrays *paths) (string, error) {
	r := run{base: len(d.buf), start: len(d.buf)}
	for {
		i := strings.IndexByte(d.text[d.pos:], '<')
		if i < 0 {
			d.pos = len(d.text)
			return "", d.unexpected("the end tag of " + preview(tag))
		}
		if i > 0 {
			if err := d.literal(&r, i); err != nil {
				return "", err
			}
		}
		switch {
		case d.follows("</"):
			return d.ends(&r), d.endTag(tag)
		case d.follows(cdataStart):
			start := d.pos + len(cdataStart)
			n := strings.Index(d.text[start:], cdataEnd)
			if n < 0 {
				d.pos = len(d.text)
				return "", d.unexpected("']]>'")
			}
			s := d.text[start : start+n]
			if strings.IndexByte(s, '\r') >= 0 {
				s = lineEnds(s)
			}
			d.add(&r, s, s != "")
			d.pos = start + n + len(cdataEnd)
		case d.follows("<!--"), d.follows("<?"):
			if err := d.aside(); err != nil {
				return "", err
			}
		case d.follows("<!"):
			return "", d.wrong("found " + preview(d.text[d.pos:]) + ", expected a comment or CDATA")
		default:
			d.close(&r)
			name, v, err := d.element(arrays)
			if err != nil {
				return "", err
			}
			d.push(name, v)
		}
	}
}

// literal reads n bytes of text.
func (d *decoder) literal(r *run, n int) error {
	start, raw := d.pos, d.text[d.pos:d.pos+n]
	d.pos += n
	blank, plain := true, true
	for i := range len(raw) {
		switch c := raw[i]; c {
		case ' ', '\t', '\n':
		case '\r', '&':
			plain = false
			blank = blank && c == '\r'
		case '>':
			blank = false
			if i >= 2 && raw[i-2:i] == "]]" {
				d.pos = start + i - 2
				return d.wrong("found ']]>', expected ']]&gt;'")
			}
		default:
			blank = false
		}
	}
	if !plain {
		var err error
		if raw, err = d.expand(raw, start, false); err != nil {
			return err
		}
		d.pos = start + n
	}
	d.add(r, raw, !blank)
	return nil
}

// endTag reads the end tag of the element tag, at whose '<' it stands.
func (d *decoder) endTag(tag string) error {
	start := d.pos
	d.pos += len("</")
	if rest, ok := strings.CutPrefix(d.text[d.pos:], tag); ok && strings.HasPrefix(rest, ">") {
		d.pos += len(tag) + len(">")
		return nil
	}
	if got, err := d.name(); err != nil || got != tag {
		d.pos = start
		return d.wrong("found " + preview(d.text[start:]) + ", expected the end tag of " + preview(tag))
	}
	d.space()
	if !d.follows(">") {
		return d.unexpected("'>'")
	}
	d.pos++
	return nil
}
