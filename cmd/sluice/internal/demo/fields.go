package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// field is one member of a JSON object as it was spelled.
type field struct {
	name  string
	value json.RawMessage
}

// fieldsOf splits a JSON object into its members, in their order.
func fieldsOf(text string) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object: %.32q", text)
	}
	var list []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		f := field{name: name.(string)} // in an object, every other token is
		if err := d.Decode(&f.value); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	_, err := d.Token()
	return list, err
}

// has reports whether list holds f with the very same text.
func has(list []field, f field) bool {
	return slices.ContainsFunc(list, func(g field) bool { return g.name == f.name && bytes.Equal(g.value, f.value) })
}
