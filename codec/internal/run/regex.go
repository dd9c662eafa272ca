package run

import (
	"bytes"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/plan"
)

// maxLooks is how many steps a run may take to look for regular expressions. What
// needs more is left to the program itself, which counts all of its steps.
const maxLooks = 1 << 20

// looks takes n steps, and doubts if there are not so many left.
func (r *Values) looks(n int) bool {
	if r.looked += n; n < 0 || r.looked > maxLooks {
		r.Doubt()
		return false
	}
	return true
}

// searchable doubts of a text that is not to be searched once for re.
func (r *Values) searchable(re *plan.Regex, text []byte) bool {
	if !utf8.Valid(text) { // jq would mend it
		r.Doubt()
		return false
	}
	if re.Literal != nil {
		return r.looks(len(text) / 16)
	}
	return r.looks(len(text) * re.Weight)
}

func (r *Values) test(re *plan.Regex, v *Val) bool {
	if v.Kind != String {
		r.Doubt()
		return false
	}
	return r.searchable(re, v.Text) && re.Find.Match(v.Text)
}

// replace puts by in the place of matches in text.
func (r *Values) replace(e *plan.Expr, text, by []byte) []byte {
	re := e.Regex
	if !r.searchable(re, text) {
		return nil
	}
	if e.All {
		return r.replaceAll(re, text, by)
	}
	match := re.Find.FindIndex(text)
	if match == nil {
		return text
	}
	from := len(r.Scratch)
	r.Scratch = append(append(append(r.Scratch, text[:match[0]]...), by...), text[match[1]:]...)
	return r.Made(from)
}

func (r *Values) replaceAll(re *plan.Regex, text, by []byte) []byte {
	most := len(text) / max(re.Least, 1) // matches
	if re.Literal != nil {
		if most = bytes.Count(text, re.Literal); most == 0 || !r.looks(most) {
			return text
		}
	}
	if len(r.Scratch)+len(text)+most*len(by) > r.most {
		r.Doubt()
		return nil
	}
	from := len(r.Scratch)
	switch {
	case re.Literal != nil:
		r.appendReplaced(re.Literal, text, by)
		return r.Made(from)
	case re.Reach > 0:
		if !r.looks(len(text) * re.Weight * (re.Reach - 1)) {
			return nil
		}
	case !r.looks(most * len(text) * re.Weight): // each match may look to the end
		return nil
	}
	r.Scratch = append(r.Scratch, re.Find.ReplaceAllLiteral(text, by)...)
	return r.Made(from)
}

// appendReplaced appends text to Scratch, with by in the place of each literal.
func (r *Values) appendReplaced(literal, text, by []byte) {
	for {
		before, after, found := bytes.Cut(text, literal)
		r.Scratch = append(r.Scratch, before...)
		if !found {
			return
		}
		r.Scratch = append(r.Scratch, by...)
		text = after
	}
}
