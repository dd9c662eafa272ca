package jq

import (
	"math"
	"sync"

	"github.com/itchyny/gojq"
)

// nativeFunc is a builtin in Go. It pays the machine's meter before it works,
// and returns its result or an error. It must not keep args, nor change
// anything that a program can see.
type nativeFunc func(m *machine, v any, args []any) any

type nativeDef struct {
	min, max int // arity
	f        nativeFunc
}

// nativeTable is made once and never changed.
var nativeTable = sync.OnceValue(func() map[string]nativeDef {
	table := make(map[string]nativeDef)
	add := func(arity int, f nativeFunc, names ...string) {
		for _, name := range names {
			table[nativeName(name)] = nativeDef{arity, arity, f}
		}
	}
	// guards
	add(0, guardCost, "_cost")
	add(0, guardSize, "_size")
	add(0, guardCharacters, "_characters")
	add(0, guardEnter, "_enter")
	add(0, guardShown, "_shown")
	add(0, guardNew, "_new")
	add(0, guardText, "_text")
	add(0, guardSpelled, "_spelled")
	add(0, guardLayout, "_layout")
	add(0, guardParts, "_parts")
	add(0, guardBound, "_bound")
	add(0, guardJSON, "_json")
	add(0, guardShort, "_short")
	add(0, guardNumber, "_num")
	add(0, guardNumbers, "_nums")
	add(0, guardKey, "_key")
	add(0, guardPath, "_path")
	// operators
	add(2, nativeAdd, "_add")
	add(2, nativeSubtract, "_subtract")
	add(2, nativeMultiply, "_multiply")
	add(2, nativeDivide, "_divide")
	add(2, nativeModulo, "_modulo")
	add(2, func(m *machine, _ any, a []any) any { return m.equal(a[0], a[1]) }, "_equal")
	add(2, func(m *machine, _ any, a []any) any { return !m.equal(a[0], a[1]) }, "_unequal")
	add(2, func(m *machine, _ any, a []any) any { return m.compare(a[0], a[1]) > 0 }, "_greater")
	add(2, func(m *machine, _ any, a []any) any { return m.compare(a[0], a[1]) < 0 }, "_less")
	add(2, func(m *machine, _ any, a []any) any { return m.compare(a[0], a[1]) >= 0 }, "_at_least")
	add(2, func(m *machine, _ any, a []any) any { return m.compare(a[0], a[1]) <= 0 }, "_at_most")
	add(2, func(m *machine, _ any, a []any) any { return m.bessel("jn", a[0], a[1], math.Jn) }, "_jn")
	add(2, func(m *machine, _ any, a []any) any { return m.bessel("yn", a[0], a[1], math.Yn) }, "_yn")
	// arrays and objects
	add(0, nativeSum, "_sum")
	add(1, nativeContains, "_contains")
	add(1, func(m *machine, v any, a []any) any { return nativeContains(m, a[0], []any{v}) }, "_inside")
	add(0, nativeTranspose, "_transpose")
	table[nativeName("_flatten")] = nativeDef{0, 1, nativeFlatten}
	add(0, nativeSort, "_sort")
	add(0, nativeUnique, "_unique")
	add(0, nativeMin, "_min")
	add(0, nativeMax, "_max")
	add(1, nativeSortBy, "_sort_by")
	add(1, nativeGroupBy, "_group_by")
	add(1, nativeUniqueBy, "_unique_by")
	add(1, nativeMinBy, "_min_by")
	add(1, nativeMaxBy, "_max_by")
	add(1, nativeBsearch, "_bsearch")
	add(0, nativeObject, "_object")
	// edits
	add(2, nativeSetpath, "_setpath")
	add(1, nativeDelpaths, "_delpaths")
	add(0, nativeOwner, "_owner")
	add(3, nativeSet, "_set")
	add(2, nativeGet, "_get")
	add(2, nativeMark, "_mark")
	add(1, nativeSweep, "_sweep")
	add(0, nativeBuilder, "_builder")
	add(2, nativeFeed, "_feed")
	// strings
	add(1, nativeJoin, "_join")
	add(1, nativeSplit, "_split")
	add(1, nativeIndices, "_indices")
	add(1, nativeIndex, "_index")
	add(1, nativeRindex, "_rindex")
	table[nativeName("_test")] = nativeDef{1, 2, nativeTest}
	table[nativeName("_match")] = nativeDef{1, 2, nativeMatch}
	table[nativeName("_capture")] = nativeDef{1, 2, nativeCapture}
	add(2, nativeScan, "_scan")
	add(2, nativeSplits, "_splits")
	add(3, nativeFind, "_find")
	add(0, nativeCaptures, "_captures")
	add(4, nativeReplace, "_replace")
	add(2, nativeSubstitute, "_substitute")
	// time
	add(0, nativeNow, "_now")
	return table
})

// errorCost is what an error costs to make, which names its values.
const errorCost = 48

// bindNatives makes the named natives of m known to gojq's compiler.
func bindNatives(m *machine, names map[string]bool) []gojq.CompilerOption {
	options := make([]gojq.CompilerOption, 0, len(names)+1)
	for name := range names {
		def := nativeTable()[name]
		options = append(options, gojq.WithFunction(name, def.min, def.max, func(v any, args []any) any {
			result := def.f(m, v, args)
			if isError(result) {
				m.pay(errorCost)
			}
			if m.over != nil {
				return m.over
			}
			return result
		}))
	}
	return options
}
