package document

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Value is a decoded value and where it stands. The zero Value is one that the
// file does not have.
type Value[T any] struct {
	V  T
	At *Node // nil: not in the file
}

// Or returns the value, or def if the file does not have it.
func (v Value[T]) Or(def T) T {
	if v.At == nil {
		return def
	}
	return v.V
}

// Type reads a node as a T and describes what it takes.
type Type[T any] struct {
	Shape Shape
	// Read reports what is wrong with the node itself and answers false then.
	Read func(*Node) (T, bool)
}

// Shape describes the values of a [Type], for a schema and a reference.
type Shape struct {
	Kind   string // string, program, integer, boolean, duration, size, instant, rate, percent, list, map, object, any, later
	Enum   []any  // of a string: all that it can be; of a size: what it can be beside sizes
	Items  *Shape // of a list or a map
	Single bool   // of a list: one item may stand without the list
	Fields []Info // of an object
	Short  *Shape // of an object: what may stand in its place
	Null   bool   // null may stand in its place

	Lowest, Highest int64 // of an integer
}

// Info describes one field of an object.
type Info struct {
	Key      string
	Doc      string // one sentence
	Shape    Shape
	Required bool
	Examples []any // values that it may have
}

// String takes any text that YAML does not take for something else.
func String() Type[string] {
	return Type[string]{Shape{Kind: "string"}, func(n *Node) (string, bool) {
		switch {
		case n.Kind != Scalar:
			return n.wrongType("a text")
		case n.tag != "!!str" && n.tag != "!!timestamp":
			n.Report(CodeWrongType, "write "+strconv.Quote(n.Text), "a text is needed, not %s", n.what())
			return "", false
		}
		return n.Text, true
	}}
}

func (n *Node) wrongType(need string) (string, bool) {
	n.Report(CodeWrongType, "", "%s is needed, not %s", need, n.what())
	return "", false
}

// what names what a node is, for problems.
func (n *Node) what() string {
	switch n.Kind {
	case List:
		return "a list"
	case Map:
		return "a map"
	}
	switch n.tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!null":
		return "nothing"
	}
	return "a text"
}

// Parsed takes a text that parse understands; the text of its error is the
// problem, and hint says what would be right.
func Parsed[T any](hint string, parse func(string) (T, error)) Type[T] {
	text := String()
	return Type[T]{text.Shape, func(n *Node) (T, bool) {
		var none T
		if n.Kind == Scalar && n.tag != "!!str" {
			n.Report(CodeWrongType, hint, "a text is needed, not %s", n.what())
			return none, false
		}
		s, ok := text.Read(n)
		if !ok {
			return none, false
		}
		v, err := parse(s)
		if err != nil {
			n.Report(CodeBadValue, hint, "%s", err)
		}
		return v, err == nil
	}}
}

// OrNull is t, or null, which is read as the zero value.
func OrNull[T any](t Type[T]) Type[T] {
	shape := t.Shape
	shape.Null = true
	return Type[T]{shape, func(n *Node) (T, bool) {
		if n.Kind == Scalar && n.tag == "!!null" {
			var none T
			return none, true
		}
		return t.Read(n)
	}}
}

// Instant takes an instant as RFC 3339 writes it.
func Instant() Type[time.Time] {
	return Type[time.Time]{Shape{Kind: "instant"}, func(n *Node) (time.Time, bool) {
		if n.Kind != Scalar || n.tag != "!!str" && n.tag != "!!timestamp" {
			_, ok := n.wrongType("an instant")
			return time.Time{}, ok
		}
		t, err := time.Parse(time.RFC3339, n.Text)
		if err != nil {
			n.Report(CodeBadValue, "such as 2026-03-01T12:00:00Z", "%q is no instant", n.Text)
		}
		return t, err == nil
	}}
}

// Program takes a jq program. It checks nothing but that YAML left it whole.
func Program() Type[string] {
	return Type[string]{Shape{Kind: "program"}, func(n *Node) (string, bool) {
		if n.Kind != Scalar {
			n.mangled()
			return "", false
		}
		return n.Text, true
	}}
}

// Enum takes one of the texts given.
func Enum[T ~string](of ...T) Type[T] {
	var names []string
	for _, v := range of {
		names = append(names, string(v))
	}
	text := String()
	return Type[T]{Shape{Kind: "string", Enum: anys(names)}, func(n *Node) (T, bool) {
		if n.Kind == Scalar && slices.Contains(names, n.Text) { // off is a boolean to some
			return T(n.Text), true
		}
		s, ok := text.Read(n)
		if !ok {
			return "", false
		}
		hint := "one of " + strings.Join(names, ", ")
		if near := nearest(s, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		n.Report(CodeBadValue, hint, "%q is not possible here", s)
		return "", false
	}}
}

func anys(names []string) []any {
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out
}

// Bool takes true or false.
func Bool() Type[bool] {
	return Type[bool]{Shape{Kind: "boolean"}, func(n *Node) (bool, bool) {
		if n.Kind != Scalar || n.tag != "!!bool" {
			_, ok := n.wrongType("true or false")
			return false, ok
		}
		return strings.EqualFold(n.Text, "true"), true
	}}
}

// Int takes a whole number from lowest to highest.
func Int(lowest, highest int64) Type[int64] {
	return Type[int64]{Shape{Kind: "integer", Lowest: lowest, Highest: highest}, func(n *Node) (int64, bool) {
		if n.Kind != Scalar || n.tag != "!!int" {
			_, ok := n.wrongType("a whole number")
			return 0, ok
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Text, "_", ""), 0, 64)
		if err != nil || i < lowest || i > highest {
			n.Report(CodeBadValue, "", "%s is not between %d and %d", n.Text, lowest, highest)
			return 0, false
		}
		return i, true
	}}
}

// Any takes any value as jq sees it; numbers keep their spelling.
func Any() Type[codec.Value] {
	return Type[codec.Value]{Shape{Kind: "any"}, readAny}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func readAny(n *Node) (codec.Value, bool) {
	switch n.Kind {
	case List:
		list, ok := make([]any, 0, len(n.Items)), true
		for _, item := range n.Items {
			v, good := readAny(item)
			list, ok = append(list, v), ok && good
		}
		return list, ok
	case Map:
		object, ok := make(map[string]any, len(n.Pairs)), true
		for _, p := range n.distinct() {
			v, good := readAny(p.Value)
			object[p.Key.Text], ok = v, ok && good
		}
		return object, ok
	}
	switch n.tag {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Text, "true"), true
	case "!!int", "!!float":
		return n.number()
	}
	return n.Text, !n.broken()
}

func (n *Node) number() (codec.Value, bool) {
	if i, err := strconv.Atoi(n.Text); err == nil {
		return i, true
	}
	if jsonNumber.MatchString(n.Text) {
		return json.Number(n.Text), true
	}
	if i, ok := new(big.Int).SetString(n.Text, 0); ok {
		return i, true
	}
	n.Report(CodeBadValue, "put it in quotes if it is a text", "%s is no number of JSON", n.Text)
	return nil, false
}

// ListOf takes a list.
func ListOf[T any](item Type[T]) Type[[]Value[T]] { return list(item, false) }

// OneOrList takes a list, or one item that stands for a list of one.
func OneOrList[T any](item Type[T]) Type[[]Value[T]] { return list(item, true) }

func list[T any](item Type[T], single bool) Type[[]Value[T]] {
	return Type[[]Value[T]]{Shape{Kind: "list", Items: &item.Shape, Single: single}, func(n *Node) ([]Value[T], bool) {
		items := n.Items
		switch {
		case n.Kind != List && !single:
			_, ok := n.wrongType("a list")
			return nil, ok
		case n.Kind != List:
			items = []*Node{n}
		case len(items) == 0:
			n.Report(CodeEmpty, "remove it", "the list is empty")
			return nil, false
		}
		var out []Value[T]
		for _, i := range items {
			if i.broken() {
				continue
			}
			if i.lacking(item.Shape) {
				i.Report(CodeEmpty, "give it a value or remove it", "there is no value")
				continue
			}
			if v, ok := item.Read(i); ok {
				out = append(out, Value[T]{v, i})
			}
		}
		return out, true
	}}
}

// Entry is one key of a map and its value.
type Entry[T any] struct {
	Key   Value[string]
	Value Value[T]
}

// MapOf takes a map of any keys.
func MapOf[T any](item Type[T]) Type[[]Entry[T]] {
	return Type[[]Entry[T]]{Shape{Kind: "map", Items: &item.Shape}, func(n *Node) ([]Entry[T], bool) {
		if n.Kind != Map {
			_, ok := n.wrongType("a map")
			return nil, ok
		}
		var out []Entry[T]
		for _, p := range n.distinct() {
			if p.empty(item.Shape) {
				continue
			}
			if v, ok := item.Read(p.Value); ok {
				out = append(out, Entry[T]{Value[string]{p.Key.Text, p.Key}, Value[T]{v, p.Value}})
			}
		}
		return out, true
	}}
}

// distinct returns n's pairs without repeated keys, which it reports.
func (n *Node) distinct() []Pair {
	seen := make(map[string]*Node, len(n.Pairs))
	var out []Pair
	for _, p := range n.Pairs {
		if p.Key.Kind != Scalar {
			p.Key.Report(CodeWrongType, "", "a key has to be a text")
			continue
		}
		if first := seen[p.Key.Text]; first != nil {
			p.Key.Report(CodeDuplicateKey, "", "the key stands on line %d already", first.Line)
			continue
		}
		seen[p.Key.Text] = p.Key
		out = append(out, p)
	}
	return out
}

// empty reports the key of a pair that has no value, where s needs one. It
// answers true for a value as well that was reported before.
func (p Pair) empty(s Shape) bool {
	if p.Value.broken() {
		return true
	}
	if !p.Value.lacking(s) {
		return false
	}
	p.Key.Report(CodeEmpty, "give it a value or remove it", "there is no value")
	return true
}

// broken reports whether n was refused when the document was built.
func (n *Node) broken() bool { return n.Kind == Scalar && n.tag == "" }

// lacking reports whether n is null where s needs a value.
func (n *Node) lacking(s Shape) bool {
	return n.Kind == Scalar && n.tag == "!!null" && s.Kind != "any" && !s.Null && (s.Kind != "program" || n.Text == "")
}
