package tap

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// differences are the places in which what left of a half differs from what came:
// +added, -removed, ~changed.
func (h *shownHalf) differences() (found []string) {
	after := h.After
	if after == nil {
		return nil
	}
	for _, part := range []struct {
		name string
		text *string
	}{{"method", after.Method}, {"host", after.Host}, {"path", after.Path}, {"query", after.Query}} {
		if part.text != nil {
			found = append(found, "~"+part.name)
		}
	}
	if after.Status != nil {
		found = append(found, "~status")
	}
	if after.Headers != nil {
		found = diffObjects(found, "", h.Headers, after.Headers)
	}
	switch {
	case after.Format == "":
	case h.Format == "text" || h.Format == "base64" || after.Format != h.Format:
		found = append(found, "~body")
	default:
		found = diff(found, "", h.Body, after.Body)
	}
	return found
}

// diff appends to found the paths at which a and b differ: +added, -removed,
// ~changed.
func diff(found []string, path string, a, b any) []string {
	x, isObject := a.(map[string]any)
	y, both := b.(map[string]any)
	switch {
	case isObject && both:
		return diffObjects(found, path+".", x, y)
	case reflect.DeepEqual(a, b):
		return found
	}
	if v, ok := a.([]any); ok {
		if w, ok := b.([]any); ok && len(v) == len(w) {
			for i := range v {
				found = diff(found, fmt.Sprintf("%s[%d]", path, i), v[i], w[i])
			}
			return found
		}
	}
	if path == "" {
		path = "."
	}
	return append(found, "~"+path)
}

func diffObjects(found []string, path string, a, b map[string]any) []string {
	keys := slices.Sorted(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		v, before := a[k]
		w, after := b[k]
		switch {
		case !before:
			found = append(found, "+"+path+k)
		case !after:
			found = append(found, "-"+path+k)
		default:
			found = diff(found, path+k, v, w)
		}
	}
	return found
}
