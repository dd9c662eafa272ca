package jq

import (
	"strconv"
	"strings"
)

// treatment says what becomes of a call of a builtin.
type treatment uint8

const (
	unknown  treatment = iota
	asIs               // gojq's own
	measured           // gojq's own, behind one of this package's that pays for its input
	native             // this package's, in Go
	prelude            // this package's, in jq
	refused
)

// builtin is how calls of one builtin are treated.
type builtin struct {
	treatment treatment
	name      string // what is called in its place; "" for its own name
	input     string // the native that the input passes first: cost, text, num ...
	args      string // the native that each argument in guarded passes first
	guarded   string // the arguments that pass it: "0", "01"; "" for none
	regex     bool   // the first argument is a regular expression
	reads     readsOf
	why       string // of a refusal
}

// readsOf says what a builtin does with the input of the call.
type readsOf uint8

const (
	readsInput readsOf = iota // looks at it, or passes it on
	readsArgs                 // only its arguments see it
	readsFirst                // only its first argument sees it
)

// builtinOf returns the treatment of name with arity arguments.
func builtinOf(name string, arity int) builtin {
	if b, ok := builtinTable()[name+"/"+strconv.Itoa(arity)]; ok {
		return b
	}
	if why, ok := refusedNames()[name]; ok {
		return builtin{treatment: refused, why: why}
	}
	return builtin{}
}

func refusedNames() map[string]string {
	return map[string]string{
		"env": "a rule sees no environment", "$ENV": "a rule sees no environment",
		"input": "a rule has one input", "inputs": "a rule has one input",
		"input_line_number": "a rule has one input", "input_filename": "a rule has one input",
		"halt": "error ends a step", "halt_error": "error ends a step",
		"debug": "sluice tap shows what a step did", "stderr": "sluice tap shows what a step did",
		"modulemeta": "a rule has no modules", "get_search_list": "a rule has no modules",
		"builtins": "", "$__prog_args": "", "$__loc__": "",
	}
}

// table builds the treatment of each builtin from lists of name/arity.
type table map[string]builtin

func (t table) all(b builtin, names string) {
	for name := range strings.FieldsSeq(names) {
		t[name] = b
	}
}

func newBuiltinTable() map[string]builtin {
	t := make(table)
	t.all(builtin{treatment: asIs}, `not/0 select/1 path/1 type/0
		to_entries/0 from_entries/0 with_entries/1 map/1 arrays/0 objects/0 iterables/0 booleans/0 numbers/0 strings/0
		nulls/0 values/0 scalars/0 first/0 last/0 all/0 all/1 any/0 any/1
		truncate_stream/1 JOIN/2 JOIN/3 JOIN/4 utf8bytelength/0 toboolean/0 error/0`)
	t.all(builtin{treatment: asIs, reads: readsArgs}, `empty/0 infinite/0 nan/0 error/1 first/1 last/1 isempty/1`)
	t.all(builtin{treatment: asIs, reads: readsFirst}, `all/2 any/2`)

	// Their work grows with their input.
	t.all(builtin{treatment: measured, input: "size"}, `length/0`)
	t.all(builtin{treatment: measured, input: "characters"}, `explode/0`)
	t.all(builtin{treatment: measured, input: "cost"}, `keys/0 reverse/0 ascii_downcase/0 ascii_upcase/0
		ltrimstr/1 rtrimstr/1 trimstr/1 startswith/1 endswith/1 ltrim/0 rtrim/0 trim/0`)
	t.all(builtin{treatment: measured, input: "text"}, `tostring/0`)
	t.all(builtin{treatment: measured, input: "spelled"}, `tojson/0 format/1`)
	t.all(builtin{treatment: measured, input: "json"}, `fromjson/0`)
	t.all(builtin{treatment: measured, input: "short"}, `tonumber/0`)

	// They parse numbers, which may have a million digits.
	t.all(builtin{treatment: measured, input: "num"}, `finites/0 normals/0 abs/0 sin/0 cos/0 tan/0 asin/0 acos/0 atan/0 sinh/0
		cosh/0 tanh/0 asinh/0 acosh/0 atanh/0 floor/0 round/0 nearbyint/0 rint/0 ceil/0 trunc/0 significand/0 fabs/0 sqrt/0
		cbrt/0 exp/0 exp10/0 exp2/0 expm1/0 log/0 log10/0 log1p/0 log2/0 logb/0 gamma/0 tgamma/0 lgamma/0
		erf/0 erfc/0 j0/0 j1/0 y0/0 y1/0 isfinite/0 isinfinite/0 isnan/0 isnormal/0`)
	t.all(builtin{treatment: measured, input: "parts"}, `frexp/0 modf/0 gmtime/0 todate/0 todateiso8601/0`)
	t.all(builtin{treatment: measured, input: "parts", name: "gmtime"}, `localtime/0`)
	t.all(builtin{treatment: measured, input: "nums"}, `implode/0 mktime/0`)
	t.all(builtin{treatment: measured, input: "nums", args: "layout", guarded: "0"}, `strftime/1`)
	t.all(builtin{treatment: measured, input: "nums", args: "layout", guarded: "0", name: "strftime"}, `strflocaltime/1`)
	t.all(builtin{treatment: measured, input: "short", args: "layout", guarded: "0"}, `strptime/1`)
	t.all(builtin{treatment: measured, input: "short"}, `fromdate/0 fromdateiso8601/0`)
	t.all(builtin{treatment: measured, input: "key"}, `in/1`)
	t.all(builtin{treatment: measured, args: "key", guarded: "0"}, `has/1`)
	t.all(builtin{treatment: measured, input: "cost", args: "key", guarded: "0"}, `nth/1`)
	t.all(builtin{treatment: measured, args: "path", guarded: "0"}, `getpath/1`)
	t.all(builtin{treatment: measured, args: "bound", guarded: "0", reads: readsArgs}, `range/1`)
	t.all(builtin{treatment: measured, args: "bound", guarded: "01", reads: readsArgs}, `range/2`)
	t.all(builtin{treatment: measured, args: "bound", guarded: "012", reads: readsArgs}, `range/3`)
	t.all(builtin{treatment: measured, args: "num", guarded: "0", reads: readsArgs}, `limit/2 skip/2 nth/2`)
	t.all(builtin{treatment: measured, args: "num", guarded: "01", reads: readsArgs}, `atan2/2 copysign/2 drem/2 fdim/2
		fmax/2 fmin/2 fmod/2 hypot/2 nextafter/2 nexttoward/2 remainder/2 ldexp/2 scalb/2 scalbln/2 pow/2`)
	t.all(builtin{treatment: measured, args: "num", guarded: "012", reads: readsArgs}, `fma/3`)

	t.all(builtin{treatment: native, name: "sum"}, `add/0`)
	t.all(builtin{treatment: native}, `join/1 split/1 flatten/0 flatten/1 transpose/0 contains/1 inside/1 indices/1 index/1
		rindex/1 sort/0 unique/0 min/0 max/0 bsearch/1 setpath/2 delpaths/1`)
	t.all(builtin{treatment: native, reads: readsArgs}, `now/0 jn/2 yn/2`)

	t.all(builtin{treatment: prelude}, `del/1 map_values/1 pick/1 sort_by/1 group_by/1 unique_by/1 min_by/1 max_by/1
		combinations/0 combinations/1 fromstream/1 INDEX/1 IN/1 recurse/0 recurse/1 recurse/2 while/2 until/2 repeat/1 walk/1
		paths/0 paths/1 tostream/0`)
	t.all(builtin{treatment: prelude, reads: readsArgs}, `add/1 IN/2`)
	t.all(builtin{treatment: prelude, reads: readsFirst}, `INDEX/2`)
	t.all(builtin{treatment: prelude, regex: true}, `test/1 test/2 match/1 match/2 capture/1 capture/2 scan/1 scan/2
		splits/1 splits/2 split/2 sub/2 sub/3 gsub/2 gsub/3`)
	return t
}
