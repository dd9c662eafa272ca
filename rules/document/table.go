package document

import (
	"slices"
	"strings"
)

// Field is one key of an object that is read into an S.
type Field[S any] struct {
	Info
	read func(p Pair, into *S)
}

// Key is the field key of type t, whose value goes where at points. doc is one
// sentence about it, for the reference.
func Key[S, T any](key string, t Type[T], at func(*S) *Value[T], doc string) Field[S] {
	return Field[S]{Info: Info{Key: key, Doc: doc, Shape: t.Shape}, read: func(p Pair, into *S) {
		if p.empty(t.Shape) {
			return
		}
		if v, ok := t.Read(p.Value); ok {
			*at(into) = Value[T]{v, p.Value}
		}
	}}
}

// Required is f as a field that has to be there.
func Required[S any](f Field[S]) Field[S] {
	f.Required = true
	return f
}

// Such is f with examples of what its value may be, for the schema.
func (f Field[S]) Such(as ...any) Field[S] {
	f.Examples = as
	return f
}

// LaterKey is a field that is known and not built yet.
func LaterKey[S any](key, doc string) Field[S] {
	return Field[S]{Info: Info{Key: key, Doc: doc, Shape: Shape{Kind: "later"}}, read: func(p Pair, _ *S) {
		p.Key.Report(CodeNotYet, "remove it", "this key is not there yet")
	}}
}

// Table lists the fields of an object in the order of the reference. It is the
// one description of an object: the parser, the schema and the reference come
// from it.
type Table[S any] []Field[S]

// Object takes a map with the fields of table.
func Object[S any](table Table[S]) Type[S] {
	shape := Shape{Kind: "object"}
	var keys []string
	for _, f := range table {
		shape.Fields = append(shape.Fields, f.Info)
		keys = append(keys, f.Key)
	}
	return Type[S]{shape, func(n *Node) (S, bool) {
		var out S
		if n.Kind != Map {
			n.Report(CodeWrongType, "its keys are "+strings.Join(keys, ", "), "a map is needed, not %s", n.what())
			return out, false
		}
		pairs := n.distinct()
		for _, p := range pairs {
			i := slices.Index(keys, p.Key.Text)
			if i < 0 {
				hint := "the keys here are " + strings.Join(keys, ", ")
				if near := nearest(p.Key.Text, keys); near != "" {
					hint = "did you mean " + near + "?"
				}
				p.Key.Report(CodeUnknownKey, hint, "unknown key")
				continue
			}
			table[i].read(p, &out)
		}
		for _, f := range table {
			if f.Required && !slices.ContainsFunc(pairs, func(p Pair) bool { return p.Key.Text == f.Key }) {
				n.Report(CodeMissing, "", "%s is needed", f.Key)
			}
		}
		return out, true
	}}
}

// ObjectOr is the object t, or a short form of it that stands for the object
// long makes of it.
func ObjectOr[S, T any](t Type[S], short Type[T], long func(Value[T]) S) Type[S] {
	shape := t.Shape
	shape.Short = &short.Shape
	return Type[S]{shape, func(n *Node) (S, bool) {
		if n.Kind == Map {
			return t.Read(n)
		}
		v, ok := short.Read(n)
		if !ok {
			var none S
			return none, false
		}
		return long(Value[T]{v, n}), true
	}}
}

// Programs returns the keys in s, and in all below it, that hold jq programs.
func (s Shape) Programs() []string {
	var keys []string
	for _, f := range s.Fields {
		if f.Shape.Kind == "program" {
			keys = append(keys, f.Key)
		}
		keys = append(keys, f.Shape.Programs()...)
	}
	if s.Items != nil {
		keys = append(keys, s.Items.Programs()...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// nearest returns the one of names that s is most likely a slip of, or "".
func nearest(s string, names []string) string {
	best, least := "", 1+max(1, len(s)/3)
	for _, name := range names {
		if d := distance(strings.ToLower(s), name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap to turn a
// into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
