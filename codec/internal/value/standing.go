package value

import "cmp"

// Standing reports whether every element is known to pair with the one that
// stood in its place, without a look at all that is in them: those that are not
// the same are objects, and one member that the edit left alone tells them
// apart. So none of them has become what another was. It need not find such a
// member.
func Standing(before, after []any) bool {
	if len(before) != len(after) {
		return false
	}
	first := -1
	for i := range after {
		if Same(before[i], after[i]) {
			continue
		}
		_, was := before[i].(map[string]any)
		_, is := after[i].(map[string]any)
		if !was || !is {
			return false
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		return true
	}
	tried := 0
	for name, v := range before[first].(map[string]any) {
		var apart bool
		switch v.(type) {
		case int:
			apart = tellsApart[int](name, before[first:], after[first:])
		case string:
			apart = tellsApart[string](name, before[first:], after[first:])
		default:
			continue
		}
		if tried++; apart || tried == maxTried {
			return apart
		}
	}
	return false
}

// maxTried is how many members are tried.
const maxTried = 4

// tellsApart reports whether the member is a T in each object that is not the
// same any more, is no other than before, and is nowhere what it is elsewhere.
func tellsApart[T cmp.Ordered](name string, before, after []any) bool {
	var last T
	var seen map[T]struct{} // as soon as they do not rise: identifiers mostly do
	found := make([]T, 0, len(after))
	for i := range after {
		if Same(before[i], after[i]) {
			continue
		}
		was, ok := before[i].(map[string]any)[name].(T)
		is, also := after[i].(map[string]any)[name].(T)
		if !ok || !also || was != is {
			return false
		}
		if seen == nil && len(found) > 0 && was <= last {
			seen = make(map[T]struct{}, len(after))
			for _, v := range found {
				seen[v] = struct{}{}
			}
		}
		if seen != nil {
			if _, twice := seen[was]; twice {
				return false
			}
			seen[was] = struct{}{}
		}
		found, last = append(found, was), was
	}
	return true
}
