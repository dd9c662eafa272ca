package xml

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec"
)

// declaration reads the XML declaration, if there is one (XML 1.0 section 2.8).
func (d *decoder) declaration() error {
	const start = "<?xml"
	if rest, ok := strings.CutPrefix(d.text[d.pos:], start); !ok || rest == "" || !isSpace(rest[0]) {
		return nil
	}
	d.pos += len(start)
	for i, part := range []struct {
		name  string
		legal func(string) bool
	}{
		{"version", func(v string) bool { return v == "1.0" }},
		{"encoding", func(v string) bool { return strings.EqualFold(v, "utf-8") }},
		{"standalone", func(v string) bool { return v == "yes" || v == "no" }},
	} {
		before := d.pos
		if !d.space() || !d.follows(part.name) {
			if i == 0 {
				return d.unexpected("version")
			}
			d.pos = before
			continue
		}
		d.pos += len(part.name)
		v, err := d.quoted()
		if err != nil {
			return err
		}
		if !part.legal(v) {
			d.pos -= len(v) + 1
			return d.wrong("found " + part.name + " " + preview(v) + ", expected version 1.0, encoding UTF-8, standalone yes or no")
		}
	}
	d.space()
	if !d.follows("?>") {
		return d.unexpected("'?>'")
	}
	d.pos += len("?>")
	return nil
}

// misc reads what may stand before and behind the root element.
func (d *decoder) misc() error {
	for {
		d.space()
		if !d.follows("<!--") && !d.follows("<?") {
			return nil
		}
		if err := d.aside(); err != nil {
			return err
		}
	}
}

// aside reads a comment or a processing instruction.
func (d *decoder) aside() error {
	if d.follows("<!--") {
		d.pos += len("<!--")
		n := strings.Index(d.text[d.pos:], "--")
		if n < 0 {
			d.pos = len(d.text)
			return d.unexpected("'-->'")
		}
		d.pos += n
		if !d.follows("-->") {
			return d.wrong("found '--' in a comment, expected '-->'")
		}
		d.pos += len("-->")
		return nil
	}
	start := d.pos
	d.pos += len("<?")
	target, err := d.name()
	if err != nil {
		return err
	}
	if strings.EqualFold(target, "xml") {
		d.pos = start
		return d.wrong("found a declaration, which may stand at the very start alone")
	}
	if !d.follows("?>") && !d.space() {
		return d.unexpected("white space or '?>'")
	}
	n := strings.Index(d.text[d.pos:], "?>")
	if n < 0 {
		d.pos = len(d.text)
		return d.unexpected("'?>'")
	}
	d.pos += n + len("?>")
	return nil
}

func (d *decoder) name() (string, error) {
	n := nameLength(d.text[d.pos:])
	if n == 0 {
		return "", d.unexpected("a name")
	}
	d.pos += n
	return d.text[d.pos-n : d.pos], nil
}

// space reads white space, and reports whether there was any.
func (d *decoder) space() bool {
	start := d.pos
	for d.pos < len(d.text) && isSpace(d.text[d.pos]) {
		d.pos++
	}
	return d.pos > start
}

func (d *decoder) follows(s string) bool { return strings.HasPrefix(d.text[d.pos:], s) }

func (d *decoder) unexpected(want string) error {
	found := "the end"
	if d.pos < len(d.text) {
		r, _ := utf8.DecodeRuneInString(d.text[d.pos:])
		found = fmt.Sprintf("%q", r)
	}
	return d.wrong("found " + found + ", expected " + want)
}

func (d *decoder) wrong(msg string) error {
	return &codec.SyntaxError{Format: name, Offset: d.pos, Msg: msg}
}

// preview quotes the first bytes of s.
func preview(s string) string {
	const most = 12 // two of them stay under what an error may show
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
