package programs

import (
	"fmt"
	"strings"
)

// hostile is a program and a payload that together would take much.
type hostile struct {
	name, program string
	body          func() string // JSON
}

func cases() (all []hostile) {
	for _, list := range [][]hostile{
		textsCases(), numbersCases(), madeCases(), containersCases(), recursionCases(), sharedCases(), errorsCases(), plansCases(),
	} {
		all = append(all, list...)
	}
	return all
}

// lit is the text s itself.
func lit(s string) func() string { return func() string { return s } }

// str is a string of n bytes made of s.
func str(n int, s string) func() string {
	return func() string { return `"` + strings.Repeat(s, n/len(s)) + `"` }
}

// arr is an array of n elements.
func arr(n int, element func(i int) string) func() string {
	return func() string {
		var b strings.Builder
		b.WriteByte('[')
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(element(i))
		}
		b.WriteByte(']')
		return b.String()
	}
}

// obj is an object of n members.
func obj(n int) func() string {
	return func() string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"k%d":1`, i)
		}
		b.WriteByte('}')
		return b.String()
	}
}

// deep is n arrays, one in the other.
func deep(n int) func() string {
	return func() string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
}
