package form_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/codec/codectest"
	"github.com/sluice-proxy/sluice/codec/form"
)

type (
	o = map[string]any
	a = []any
	e = codectest.Edit
)

func TestContract(t *testing.T) {
	codectest.Run(t, codectest.Suite{
		Codec:   form.Codec{},
		Invalid: []string{"%", "a=%4", "%zz=1", "a=1&b=%0g", "a=%ff", "\xff=1", "a%C3=1"},
		Cases: []codectest.Case{
			{
				Name: "pairs", In: "b=1&a=x+y&a=%7e%2b&c", Value: o{"b": "1", "a": a{"x y", "~+"}, "c": ""},
				Edits: []e{
					{JQ: `.b = "2 &"`, Out: "b=2+%26&a=x+y&a=%7e%2b&c"},
					{JQ: `.b |= tonumber`, Out: "b=1&a=x+y&a=%7e%2b&c", Normal: true},
					{JQ: `.b = true | .c = 1.50`, Out: "b=true&a=x+y&a=%7e%2b&c=1.5", Normal: true},
					{JQ: `.b = null | .c = null`, Out: "b=&a=x+y&a=%7e%2b&c", Normal: true},
					{JQ: `.a[1] = "z"`, Out: "b=1&a=x+y&a=z&c"},
					{JQ: `.a |= reverse`, Out: "b=1&a=%7e%2b&a=x+y&c"},
					{JQ: `.a = "z"`, Out: "b=1&a=z&c"},
					{JQ: `.a = "~+"`, Out: "b=1&a=%7e%2b&c"},
					{JQ: `.a = []`, Out: "b=1&c", Normal: true},
					{JQ: `.a += ["n"]`, Out: "b=1&a=x+y&a=%7e%2b&a=n&c"},
					{JQ: `.a |= ["n"] + .`, Out: "b=1&a=n&a=x+y&a=%7e%2b&c"},
					{JQ: `.a = ["n", "m", "k"]`, Out: "b=1&a=n&a=m&a=k&c"},
					{JQ: `.b = ["n", "1"]`, Out: "b=n&b=1&a=x+y&a=%7e%2b&c"},
					{JQ: `del(.b)`, Out: "a=x+y&a=%7e%2b&c"},
					{JQ: `del(.c)`, Out: "b=1&a=x+y&a=%7e%2b"},
					{JQ: `{}`, Out: ""},
					{JQ: `.z = "é" | .d = ["1", "2"]`, Out: "b=1&a=x+y&a=%7e%2b&c&d=1&d=2&z=%C3%A9"},
					{JQ: `with_entries(.key |= "_" + .)`, Out: "_a=x+y&_a=%7E%2B&_b=1&_c="},
					{JQ: `.b = {}`, Err: "form: .b: a value is text, and object is none"},
					{JQ: `.a[1] = []`, Err: "form: .a[1]: a value is text, and array is none"},
					{JQ: `.z = [1, nan]`, Err: "form: .z[1]: a number that has no text"},
					{JQ: `.b`, Err: "form: .: a form is an object, and string is none"},
				},
			},
			{
				Name: "odd pairs", In: "&&=&=x&a;b=c;d&a==1&&%61=2&", Value: o{"": a{"", "x"}, "a;b": "c;d", "a": a{"=1", "2"}},
				Edits: []e{
					{JQ: `.[""][1] = "y"`, Out: "&&=&=y&a;b=c;d&a==1&&%61=2&"},
					{JQ: `.a[1] = "3"`, Out: "&&=&=x&a;b=c;d&a==1&&%61=3&"},
					{JQ: `.n = "1"`, Out: "&&=&=x&a;b=c;d&a==1&&%61=2&n=1"},
					{JQ: `del(.a)`, Out: "&&=&=x&a;b=c;d&&"},
					{JQ: `.a += ["3"]`, Out: "&&=&=x&a;b=c;d&a==1&&%61=2&%61=3&"},
				},
			},
			{Name: "spaces as %20", In: "a=x%20y", Value: o{"a": "x y"}, Edits: []e{{JQ: `.a += " z" | .["b c"] = 1`, Out: "a=x%20y%20z&b%20c=1", Normal: true}}},
			{Name: "nothing", In: "", Value: o{}, Edits: []e{{JQ: `{b: "1 *-._~", a: ["x", "y"]}`, Out: "a=x&a=y&b=1+*-._%7E"}}},
			{Name: "only separators", In: "&&", Value: o{}, Edits: []e{{JQ: `.a = "1"`, Out: "&&a=1"}}},
		},
	})
}
