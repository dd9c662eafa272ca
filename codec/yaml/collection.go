package yaml

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// mapping brings the members of s from before to after.
func (e *editor) mapping(s *span, before, after map[string]any, stale bool) error {
	added := value.NewKeys(before, after)
	kept := make([]bool, len(s.items))
	own := make(map[string]bool, len(s.items))
	left := 0
	for i, it := range s.items {
		if isMerge(it.key.node) {
			kept[i] = true
			left++
			continue
		}
		k, _ := keyText(it.key.node)
		own[k] = true
		if _, kept[i] = after[k]; kept[i] {
			left++
		}
	}
	removed := left < len(s.items)
	if s.merges {
		if removed || stale || s.hides() && !e.pairer.Equal(before, after) {
			return e.replace(s, after)
		}
		for k, v := range before {
			w, ok := after[k]
			if !ok {
				return e.replace(s, after)
			}
			if !own[k] && !e.pairer.Equal(v, w) {
				added = append(added, k) // the own one wins
			}
		}
		slices.Sort(added)
	}
	switch {
	case !removed && len(added) == 0:
	case left == 0 || s.odd && (removed || len(added) > 0):
		return e.replace(s, after)
	case s.flow():
		return e.flowMapping(s, kept, added, before, after)
	}
	last := lastOf(kept)
	for i, it := range s.items {
		if !kept[i] {
			e.remove(s, i, kept)
			continue
		}
		if err := e.member(it, before, after); err != nil {
			return err
		}
		if i == last && len(added) > 0 {
			if err := e.insert(s, it, added, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// hides reports whether a merge key of s has members of its own. Those that lose
// against others jq did not see, so that they must not survive an edit.
func (s *span) hides() bool {
	for _, it := range s.items {
		if !isMerge(it.key.node) || it.value.node.Kind == yaml.AliasNode {
			continue
		}
		for _, source := range it.value.items {
			if it.value.node.Kind == yaml.MappingNode || source.value.node.Kind != yaml.AliasNode {
				return true
			}
		}
	}
	return false
}

// member brings the value of a member that stays from before to after.
func (e *editor) member(it item, before, after map[string]any) error {
	if isMerge(it.key.node) {
		return nil
	}
	k, _ := keyText(it.key.node)
	var err error
	if it.bare && !value.Equal(before[k], after[k]) {
		e.cut(it.key.end, it.value.end)
		e.write(": ")
		err = e.flow(after[k])
	} else {
		err = e.value(it.value, before[k], after[k])
	}
	if err != nil {
		return value.Within(value.Key(k), err)
	}
	return nil
}

// remove leaves out member i of a block: its lines, or what is before the next
// one if it does not begin its line.
func (e *editor) remove(s *span, i int, kept []bool) {
	it := s.items[i]
	e.drop(it.key)
	e.drop(it.value)
	line := lineStart(e.text, it.start)
	if strings.Trim(e.text[line:it.start], " ") != "" {
		for next := i + 1; next < len(s.items); next++ {
			if kept[next] {
				e.cut(it.start, s.items[next].start)
				return
			}
		}
	}
	end := lineEnd(e.text, it.value.end)
	if next := nextLine(e.text, end); next > 0 {
		e.cut(line, next)
		return
	}
	e.cut(line, end) // and leaves the line break before, which may be a literal's
}

// insert writes new members after the lines of it, the last of s that stays.
func (e *editor) insert(s *span, it item, added []string, after map[string]any) error {
	e.edits++
	e.keepTo(lineEnd(e.text, it.value.end))
	atStart := len(e.out) > 0 && e.out[len(e.out)-1] == '\n' // what stood here went with its line
	indent := s.content - lineStart(e.text, s.content)
	for _, k := range added {
		if atStart {
			e.write(strings.Repeat(" ", indent))
		} else {
			e.startLine(indent)
		}
		if err := e.writer.member(k, after[k], indent, 0); err != nil {
			return err
		}
		if atStart {
			e.write(e.newline)
		}
	}
	return nil
}

// flowMapping takes members out of braces and adds others after the last that
// stays, of which there is one.
func (e *editor) flowMapping(s *span, kept []bool, added []string, before, after map[string]any) error {
	last := lastOf(kept)
	for i, it := range s.items {
		if !kept[i] {
			e.drop(it.key)
			e.removeFlow(s, i, kept)
			continue
		}
		if err := e.member(it, before, after); err != nil {
			return err
		}
		if i != last || len(added) == 0 {
			continue
		}
		e.cut(it.value.end, it.value.end)
		for _, k := range added {
			e.write(", ")
			if err := e.flowMember(k, after[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeFlow leaves out item i, and the comma after it or, of the last ones,
// before it.
func (e *editor) removeFlow(s *span, i int, kept []bool) {
	e.drop(s.items[i].value)
	for next := i + 1; next < len(s.items); next++ {
		if kept[next] {
			e.cut(s.items[i].start, s.items[next].start)
			return
		}
	}
	e.cut(s.items[lastOf(kept)].value.end, s.items[i].value.end)
}

// lastOf returns the index of the last that is true, -1 if none is.
func lastOf(list []bool) int {
	for i, ok := range slices.Backward(list) {
		if ok {
			return i
		}
	}
	return -1
}

// sequence brings the elements of s from before to after.
func (e *editor) sequence(s *span, before, after []any) error {
	pairs := e.pairer.Pair(before, after)
	kept := 0 // elements that stay at the front
	for kept < len(pairs) && pairs[kept] == kept {
		kept++
	}
	inPlace := kept == len(before) && kept == len(after)
	switch {
	case inPlace:
	case len(after) == 0:
		return e.replace(s, after)
	case s.flow() || len(s.items) == 0:
		return e.flowSequence(s, pairs, before, after)
	}
	for i := range kept {
		if err := e.value(s.items[i].value, before[i], after[i]); err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	if inPlace {
		return nil
	}
	return e.blockElements(s, kept, pairs, before, after)
}

// dropUnpaired settles the anchors of the elements that leave.
func (e *editor) dropUnpaired(s *span, pairs []int) {
	stays := make([]bool, len(s.items))
	for _, j := range pairs {
		if j >= 0 {
			stays[j] = true
		}
	}
	for j, it := range s.items {
		if !stays[j] {
			e.drop(it.value)
		}
	}
}

// flowSequence brings the elements in brackets from before to after: where they
// are if they only left or were added at the end, else between new brackets.
func (e *editor) flowSequence(s *span, pairs []int, before, after []any) error {
	e.dropUnpaired(s, pairs)
	kept := make([]bool, len(s.items))
	stay, previous := 0, -1
	for stay < len(pairs) && pairs[stay] > previous {
		previous = pairs[stay]
		kept[previous] = true
		stay++
	}
	for _, j := range pairs[stay:] {
		if j >= 0 {
			stay = 0
		}
	}
	if stay == 0 {
		return e.flowAnew(s, pairs, before, after)
	}
	i := 0
	for j, it := range s.items {
		if !kept[j] {
			e.removeFlow(s, j, kept)
			continue
		}
		if err := e.value(it.value, before[j], after[i]); err != nil {
			return value.Within(value.Index(i), err)
		}
		if i++; i < stay || i == len(after) {
			continue
		}
		e.cut(it.value.end, it.value.end)
		for n := i; n < len(after); n++ {
			e.write(", ")
			if err := e.flow(after[n]); err != nil {
				return value.Within(value.Index(n), err)
			}
		}
	}
	return nil
}

// flowAnew writes brackets anew, with the elements that stay as they are.
func (e *editor) flowAnew(s *span, pairs []int, before, after []any) error {
	e.cut(s.content, s.content)
	e.write("[")
	for i, v := range after {
		if i > 0 {
			e.write(", ")
		}
		var err error
		if j := pairs[i]; j < 0 {
			err = e.flow(v)
		} else {
			it := s.items[j]
			e.pos = it.start
			err = e.value(it.value, before[j], v)
			e.keepTo(it.value.end)
		}
		if err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	e.write("]")
	e.pos = s.end
	return nil
}

// blockElements writes all elements after the first kept ones anew. One that
// stays comes with its lines and the comments above them.
func (e *editor) blockElements(s *span, kept int, pairs []int, before, after []any) error {
	e.dropUnpaired(s, pairs)
	start := s.items[0].start
	if kept > 0 {
		start = e.lineEndOf(s, kept-1)
	}
	end := e.lineEndOf(s, len(s.items)-1)
	e.cut(start, start)
	indent := s.content - lineStart(e.text, s.content)
	for i := kept; i < len(after); i++ {
		var err error
		if j := pairs[i]; j < 0 {
			if i > 0 {
				e.lead(e.newline + strings.Repeat(" ", indent))
			}
			e.write("- ")
			err = e.block(after[i], indent+step, 0)
		} else {
			err = e.element(s, i, j, indent, before, after)
		}
		if err != nil {
			return value.Within(value.Index(i), err)
		}
	}
	e.pos = max(e.pos, end)
	if n := len(after); end == len(e.text) && !strings.HasSuffix(e.text, "\n") && pairs[n-1] != len(before)-1 {
		e.write(e.newline) // a literal before may need it
	} else if n := len(e.out); n > 0 && e.out[n-1] == '\n' && nextLine(e.text, e.pos) > 0 {
		e.pos = nextLine(e.text, e.pos) // its line went with what was in it
	}
	return nil
}

func (e *editor) lineEndOf(s *span, i int) int { return lineEnd(e.text, s.items[i].value.end) }

// lead writes what comes before a dash, less the line break if there is one.
func (e *editor) lead(s string) {
	if n := len(e.out); n > 0 && e.out[n-1] == '\n' {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "\r"), "\n")
	}
	e.write(s)
}

// element writes element i, which was element j.
func (e *editor) element(s *span, i, j, indent int, before, after []any) error {
	it := s.items[j]
	switch {
	case i > 0 && j > 0:
		e.lead(e.text[e.lineEndOf(s, j-1):it.start])
	case i > 0:
		e.lead(e.newline + strings.Repeat(" ", indent))
	}
	e.pos = it.start
	if err := e.value(it.value, before[j], after[i]); err != nil {
		return err
	}
	e.keepTo(e.lineEndOf(s, j))
	return nil
}
