package jq

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	cost "github.com/sluice-proxy/sluice/rules/internal/regex"
)

// regexKey is what a regular expression is compiled from.
type regexKey struct{ text, flags string }

// regexFlags keeps the flags that change the expression, each once. g does not:
// it is the caller's.
func regexFlags(flags string) string {
	kept := ""
	for _, f := range "im" {
		if strings.ContainsRune(flags, f) {
			kept += string(f)
		}
	}
	if bad := strings.IndexFunc(flags, func(r rune) bool { return !strings.ContainsRune("gim", r) }); bad >= 0 {
		kept += "?"
	}
	return kept
}

// regex is a compiled regular expression. Go's engine is linear in the text for
// one match, but not for all: each may look far beyond its own end. So the
// first match is found by the engine at its fastest, and each further one by
// an expression that begins at the character before it, which reads the text
// through a counter.
type regex struct {
	first   *regexp.Regexp
	further *regexp.Regexp // group 1 is the match, the others are one further
	names   []string
	literal string // what it matches, if that is only this
	weight  int    // steps per character
	some    bool   // no match is empty
	reach   int    // how often a search for all matches looks at a byte at most; 0: nobody knows
}

func compileRegex(key regexKey) (*regex, error) {
	if strings.HasSuffix(key.flags, "?") {
		return nil, fmt.Errorf("a regular expression has the flags g, i and m")
	}
	text := key.text
	if strings.Contains(key.flags, "i") {
		text = "(?i)" + text
	}
	if strings.Contains(key.flags, "m") { // a dot is a newline too
		text = "(?s)" + text
	}
	first, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("not a regular expression: %w", err)
	}
	further, err := regexp.Compile(`\A(?s:.)(?s:.*?)(` + text + `)`)
	if err != nil {
		return nil, fmt.Errorf("not a regular expression: %w", err)
	}
	re := &regex{first: first, further: further, names: first.SubexpNames(), weight: 1}
	if prefix, whole := first.LiteralPrefix(); whole && prefix != "" && first.NumSubexp() == 0 && !strings.ContainsRune(prefix, utf8.RuneError) {
		re.literal = prefix
	}
	if cost, err := cost.CostOf(text); err == nil {
		re.weight, re.some, re.reach = cost.Weight, cost.Least > 0, cost.Reach
	}
	return re, nil
}

// maxExtraRegexps is how many expressions a machine keeps that were not known
// when the program was compiled: those whose flags were not.
const maxExtraRegexps = 16

func (m *machine) regex(text, flags string) (*regex, error) {
	key := regexKey{text, regexFlags(flags)}
	if re := m.program.regexps[key]; re != nil {
		return re, nil
	}
	if re := m.regexps[key]; re != nil {
		return re, nil
	}
	if err := m.charge(1000 + 16*len(text)); err != nil {
		return nil, err
	}
	re, err := compileRegex(key)
	if err != nil {
		return nil, &failure{what: err.Error()}
	}
	if len(m.regexps) < maxExtraRegexps {
		if m.regexps == nil {
			m.regexps = make(map[regexKey]*regex)
		}
		m.regexps[key] = re
	}
	return re, nil
}

// maxShort is how long a text may be, in bytes, to be searched again from the end of
// each match.
const maxShort = 128

// find returns the places of the first match of re in s, or of all, as
// regexp.FindStringSubmatchIndex does. As in jq, a match may be empty right
// behind the one before.
func (m *machine) find(re *regex, s string, all bool) ([][]int, error) {
	if err := m.text(len(s)); err != nil {
		return nil, err
	}
	if re.literal != "" {
		return m.findLiteral(re.literal, s, all)
	}
	if err := m.charge(len(s) * re.weight); err != nil {
		return nil, err
	}
	switch {
	case !all || !re.some:
	case re.reach > 0:
		if err := m.charge(len(s) * re.weight * (re.reach - 1)); err != nil {
			return nil, err
		}
		found := re.first.FindAllStringSubmatchIndex(s, -1)
		return found, m.charge(8 * len(found))
	case len(s) <= maxShort:
		found := re.first.FindAllStringSubmatchIndex(s, -1)
		return found, m.charge((8 + len(s)*re.weight) * len(found))
	}
	match := re.first.FindStringSubmatchIndex(s)
	var found [][]int
	for match != nil {
		found = append(found, match)
		if !all {
			break
		}
		from := match[1]
		if match[0] == match[1] {
			if from == len(s) {
				break
			}
			_, size := utf8.DecodeRuneInString(s[from:])
			from += size
		}
		match = m.findFrom(re, s, from)
		if m.over != nil {
			return nil, m.over
		}
	}
	return found, nil
}

func (m *machine) findLiteral(literal, s string, all bool) ([][]int, error) {
	var found [][]int
	for at := 0; ; {
		i := strings.Index(s[at:], literal)
		if i < 0 {
			return found, nil
		}
		found = append(found, []int{at + i, at + i + len(literal)})
		if !all {
			return found, nil
		}
		if at += i + len(literal); !m.pay(4) {
			return nil, m.over
		}
	}
}

// findFrom returns the first match that begins at from or later.
func (m *machine) findFrom(re *regex, s string, from int) []int {
	if from == 0 { // after an empty match of an empty text only
		return nil
	}
	_, back := utf8.DecodeLastRuneInString(s[:from])
	base := from - back
	if !m.pay(30) {
		return nil
	}
	reader := &countingReader{m: m, text: s[base:], weight: re.weight}
	match := re.further.FindReaderSubmatchIndex(reader)
	if match == nil || m.over != nil {
		return nil
	}
	match = match[2:]
	for i := range match {
		if match[i] >= 0 {
			match[i] += base
		}
	}
	return match
}

// countingReader pays for each character that is read, and ends the text when
// it no longer can.
type countingReader struct {
	m      *machine
	text   string
	at     int
	weight int
}

// ReadRune implements [io.RuneReader].
func (r *countingReader) ReadRune() (c rune, size int, err error) {
	if r.at == len(r.text) || !r.m.pay(r.weight) {
		return 0, 0, io.EOF
	}
	c, size = utf8.DecodeRuneInString(r.text[r.at:])
	r.at += size
	return c, size, nil
}
