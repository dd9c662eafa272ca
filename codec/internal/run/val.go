package run

import (
	"encoding/json"
	"math/big"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/plan"
)

// Kind is the type of a value, in jq's order.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

// typeNames are what jq calls the kinds.
var typeNames = [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

// Form is how a [Val] holds its number.
type Form uint8

// The forms.
const (
	Int     Form = iota
	Float        // finite, or not
	Spelled      // by Text, as in JSON
	Other        // by Value: a [json.Number] or a [*big.Int]
)

// Val is a value that a run works with. The zero Val is null.
type Val struct {
	Kind  Kind
	Form  Form
	Moved bool  // of a container: something in it is a node's, with all that it is there
	Node  int32 // of a container: the node whose it is, or None
	Int   int
	Float float64
	Text  []byte      // what a string says; a number that is Spelled; a container, if its format has that as text
	Value codec.Value // a number that is Other; a container that is no node's; what else a format keeps of one
}

// BoolVal is the boolean b.
func BoolVal(b bool) Val {
	if b {
		return Val{Kind: True}
	}
	return Val{Kind: False}
}

// IntVal is the number i.
func IntVal(i int) Val { return Val{Kind: Number, Int: i} }

// FloatVal is the number f, finite or not.
func FloatVal(f float64) Val { return Val{Kind: Number, Form: Float, Float: f} }

// StringVal is the string that text says. The run holds on to text.
func StringVal(text []byte) Val { return Val{Kind: String, Text: text} }

func (v *Val) holds() bool { return v.Kind > False }

// IsContainer reports whether v is an array or an object.
func (v *Val) IsContainer() bool { return v.Kind >= Array }

// Values works values out that need no look at the message.
type Values struct {
	Outcome plan.Outcome // Changed as long as nothing else is known
	Scratch []byte       // what is made during a run, to be appended to only

	vars   []codec.Value
	most   int // bytes that may be made
	looked int // steps that looking for regular expressions took
}

// Doubt ends the run: the plan cannot tell.
func (r *Values) Doubt() { r.Outcome = plan.Unsure }

// Measure doubts if too much has been made.
func (r *Values) Measure(made []byte) {
	if len(made) > r.most {
		r.Doubt()
	}
}

// Keep returns s as bytes that last as long as the run.
func (r *Values) Keep(s string) []byte {
	from := len(r.Scratch)
	r.Scratch = append(r.Scratch, s...)
	return r.Made(from)
}

// Made is the scratch behind from, which nobody appends to.
func (r *Values) Made(from int) []byte { return r.Scratch[from:len(r.Scratch):len(r.Scratch)] }

// FromValue is v as a run works with it.
func (r *Values) FromValue(v codec.Value) Val {
	switch v := v.(type) {
	case nil:
		return Val{}
	case bool:
		return BoolVal(v)
	case int:
		return IntVal(v)
	case float64:
		return FloatVal(v)
	case *big.Int, json.Number:
		return Val{Kind: Number, Form: Other, Value: v}
	case string:
		return StringVal(r.Keep(v))
	case []any:
		return Val{Kind: Array, Value: v, Node: None}
	case map[string]any:
		return Val{Kind: Object, Value: v, Node: None}
	}
	r.Doubt()
	return Val{}
}

// variable is what is at e's Path in a variable.
func (r *Values) variable(e *plan.Expr) Val {
	if e.Var >= len(r.vars) {
		r.Doubt()
		return Val{}
	}
	v := r.vars[e.Var]
	for _, step := range e.Path {
		switch in := v.(type) {
		case nil:
		case map[string]any:
			key, ok := step.(string)
			if !ok {
				r.Doubt()
				return Val{}
			}
			v = in[key]
		case []any:
			i, ok := step.(int)
			if !ok {
				r.Doubt()
				return Val{}
			}
			v = nil
			if i < len(in) {
				v = in[i]
			}
		default:
			r.Doubt()
			return Val{}
		}
	}
	return r.FromValue(v)
}
