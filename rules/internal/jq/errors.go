package jq

import (
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// failure is an error that a program can catch.
type failure struct {
	what   string // without any value
	v      any    // at fault
	valued bool   // v means something
}

func (e *failure) Error() string {
	if !e.valued {
		return e.what
	}
	return e.what + ": " + describe(e.v)
}

// failType is the failure of what on a value of the wrong type.
func failType(what string, v any) error {
	return &failure{what: what + " cannot be applied to", v: v, valued: true}
}

// failBinary is the failure of an operator.
func failBinary(what string, l, r any) error {
	return &failure{what: "cannot " + what + ": " + describe(l) + " and", v: r, valued: true}
}

// describe is a value's type and preview, in the form of gojq's errors.
func describe(v any) string {
	if v == nil {
		return "null"
	}
	return typeOf(v) + " (" + preview(v) + ")"
}

// typeOf is gojq.TypeOf that does not panic on what only this package makes.
func typeOf(v any) string {
	switch v.(type) {
	case *owner, *matches, *builder:
		return "internal"
	}
	return gojq.TypeOf(v)
}

// maxPreview is the longest preview, in bytes.
const maxPreview = 32

// preview is the beginning of v as JSON, at a cost that does not depend on how
// big v is.
func preview(v any) string {
	switch v := v.(type) {
	case string:
		return gojq.Preview(v[:min(len(v), 2*maxPreview)])
	case []any:
		return "[... " + plural(len(v), "element") + "]"
	case map[string]any:
		return "{... " + plural(len(v), "member") + "}"
	case *owner, *matches, *builder:
		return ""
	}
	return gojq.Preview(v)
}

func plural(n int, noun string) string {
	s := gojq.Preview(n) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// runtimeError is err as callers see it. Values are cut out of its message and
// kept short.
func (p *Program) runtimeError(err error) error {
	var own *failure
	if errors.As(err, &own) {
		e := &RuntimeError{Msg: own.what}
		if i := strings.Index(own.what, " ("); i >= 0 { // failBinary
			e.Msg = own.what[:i]
		}
		if own.valued {
			e.Preview = truncate(preview(own.v), maxPreview)
		}
		return e
	}
	var raised gojq.ValueError
	if errors.As(err, &raised) {
		if s, ok := raised.Value().(string); ok {
			if p.texts[s] { // the rule's own words
				return &RuntimeError{Msg: truncate(s, 256)}
			}
		}
		return &RuntimeError{Msg: "error", Preview: truncate(preview(raised.Value()), maxPreview)}
	}
	if showsMuch(err) {
		return &RuntimeError{Msg: "error of a large object"}
	}
	return stockError(err.Error())
}

// maxShown is how many members an object in the text of an error of gojq's has, which
// sorts them all to show the first.
const maxShown = 4096

// showsMuch reports whether the text of err, an error of gojq's, begins with more.
func showsMuch(err error) bool {
	v := reflect.ValueOf(err)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		for part := v.Field(i); part.Kind() == reflect.Interface || part.Kind() == reflect.Slice || part.Kind() == reflect.Map; {
			switch {
			case part.Kind() == reflect.Interface:
				part = part.Elem()
			case part.Len() == 0:
				part = reflect.Value{}
			case part.Kind() == reflect.Slice:
				part = part.Index(0)
			default:
				return part.Len() > maxShown
			}
		}
	}
	return false
}

// stockError takes the values out of the text of an error of gojq's.
func stockError(text string) *RuntimeError {
	if what, about, ok := strings.Cut(text, " cannot be applied to "); ok && !strings.Contains(what, "(") {
		return &RuntimeError{Msg: what + " cannot be applied", Preview: truncate(about, maxPreview)}
	}
	i := strings.IndexByte(text, '(')
	if i < 0 {
		i = len(text)
	}
	return &RuntimeError{Msg: strings.TrimSpace(truncate(text[:i], 128)), Preview: truncate(text[i:], maxPreview)}
}

// truncate cuts s to at most n bytes, between characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
