package xml_test

import (
	"bytes"
	"encoding/json"
	stdxml "encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// reference reads a document with encoding/xml.
func reference(data []byte) (any, error) {
	strict := stdxml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := strict.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	d := stdxml.NewDecoder(bytes.NewReader(data))
	root := &element{members: object{}}
	stack := []*element{root}
	for {
		start := d.InputOffset()
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return root.members, nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case stdxml.StartElement:
			top.endRun()
			child := &element{name: full(token.Name), members: object{}}
			for _, a := range token.Attr {
				child.members["@"+full(a.Name)] = a.Value
			}
			stack = append(stack, child)
		case stdxml.EndElement:
			stack = stack[:len(stack)-1]
			stack[len(stack)-1].add(top)
		case stdxml.CharData:
			if len(stack) > 1 {
				raw := string(data[start:d.InputOffset()])
				top.run += string(token)
				top.data = top.data || strings.Trim(raw, " \t\r\n") != "" && raw != "<![CDATA[]]>"
			}
		case stdxml.Directive:
			return nil, fmt.Errorf("directive %q", token)
		}
	}
}

type element struct {
	name      string
	members   object
	run, text string
	data      bool
	children  bool
}

func (e *element) endRun() {
	e.children = true
	if e.data {
		e.text += e.run
	}
	e.run, e.data = "", false
}

func (e *element) add(child *element) {
	if child.children {
		child.endRun()
	}
	text := child.text + child.run
	var v any = child.members
	if len(child.members) == 0 {
		v = text
	} else if text != "" {
		child.members["#text"] = text
	}
	switch before := e.members[child.name].(type) {
	case nil:
		e.members[child.name] = v
	case []any:
		e.members[child.name] = append(before, v)
	default:
		e.members[child.name] = []any{before, v}
	}
}

func full(n stdxml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// newerName reports whether encoding/xml refused a name that the fourth edition
// of XML 1.0 did not have.
func newerName(data []byte, err error) bool {
	return bytes.ContainsFunc(data, func(r rune) bool { return r >= utf8.RuneSelf }) && strings.Contains(err.Error(), "name")
}

// spaced is v with white space in attributes as encoding/xml does not normalise
// it.
func spaced(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = spaced(e)
		}
		return list
	case object:
		o := make(object, len(v))
		for k, e := range v {
			if s, ok := e.(string); ok && k[0] == '@' {
				e = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(s)
			}
			o[k] = spaced(e)
		}
		return o
	}
	return v
}

// sameDocument reports whether w, which was written, means what was read again.
func sameDocument(w, again any) bool {
	switch a := again.(type) {
	case string:
		switch w := w.(type) {
		case nil:
			return a == ""
		case bool:
			return a == fmt.Sprint(w)
		case string:
			return a == w
		case []any:
			return len(w) == 1 && sameDocument(w[0], a)
		case object:
			return len(elements(w)) == 0 && sameDocument(w["#text"], a)
		}
		var n json.Number
		return json.Unmarshal([]byte(a), &n) == nil && value.Equal(n, w)
	case []any:
		w, ok := w.([]any)
		if !ok || len(w) != len(a) {
			return false
		}
		for i := range a {
			if !sameDocument(w[i], a[i]) {
				return false
			}
		}
		return true
	}
	if list, ok := w.([]any); ok && len(list) == 1 {
		return sameDocument(list[0], again)
	}
	o, ok := w.(object)
	if !ok || len(elements(o)) != len(elements(again.(object))) {
		return false
	}
	for k, v := range elements(o) {
		if v2, ok := again.(object)[k]; !ok || !sameDocument(v, v2) {
			return false
		}
	}
	text, _ := again.(object)["#text"].(string)
	return sameDocument(o["#text"], text)
}

// elements is o without its text and without empty arrays.
func elements(o object) object {
	rest := make(object)
	for k, v := range o {
		if list, ok := v.([]any); k != "#text" && (!ok || len(list) > 0) {
			rest[k] = v
		}
	}
	return rest
}

// sameShape reports whether a and b differ at most in strings that are not
// empty.
func sameShape(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && (a == "") == (b == "")
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameShape(a[i], b[i]) {
				return false
			}
		}
		return true
	case object:
		b, ok := b.(object)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if _, ok := b[k]; !ok || !sameShape(a[k], b[k]) {
				return false
			}
		}
		return true
	}
	return false
}

// plain matches documents whose values have but one spelling.
var plain = regexp.MustCompile(`^(</?[A-Za-z0-9]+>|[A-Za-z0-9 \n])*$`)

// isMixed reports whether v has text beside children somewhere.
func isMixed(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, isMixed)
	case object:
		_, ok := v["#text"]
		return ok || slices.ContainsFunc(slices.Collect(maps.Values(v)), isMixed)
	}
	return false
}
