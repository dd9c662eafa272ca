package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// errHead is what every error of [editHead] wraps.
var errHead = errors.New("no possible head")

func badHead(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errHead, fmt.Sprintf(format, args...))
}

// editHead writes onto h the difference between before, its view, and after,
// what a step made of it. It returns h itself if there is none. Lines that the
// step did not change keep their order and the case of their names.
func editHead(h *Head, before map[string]any, after any) (*Head, error) {
	object, ok := after.(map[string]any)
	if !ok {
		return nil, badHead("the result is no object")
	}
	for key := range object {
		if _, ok := before[key]; !ok {
			return nil, badHead("a head has no %.32q", key)
		}
	}
	out := *h
	for _, key := range []string{"method", "path", "params", "query", "host", "status", "headers"} {
		old, has := before[key]
		if !has || equalViews(old, object[key]) {
			continue
		}
		if err := out.edit(key, object[key]); err != nil {
			return nil, err
		}
	}
	if out.Method == h.Method && out.Path == h.Path && out.Query == h.Query && out.Host == h.Host &&
		out.Status == h.Status && slices.Equal(out.Fields, h.Fields) {
		return h, nil
	}
	return &out, nil
}

// edit sets one part of the head, which differs from what v says.
func (h *Head) edit(key string, v any) (err error) {
	switch key {
	case "method":
		h.Method, err = editText(key, v, func(s string) bool { return isToken(s) && s != "CONNECT" && h.Method != "CONNECT" })
	case "path":
		h.Path, err = editText(key, v, isPath)
	case "host":
		h.Host, err = editText(key, v, isHost)
	case "params":
		err = badHead("params cannot be changed")
	case "status":
		status, ok := wholeNumber(v)
		if !ok || status < 200 || status > 599 {
			return badHead("status is no number from 200 to 599")
		}
		h.Status = status
	case "query":
		h.Query, err = editQuery(h.Query, v)
	case "headers":
		h.Fields, err = editFields(h.Fields, v)
	}
	return err
}

func wholeNumber(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), v == float64(int(v))
	case json.Number:
		i, err := strconv.Atoi(string(v))
		return i, err == nil
	}
	return 0, false
}

func editText(key string, v any, possible func(string) bool) (string, error) {
	s, ok := v.(string)
	if !ok || !possible(s) {
		return "", badHead("not a possible %s", key)
	}
	return s, nil
}

// editQuery replaces the parts of raw whose names have other values in v, and
// leaves the others as they were written. New names follow, sorted.
func editQuery(raw string, v any) (string, error) {
	object, ok := v.(map[string]any)
	if !ok && v != nil {
		return "", badHead("query is no object")
	}
	old := queryByName(raw)
	replaced := make(map[string][]string)
	for name, value := range object {
		values, err := editValues("query."+name, value)
		if err != nil {
			return "", err
		}
		if had, ok := old[name]; !ok || !sameValues(had, value, ", ") {
			replaced[name] = values
		}
	}
	for name := range old {
		if _, ok := object[name]; !ok {
			replaced[name] = nil
		}
	}
	var out []string
	add := func(name string) {
		for _, value := range replaced[name] {
			out = append(out, queryEncode(name)+"="+queryEncode(value))
		}
	}
	placed := make(map[string]bool)
	for _, part := range queryParts(raw) {
		name, _, _ := part.split()
		switch _, edited := replaced[name]; {
		case part == "" || !edited:
			out = append(out, string(part))
		case !placed[name]:
			add(name)
			placed[name] = true
		}
	}
	if raw == "" {
		out = nil
	}
	for _, name := range sortedKeys(replaced) {
		if !placed[name] {
			add(name)
		}
	}
	return strings.Join(out, "&"), nil
}

// editFields sets the fields whose values differ in v. A name that is not in
// lower case means the lower-case one and is written as it stands if it is new.
func editFields(fields Fields, v any) (Fields, error) {
	object, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, badHead("headers is no object")
	}
	old := byName(fields)
	out := fields
	set := make(map[string]bool)
	for _, name := range sortedKeys(object) { // upper case sorts first, and wins
		lower := strings.ToLower(name)
		if set[lower] {
			continue
		}
		set[lower] = true
		values, err := editValues("headers."+name, object[name])
		if err != nil {
			return nil, err
		}
		if had := old[lower]; sameValues(had, object[name], joinOf(lower)) || len(had) == 0 && len(values) == 0 {
			continue
		}
		if err := checkField(lower, values); err != nil {
			return nil, err
		}
		out = out.With(name, values...)
	}
	for _, name := range sortedKeys(old) {
		if !set[name] {
			if err := checkField(name, nil); err != nil {
				return nil, err
			}
			out = out.With(name)
		}
	}
	return out, nil
}

func joinOf(name string) string {
	if name == "cookie" {
		return "; "
	}
	return ", "
}

// sameValues reports whether v says just what the values had say, joined or
// each for itself.
func sameValues(had []string, v any, join string) bool {
	if len(had) == 0 {
		return false
	}
	if s, ok := v.(string); ok {
		return s == strings.Join(had, join)
	}
	return equalViews(viewStrings(had), v)
}

// editValues are the values that v stands for: null none, an array each of its
// items. Numbers and booleans become their JSON text.
func editValues(what string, v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		var out []string
		for _, item := range v {
			s, ok := scalarText(item)
			if !ok {
				return nil, badHead("%.64s: an item is no text", what)
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, ok := scalarText(v)
	if !ok {
		return nil, badHead("%.64s is neither a text nor an array", what)
	}
	return []string{s}, nil
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case *big.Int:
		return v.String(), true
	case json.Number:
		return v.String(), true
	case float64:
		text, err := json.Marshal(v)
		return string(text), err == nil
	}
	return "", false
}

// fixedFields belong to the connection or to the framing, and are never a
// rule's to change.
var fixedFields = []string{
	"connection", "content-length", "host", "http2-settings", "keep-alive", "proxy-connection",
	"te", "trailer", "transfer-encoding", "upgrade",
}

func checkField(name string, values []string) error {
	switch {
	case !isToken(name):
		return badHead("%.32q is no header name", name)
	case slices.Contains(fixedFields, name):
		return badHead("%s belongs to the connection and cannot be changed", name)
	}
	for _, v := range values {
		if !isFieldValue(v) {
			return badHead("%.64s: a value has a control character, or white space at an end", name)
		}
	}
	return nil
}

// isToken is RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// isFieldValue is RFC 9110 5.5: nothing that ends a line, no other control
// character but a tab, and no white space at the ends.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

// isPath is a path in its escaped form, without a query.
func isPath(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			return false
		}
		if c == '%' && (i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0) {
			return false
		}
	}
	return strings.HasPrefix(s, "/")
}

// isHost is a host, or an address in brackets, and perhaps a port.
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~:[]", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// equalViews reports whether two parts of a view are equal. A view has only
// strings, ints, arrays and objects.
func equalViews(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equalViews(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalViews)
	case string:
		b, ok := b.(string)
		return ok && a == b
	case int:
		i, ok := wholeNumber(b)
		return ok && a == i
	}
	return a == nil && b == nil
}
