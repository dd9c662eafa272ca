package document

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Reference returns the reference of the values of s as a table of Markdown: a row
// for each key, with what stands there and what it is for.
func (s Shape) Reference() string {
	var b strings.Builder
	b.WriteString("| key | value | |\n|---|---|---|\n")
	s.rows(&b, "")
	return b.String()
}

func (s Shape) rows(b *strings.Builder, prefix string) {
	for _, f := range s.Fields {
		doc := f.Doc
		if f.Required {
			doc += " Has to be there."
		}
		for _, example := range f.Examples {
			text, err := json.Marshal(example)
			if err == nil {
				doc += " `" + strings.ReplaceAll(unescaped(text), "|", "\\|") + "`"
			}
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, f.Key, f.Shape.name(), doc)
		below := f.Shape
		path := prefix + f.Key + "."
		if below.Kind == "list" {
			below, path = *below.Items, prefix+f.Key+"[]."
		}
		below.rows(b, path)
	}
}

// unescaped is a text of YAML for what JSON has escaped or quoted without need.
func unescaped(text []byte) string {
	var s string
	if json.Unmarshal(text, &s) == nil {
		return s
	}
	return string(text)
}

// name says in words what s takes.
func (s Shape) name() string {
	if s.Null {
		s.Null = false
		return s.name() + ", or null"
	}
	switch {
	case s.Kind == "later":
		return "not yet"
	case s.Kind == "list" && s.Single:
		return s.Items.name() + ", or a list"
	case s.Kind == "list":
		return "a list"
	case s.Kind == "object" && s.Short != nil:
		return s.Short.name() + ", or these keys"
	case s.Kind == "object":
		return "these keys"
	case s.Kind == "map":
		return "a map to " + s.Items.name()
	case s.Kind == "program":
		return "jq"
	case s.Kind == "instant":
		return "an instant"
	case s.Kind == "any":
		return "anything"
	case s.Kind == "string" && len(s.Enum) == 0:
		return "a text"
	case s.Kind == "integer" && s.Lowest < s.Highest:
		return fmt.Sprintf("%d to %d", s.Lowest, s.Highest)
	}
	names := make([]string, 0, len(s.Enum)+1)
	if s.Kind != "string" {
		names = append(names, map[string]string{"size": "a size", "duration": "a duration", "rate": "a rate", "percent": "a percentage", "boolean": "true or false", "integer": "a number"}[s.Kind])
	}
	for _, e := range s.Enum {
		names = append(names, fmt.Sprint(e))
	}
	return strings.Join(names, ", ")
}
