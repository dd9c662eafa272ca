package jq

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// elements returns the elements of an array or, by sorted keys, the values of
// an object, and pays for them.
func (m *machine) elements(v any) (list []any, ok bool, err error) {
	switch v := v.(type) {
	case []any:
		return v, true, m.charge(len(v))
	case map[string]any:
		if err := m.charge(sortCost(len(v))); err != nil {
			return nil, true, err
		}
		list = make([]any, 0, len(v))
		for _, k := range sortedKeys(v) {
			list = append(list, v[k])
		}
		return list, true, nil
	}
	return nil, false, nil
}

// nativeSum is add: each run of strings, arrays or objects is put together at
// once.
func nativeSum(m *machine, v any, _ []any) any {
	list, ok, err := m.elements(v)
	switch {
	case err != nil:
		return err
	case !ok:
		return failType("add", v)
	}
	var sum any
	for i := 0; i < len(list); {
		var next any
		next, i, err = m.run(list, i)
		if err != nil {
			return err
		}
		if sum = m.add(sum, next); isError(sum) {
			return sum
		}
	}
	return sum
}

func isError(v any) bool {
	_, is := v.(error)
	return is
}

// run puts together the elements from i on that are of the type of the first,
// passing over null, and returns the index behind them.
func (m *machine) run(list []any, i int) (sum any, next int, err error) {
	switch first := list[i].(type) {
	case string:
		total := 0
		next = same[string](list, i, func(s string) { total += len(s) })
		if err := m.text(total); err != nil {
			return nil, 0, err
		}
		var b strings.Builder
		b.Grow(total)
		same[string](list, i, func(s string) { b.WriteString(s) })
		return b.String(), next, nil
	case []any:
		total := 0
		next = same[[]any](list, i, func(a []any) { total += len(a) })
		if err := m.charge(total); err != nil {
			return nil, 0, err
		}
		out := make([]any, 0, total)
		same[[]any](list, i, func(a []any) { out = append(out, a...) })
		return out, next, nil
	case map[string]any:
		total := 0
		next = same[map[string]any](list, i, func(o map[string]any) { total += len(o) })
		if err := m.charge(12 * total); err != nil {
			return nil, 0, err
		}
		out := maps.Clone(first)
		if out == nil {
			out = make(map[string]any)
		}
		same[map[string]any](list, i+1, func(o map[string]any) { maps.Copy(out, o) })
		return out, next, nil
	}
	return list[i], i + 1, nil
}

// same calls f for the elements from i on while they are of type T or null, and
// returns the index of the first that is neither.
func same[T any](list []any, i int, f func(T)) int {
	for ; i < len(list); i++ {
		if list[i] == nil {
			continue
		}
		e, ok := list[i].(T)
		if !ok {
			return i
		}
		f(e)
	}
	return i
}

func nativeFlatten(m *machine, v any, args []any) any {
	list, ok, err := m.elements(v)
	switch {
	case err != nil:
		return err
	case !ok:
		return failType("flatten", v)
	}
	depth := -1.0
	if len(args) > 0 {
		if rank(args[0]) != 3 {
			return failType("flatten", args[0])
		}
		if err := m.checkNumber(args[0]); err != nil {
			return err
		}
		n, _ := number(args[0])
		if depth = asFloat(n); !(depth >= 0) {
			return &failure{what: "flatten depth should not be negative"}
		}
	}
	flat := m.flatten([]any{}, list, depth, 0)
	if m.over != nil {
		return m.over
	}
	return flat
}

func (m *machine) flatten(flat, list []any, depth float64, level int) []any {
	if !m.pay(len(list)+1) || m.deep(level) {
		return nil
	}
	for _, e := range list {
		if inner, ok := e.([]any); ok && depth != 0 {
			if flat = m.flatten(flat, inner, depth-1, level+1); m.over != nil {
				return nil
			}
		} else {
			flat = append(flat, e)
		}
	}
	return flat
}

func nativeTranspose(m *machine, v any, _ []any) any {
	rows, ok := v.([]any)
	if !ok {
		return failType("transpose", v)
	}
	if err := m.charge(len(rows)); err != nil {
		return err
	}
	width := 0
	for _, row := range rows {
		row, ok := row.([]any)
		if !ok {
			return failType("transpose", v)
		}
		width = max(width, len(row))
	}
	if hi, size := bits.Mul64(uint64(width), uint64(len(rows)+2)); hi > 0 || !m.pay(int(min(size, 1<<40))) {
		m.fail(BudgetSteps)
		return m.over
	}
	columns := make([]any, width)
	for i := range columns {
		column := make([]any, len(rows))
		for j, row := range rows {
			if row := row.([]any); i < len(row) {
				column[j] = row[i]
			}
		}
		columns[i] = column
	}
	return columns
}

func nativeContains(m *machine, v any, args []any) any {
	contains := m.contains(v, args[0], 0)
	if m.over != nil {
		return m.over
	}
	return contains
}

// contains returns a bool, or an error for values that cannot contain each
// other.
func (m *machine) contains(v, part any, depth int) any {
	if !m.pay(1) || m.deep(depth) {
		return false
	}
	switch v := v.(type) {
	case string:
		if part, ok := part.(string); ok {
			m.pay(len(v) / 16)
			return strings.Contains(v, part)
		}
	case []any:
		if parts, ok := part.([]any); ok {
			for _, p := range parts {
				if !slices.ContainsFunc(v, func(e any) bool { return m.over == nil && m.contains(e, p, depth+1) == true }) {
					return false
				}
			}
			return true
		}
	case map[string]any:
		if parts, ok := part.(map[string]any); ok {
			for k, p := range parts {
				if e, ok := v[k]; !ok || m.contains(e, p, depth+1) != true {
					return false
				}
			}
			return true
		}
	case bool, nil:
		if v == part {
			return true
		}
	default:
		if rank(v) == 3 && rank(part) == 3 {
			return m.equal(v, part)
		}
	}
	return failBinary("check containment", v, part)
}

// keyed is an element to be sorted.
type keyed struct {
	value, key any
	at         int
}

// sorted returns the elements of v in the order of keys.
func (m *machine) sorted(name string, v, keys any) ([]keyed, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, failType(name, v)
	}
	by, ok := keys.([]any)
	if !ok || len(by) != len(list) {
		return nil, failType(name, keys)
	}
	if err := m.charge(3 * len(list)); err != nil {
		return nil, err
	}
	items := make([]keyed, len(list))
	for i := range list {
		items[i] = keyed{list[i], by[i], i}
	}
	slices.SortFunc(items, func(a, b keyed) int {
		if !m.pay(1) {
			return 0
		}
		if c := m.compare(a.key, b.key); c != 0 {
			return c
		}
		return a.at - b.at
	})
	return items, m.over
}

func nativeSort(m *machine, v any, _ []any) any { return m.sortBy("sort", v, v) }

func nativeSortBy(m *machine, v any, args []any) any { return m.sortBy("sort_by", v, args[0]) }

func (m *machine) sortBy(name string, v, keys any) any {
	items, err := m.sorted(name, v, keys)
	if err != nil {
		return err
	}
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = item.value
	}
	return out
}

// groups returns runs of equal keys.
func (m *machine) groups(name string, v, keys any) ([][]keyed, error) {
	items, err := m.sorted(name, v, keys)
	if err != nil {
		return nil, err
	}
	var groups [][]keyed
	start := 0
	for i := 1; i <= len(items); i++ {
		if i == len(items) || !m.equal(items[start].key, items[i].key) {
			groups = append(groups, items[start:i])
			start = i
		}
	}
	return groups, m.over
}

func nativeGroupBy(m *machine, v any, args []any) any {
	groups, err := m.groups("group_by", v, args[0])
	if err != nil {
		return err
	}
	out := make([]any, len(groups))
	for i, g := range groups {
		members := make([]any, len(g))
		for j, item := range g {
			members[j] = item.value
		}
		out[i] = members
	}
	return out
}

func nativeUnique(m *machine, v any, _ []any) any { return m.uniqueBy("unique", v, v) }

func nativeUniqueBy(m *machine, v any, args []any) any { return m.uniqueBy("unique_by", v, args[0]) }

func (m *machine) uniqueBy(name string, v, keys any) any {
	groups, err := m.groups(name, v, keys)
	if err != nil {
		return err
	}
	out := make([]any, len(groups))
	for i, g := range groups {
		out[i] = g[0].value
	}
	return out
}

func nativeMin(m *machine, v any, _ []any) any { return m.best("min", v, v, -1) }

func nativeMinBy(m *machine, v any, args []any) any { return m.best("min_by", v, args[0], -1) }

func nativeMax(m *machine, v any, _ []any) any { return m.best("max", v, v, 1) }

func nativeMaxBy(m *machine, v any, args []any) any { return m.best("max_by", v, args[0], 1) }

// best returns the first least element (sign -1) or the last greatest (1).
func (m *machine) best(name string, v, keys any, sign int) any {
	list, ok := v.([]any)
	if !ok {
		return failType(name, v)
	}
	by, ok := keys.([]any)
	if !ok || len(by) != len(list) {
		return failType(name, keys)
	}
	if len(list) == 0 {
		return nil
	}
	at := 0
	for i := 1; i < len(by); i++ {
		if !m.pay(2) {
			return m.over
		}
		if less := m.compare(by[at], by[i]) > 0; less == (sign < 0) {
			at = i
		}
	}
	return list[at]
}

func nativeBsearch(m *machine, v any, args []any) any {
	list, ok := v.([]any)
	if !ok {
		return failType("bsearch", v)
	}
	i, found := slices.BinarySearchFunc(list, args[0], func(e, want any) int {
		m.pay(1)
		return m.compare(e, want)
	})
	if !found {
		return -i - 1
	}
	return i
}

// nativeObject makes an object of [key, value] pairs; the last of a key wins.
func nativeObject(m *machine, v any, _ []any) any {
	pairs := v.([]any)
	if err := m.charge(8 * len(pairs)); err != nil {
		return err
	}
	out := make(map[string]any, len(pairs))
	for _, p := range pairs {
		out[p.([]any)[0].(string)] = p.([]any)[1]
	}
	return out
}
