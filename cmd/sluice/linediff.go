package main

import (
	"slices"
	"strings"
)

// lineDiff is a line of two texts side by side.
type lineDiff struct {
	mark byte // ' ' in both, '-' in the first, '+' in the second
	text string
}

// diffTooMuch bounds the table of a comparison; beyond it all lines differ.
const diffTooMuch = 4 << 20

func sameLine(a, b string) bool { return a == b }

// sameMember compares lines of indented JSON: the comma behind a member says
// nothing of the member.
func sameMember(a, b string) bool { return strings.TrimSuffix(a, ",") == strings.TrimSuffix(b, ",") }

// diffLines compares two texts by their longest common subsequence of lines. A
// line in both is as in the second.
func diffLines(a, b []string, same func(a, b string) bool) []lineDiff {
	var out []lineDiff
	for len(a) > 0 && len(b) > 0 && same(a[0], b[0]) {
		out = append(out, lineDiff{' ', b[0]})
		a, b = a[1:], b[1:]
	}
	// The first brace that closes is the better match: from the end only if it must be.
	end := 0
	for (len(a)+1)*(len(b)+1) > diffTooMuch && end < len(a) && end < len(b) && same(a[len(a)-1-end], b[len(b)-1-end]) {
		end++
	}
	left := b[len(b)-end:]
	a, b = a[:len(a)-end], b[:len(b)-end]
	out = append(out, diffMiddle(a, b, same)...)
	for _, line := range left {
		out = append(out, lineDiff{' ', line})
	}
	removedFirst(out)
	return out
}

// removedFirst puts what is removed before what stands in its place.
func removedFirst(lines []lineDiff) {
	for i := 0; i < len(lines); i++ {
		end := i
		for end < len(lines) && lines[end].mark != ' ' {
			end++
		}
		slices.SortStableFunc(lines[i:end], func(a, b lineDiff) int { return int(b.mark) - int(a.mark) }) // '+' is below '-'
		i = end
	}
}

func diffMiddle(a, b []string, same func(a, b string) bool) []lineDiff {
	var out []lineDiff
	var common [][]int // of a[i:] and b[j:]
	if (len(a)+1)*(len(b)+1) <= diffTooMuch {
		common = make([][]int, len(a)+1)
		for i := len(a); i >= 0; i-- {
			common[i] = make([]int, len(b)+1)
			for j := len(b) - 1; j >= 0 && i < len(a); j-- {
				if common[i][j] = max(common[i+1][j], common[i][j+1]); same(a[i], b[j]) {
					common[i][j] = common[i+1][j+1] + 1
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case common != nil && i < len(a) && j < len(b) && same(a[i], b[j]):
			out = append(out, lineDiff{' ', b[j]})
			i, j = i+1, j+1
		case i < len(a) && (common == nil || j == len(b) || common[i+1][j] > common[i][j+1]):
			out = append(out, lineDiff{'-', a[i]})
			i++
		default:
			out = append(out, lineDiff{'+', b[j]})
			j++
		}
	}
	return out
}

// near keeps the lines that differ and up to around lines on each side. What is
// left out becomes a line of its own, "..."; nothing is left of equal texts.
func near(lines []lineDiff, around int) []lineDiff {
	keep := make([]bool, len(lines))
	for i := range lines {
		if lines[i].mark != ' ' {
			for k := max(0, i-around); k <= min(len(lines)-1, i+around); k++ {
				keep[k] = true
			}
		}
	}
	if !slices.Contains(keep, true) {
		return nil
	}
	var out []lineDiff
	for i, line := range lines {
		switch {
		case keep[i]:
			out = append(out, line)
		case len(out) > 0 && out[len(out)-1].text != "...", len(out) == 0:
			out = append(out, lineDiff{' ', "..."})
		}
	}
	return out
}
