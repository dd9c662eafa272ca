package regex

import (
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestCostOfExpressions(t *testing.T) {
	for text, want := range map[string]Cost{
		`a`:                      {Weight: 1, Reach: 1, Least: 1},
		`[ab]+`:                  {Weight: 1, Reach: 1, Least: 1},
		`[0-9]{13,16}`:           {Weight: 2, Reach: 4, Least: 13},
		`secret=[^&]+`:           {Weight: 1, Reach: 3, Least: 8},
		`(?i)token: (\S*)`:       {Weight: 1, Reach: 4, Least: 7},
		`a(.*b)?`:                {Weight: 1, Least: 1},
		`[a-z.]+@[a-z.]+`:        {Weight: 1, Least: 3},
		`a{2,}b`:                 {Weight: 1, Least: 3},
		`x.*y|a`:                 {Weight: 1, Least: 1},
		`a|bcd`:                  {Weight: 1, Reach: 9, Least: 1},
		`^$`:                     {Weight: 1, Reach: 3},
		`(a{1,100}){1,10}`:       {Weight: 127, Reach: 2003, Least: 1},
		`[a-f]{4}-[a-f]{4,8}x*y`: {Weight: 2, Least: 10},
	} {
		if got, err := CostOf(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, err := CostOf(`a(`); err == nil {
		t.Error("no expression has a cost")
	}
}

// ahead is how far the engine reads beyond what it has looked at.
const ahead = 3

// The engine reads no byte more often than Reach says.
func TestSearchesReachNoFurther(t *testing.T) {
	texts := []string{
		strings.Repeat("1", 4000), strings.Repeat("12345678901234567 ", 300), strings.Repeat("secret=", 600),
		strings.Repeat("secret=abc&", 400), strings.Repeat("ab", 2000), strings.Repeat("abc", 1500), strings.Repeat("token: ", 500),
	}
	for _, text := range []string{`1`, `[0-9]{13,16}`, `secret=[^&]+`, `secret=[^&]*`, `[ab]+`, `(ab|abc){1,3}`, `a?b?c?d`, `ab.{0,20}c`, `(?i)token: \S*`} {
		cost, err := CostOf(text)
		if err != nil || cost.Reach == 0 {
			t.Fatalf("%s: got %+v, %v", text, cost, err)
		}
		one := regexp.MustCompile(`\A(?s:.*?)(` + text + `)`)
		for _, s := range texts {
			read, matches := 0, 0
			for from := 0; from < len(s); {
				r := &counter{text: s[from:]}
				match := one.FindReaderSubmatchIndex(r)
				read += r.at
				if match == nil {
					break
				}
				from += max(match[3], 1)
				matches++
			}
			if limit := cost.Reach*len(s) + ahead*(matches+1); read > limit {
				t.Errorf("%s in %.20s…: %d bytes read, and not %d", text, s, read, limit)
			}
		}
	}
}

// counter counts what is read of a text.
type counter struct {
	text string
	at   int
}

func (r *counter) ReadRune() (c rune, size int, err error) {
	if r.at == len(r.text) {
		return 0, 0, io.EOF
	}
	r.at++
	return rune(r.text[r.at-1]), 1, nil
}
