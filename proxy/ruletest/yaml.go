package ruletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules/document"
)

// This file writes values as YAML, on one line or as a block.

// members is a map in the order in which it is to be written.
type members []member

type member struct {
	key   string
	value codec.Value
}

// lineWidth is how long a line may become before a block is the better form.
const lineWidth = 120

// plainText needs no quotes, wherever it stands.
var plainText = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)

// otherThanText is plain, and no text to YAML 1.1 or 1.2.
var otherThanText = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)

func scalar(v codec.Value) string {
	s, ok := v.(string)
	if ok && plainText.MatchString(s) && !otherThanText.MatchString(s) {
		return s
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return escaped(strings.TrimRight(out.String(), "\n"))
}

// escaped escapes what JSON lets stand in a text, and YAML not (YAML 1.2, 5.1).
func escaped(quoted string) string {
	var b strings.Builder
	for _, r := range quoted {
		if r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isScalar(v codec.Value) bool {
	switch v := v.(type) {
	case members:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return true
}

// ordered is a map's members: in their own order, in that of the map that was there
// before, or sorted.
func ordered(v codec.Value, before *document.Node) members {
	if m, ok := v.(members); ok {
		return m
	}
	object, _ := v.(map[string]any)
	var out members
	if before != nil {
		for _, p := range before.Pairs {
			if value, ok := object[p.Key.Text]; ok {
				out = append(out, member{p.Key.Text, value})
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.ContainsFunc(out, func(m member) bool { return m.key == key }) {
			out = append(out, member{key, object[key]})
		}
	}
	return out
}

// flow is v on one line.
func flow(v codec.Value) string {
	var parts []string
	switch v := v.(type) {
	case members, map[string]any:
		for _, m := range ordered(v, nil) {
			parts = append(parts, scalar(m.key)+": "+flow(m.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return scalar(v)
}

// block is v as a block whose first line stands behind indent blanks already. Maps
// keep the order of before. What fits on a line stays there.
func block(v codec.Value, indent int, before *document.Node) string {
	if isScalar(v) {
		return flow(v)
	}
	margin := "\n" + strings.Repeat(" ", indent)
	var lines []string
	switch v := v.(type) {
	case members, map[string]any:
		for _, m := range ordered(v, before) {
			line := scalar(m.key) + ":"
			if text := flow(m.value); isScalar(m.value) || indent+len(line)+1+len(text) <= lineWidth {
				line += " " + text
			} else {
				line += margin + "  " + block(m.value, indent+2, nil)
			}
			lines = append(lines, line)
		}
	case []any:
		for _, item := range v {
			if text := flow(item); isScalar(item) || indent+2+len(text) <= lineWidth {
				lines = append(lines, "- "+text)
			} else {
				lines = append(lines, "- "+block(item, indent+2, nil))
			}
		}
	}
	return strings.Join(lines, margin)
}
