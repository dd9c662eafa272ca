package jq

import (
	"strings"
	"unicode/utf8"
)

// matches are what a regular expression found in a text.
type matches struct {
	re     *regex
	text   string
	places [][]int
}

// search runs the regular expression args[0] with the flags args[1], if there
// are any. With one argument it may be an array of both.
func (m *machine) searchRegex(name string, v any, args []any, all bool) (*matches, error) {
	expression, flags := args[0], any(nil)
	if len(args) > 1 {
		flags = args[1]
	} else if pair, ok := expression.([]any); ok {
		expression = nil
		if len(pair) > 0 {
			expression = pair[0]
		}
		if len(pair) > 1 {
			flags = pair[1]
		}
	}
	s, ok := v.(string)
	if !ok {
		return nil, failType(name, v)
	}
	text, ok := expression.(string)
	if !ok {
		return nil, failType(name, expression)
	}
	flagText, ok := flags.(string)
	if !ok && flags != nil {
		return nil, failType(name, flags)
	}
	re, err := m.regex(text, flagText)
	if err != nil {
		return nil, err
	}
	places, err := m.find(re, s, all || strings.Contains(flagText, "g"))
	if err != nil {
		return nil, err
	}
	return &matches{re, s, places}, nil
}

func nativeTest(m *machine, v any, args []any) any {
	var first [2]any
	copy(first[:], args)
	if flags, ok := first[1].(string); ok {
		first[1] = strings.ReplaceAll(flags, "g", "") // one is enough
	}
	found, err := m.searchRegex("test", v, first[:len(args)], false)
	if err != nil {
		return err
	}
	return len(found.places) > 0
}

func nativeMatch(m *machine, v any, args []any) any {
	found, err := m.searchRegex("match", v, args, false)
	if err != nil {
		return err
	}
	if err := m.charge(len(found.places) * (12 + 18*len(found.re.names))); err != nil {
		return err
	}
	out := make([]any, len(found.places))
	counted, characters := 0, 0
	for i, place := range found.places {
		characters += utf8.RuneCountInString(found.text[counted:place[0]])
		counted = place[0]
		out[i] = found.object(place, characters)
	}
	return out
}

// object is one match as jq shows it. offset is that of the match, in
// characters.
func (f *matches) object(place []int, offset int) map[string]any {
	captures := make([]any, len(place)/2-1)
	for i := range captures {
		from, to := place[2*i+2], place[2*i+3]
		capture := map[string]any{"name": nil, "offset": -1, "length": 0, "string": nil}
		if name := f.re.names[i+1]; name != "" {
			capture["name"] = name
		}
		if from >= 0 {
			capture["offset"] = offset + utf8.RuneCountInString(f.text[place[0]:from])
			capture["length"] = utf8.RuneCountInString(f.text[from:to])
			capture["string"] = f.text[from:to]
		}
		captures[i] = capture
	}
	return map[string]any{
		"offset":   offset,
		"length":   utf8.RuneCountInString(f.text[place[0]:place[1]]),
		"string":   f.text[place[0]:place[1]],
		"captures": captures,
	}
}

func nativeCapture(m *machine, v any, args []any) any {
	found, err := m.searchRegex("capture", v, args, false)
	if err != nil {
		return err
	}
	return nativeCaptures(m, found, nil)
}

// nativeCaptures returns the named captures of each match as an object.
func nativeCaptures(m *machine, v any, _ []any) any {
	found := v.(*matches)
	if err := m.charge(len(found.places) * (14 + 4*len(found.re.names))); err != nil {
		return err
	}
	out := make([]any, len(found.places))
	for i, place := range found.places {
		captures := make(map[string]any)
		for j, name := range found.re.names {
			switch {
			case name == "":
			case place[2*j] < 0:
				captures[name] = nil
			default:
				captures[name] = found.text[place[2*j]:place[2*j+1]]
			}
		}
		out[i] = captures
	}
	return out
}

func nativeScan(m *machine, v any, args []any) any {
	found, err := m.searchRegex("scan", v, args, true)
	if err != nil {
		return err
	}
	if err := m.charge(len(found.places) * (2 + 3*len(found.re.names))); err != nil {
		return err
	}
	out := make([]any, len(found.places))
	for i, place := range found.places {
		if len(place) == 2 {
			out[i] = found.text[place[0]:place[1]]
			continue
		}
		captures := make([]any, len(place)/2-1)
		for j := range captures {
			if from := place[2*j+2]; from >= 0 {
				captures[j] = found.text[from:place[2*j+3]]
			}
		}
		out[i] = captures
	}
	return out
}

func nativeSplits(m *machine, v any, args []any) any {
	found, err := m.searchRegex("splits", v, args, true)
	if err != nil {
		return err
	}
	out := make([]any, 0, len(found.places)+1)
	at := 0
	for _, place := range found.places {
		out = append(out, found.text[at:place[0]])
		at = place[1]
	}
	return append(out, found.text[at:])
}

// nativeFind is the first half of sub and gsub: args are the expression, its
// flags, and whether all matches are wanted.
func nativeFind(m *machine, v any, args []any) any {
	all := args[2] == true
	found, err := m.searchRegex("sub", v, []any{args[0], args[1]}, all)
	if err != nil {
		return err
	}
	return found
}

// nativeSubstitute is the second half: args are the matches and, for each, the
// results of the replacement. The first results make the first text, the
// second ones, if there are any, a second.
func nativeSubstitute(m *machine, _ any, args []any) any {
	found, replacements := args[0].(*matches), args[1].([]any)
	width := 0
	for _, list := range replacements {
		width = max(width, len(list.([]any)))
	}
	if width == 0 {
		return []any{found.text}
	}
	out := make([]any, width)
	for column := range out {
		text, err := m.substitute(found, replacements, column)
		if err != nil {
			return err
		}
		out[column] = text
	}
	return out
}

// nativeReplace is sub and gsub with a replacement that is always the same
// string: args are the expression, its flags, whether all matches are wanted,
// and the replacement.
func nativeReplace(m *machine, v any, args []any) any {
	found, err := m.searchRegex("sub", v, []any{args[0], args[1]}, args[2] == true)
	if err != nil {
		return err
	}
	by := args[3].(string)
	if err := m.text(len(found.text) + len(by)*len(found.places)); err != nil {
		return err
	}
	var b strings.Builder
	at := 0
	for _, place := range found.places {
		b.WriteString(found.text[at:place[0]])
		b.WriteString(by)
		at = place[1]
	}
	b.WriteString(found.text[at:])
	return b.String()
}

func (m *machine) substitute(found *matches, replacements []any, column int) (string, error) {
	total := len(found.text)
	for _, list := range replacements {
		if list := list.([]any); column < len(list) {
			switch s := list[column].(type) {
			case string:
				total += len(s)
			case nil:
			default:
				return "", failBinary("add", "", s)
			}
		}
	}
	if err := m.text(total); err != nil {
		return "", err
	}
	if err := m.charge(len(replacements)); err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(total)
	at := 0
	for i, place := range found.places {
		// A match without a result in this column leaves out the text before it too.
		if list := replacements[i].([]any); column < len(list) {
			b.WriteString(found.text[at:place[0]])
			if s, ok := list[column].(string); ok {
				b.WriteString(s)
			}
		}
		at = place[1]
	}
	b.WriteString(found.text[at:])
	return b.String(), nil
}
