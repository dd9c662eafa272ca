package jq

import (
	"slices"
	"strconv"
	"strings"
)

// word is an identifier, keyword, $variable or @format of a source.
type word struct {
	at   int
	text string
}

// words returns the words of src, those in the interpolations of strings too.
// What follows a dot is a field, not a word.
func words(src string) []word {
	s := wordScanner{src: src}
	s.scan(false)
	return s.words
}

type wordScanner struct {
	src   string
	at    int
	words []word
}

// scan reads to the end, or to the parenthesis that closes an interpolation.
func (s *wordScanner) scan(interpolation bool) {
	open := 0
	for s.at < len(s.src) {
		c := s.src[s.at]
		switch {
		case c == '#':
			for s.at < len(s.src) && s.src[s.at] != '\n' && s.src[s.at] != '\r' {
				s.at++
			}
		case c == '"':
			s.at++
			s.str()
		case c == '(':
			open++
			s.at++
		case c == ')':
			s.at++
			if open--; interpolation && open < 0 {
				return
			}
		case c == '.' && s.at+1 < len(s.src) && isWordByte(s.src[s.at+1]):
			s.at++
			s.word()
		case isWordByte(c):
			if from := s.at; s.word() && (c < '0' || c > '9') {
				s.words = append(s.words, word{from, s.src[from:s.at]})
			}
		case c == '$' || c == '@':
			from := s.at
			if s.at++; s.word() {
				s.words = append(s.words, word{from, s.src[from:s.at]})
			}
		default:
			s.at++
		}
	}
}

// word skips the bytes of a word and reports whether there were any.
func (s *wordScanner) word() bool {
	from := s.at
	for s.at < len(s.src) && isWordByte(s.src[s.at]) {
		s.at++
	}
	return s.at > from
}

func (s *wordScanner) str() {
	for s.at < len(s.src) {
		switch s.src[s.at] {
		case '"':
			s.at++
			return
		case '\\':
			s.at += 2
			if s.at <= len(s.src) && s.src[s.at-1] == '(' {
				s.scan(true)
			}
		default:
			s.at++
		}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// suggestFunction returns a hint for an unknown function.
func (r *rewriter) suggestFunction(name string, arity int) string {
	if name == "keys_unsorted" {
		return "did you mean keys?"
	}
	var arities []string
	best, distance := "", 3
	if len(name) <= 3 {
		distance = 2
	}
	consider := func(known string, knownArity int) {
		if known == name {
			arities = append(arities, strconv.Itoa(knownArity))
		} else if d := editDistance(name, known); d < distance || d == distance && best != "" && known < best {
			best, distance = known, d
		}
	}
	for key := range builtinTable() {
		known, a, _ := strings.Cut(key, "/")
		n, _ := strconv.Atoi(a)
		consider(known, n)
	}
	for _, b := range r.scope {
		if b.arity >= 0 {
			consider(b.name, b.arity)
		}
	}
	if len(arities) > 0 {
		slices.Sort(arities)
		return name + " takes " + strings.Join(slices.Compact(arities), " or ") + " arguments, not " + strconv.Itoa(arity)
	}
	return didYouMean(best)
}

func (r *rewriter) suggestVariable(name string) string {
	var known []string
	for _, b := range r.scope {
		if b.arity == variable {
			known = append(known, b.name)
		}
	}
	return didYouMean(closest(name, known))
}

func (r *rewriter) suggestFormat(name string) string {
	return didYouMean(closest(name, []string{"@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64", "@base64d"}))
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + name + "?"
}

func closest(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is how many letters must be put in, taken out or changed.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
