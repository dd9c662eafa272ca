package programs

import (
	"strings"
)

// errorsCases are errors, labels and patterns.
func errorsCases() []hostile {
	return []hostile{
		{`error huge`, `error(.)`, str(8<<20-8, "a")},
		{`error huge arr`, `error(.)`, arr(1000000, func(i int) string { return "1" })},
		{`error caught`, `. as $x|[range(300000)|try error($x) catch 1]|length`, str(8<<20-8, "a")},
		{`error caught text`, `. as $x|[range(300000)|try ($x|implode) catch .]|length`, arr(1000, func(i int) string { return `"x"` })},
		{`error caught add`, `. as $x|[range(300000)|try ($x+1) catch .]|length`, arr(1000, func(i int) string { return `"x"` })},
		{`error caught big`, `. as $x|[range(300000)|try ($x+1) catch .]|length`, lit(`{"a":"` + strings.Repeat("a", 1000000) + `"}`)},
		{`error caught nested`, `. as $x|[range(300000)|try ($x|tonumber) catch .]|length`, arr(10000, func(i int) string { return `["x"]` })},
		{`error caught index`, `. as $x|[range(300000)|try ($x|.a) catch .]|length`, arr(10000, func(i int) string { return `["x"]` })},
		{`error caught object index`, `. as $x|[range(300000)|try ($x|.[0]) catch .]|length`, obj(10000)},
		{`error caught iterate`, `. as $x|[range(300000)|try ($x|.[]) catch .]|length`, str(8<<20-8, "a")},
		{`error caught key`, `. as $x|[range(300000)|try {($x):1} catch .]|length`, obj(10000)},
		{`error caught haskey`, `. as $x|[range(300000)|try ($x|has("a")) catch .]|length`, arr(10000, func(i int) string { return `["x"]` })},
		{`error caught floor`, `. as $x|[range(300000)|try ($x|floor) catch .]|length`, obj(10000)},
		{`error caught fromjson`, `. as $x|[range(300000)|try ($x|fromjson) catch .]|length`, str(1000, "a")},
		{`error caught ltrimstr`, `. as $x|[range(300000)|try ($x|startswith("a")) catch .]|length`, obj(10000)},
		{`error caught gsub`, `. as $x|[range(300000)|try ($x|gsub("a";"b")) catch .]|length`, obj(10000)},
		{`error caught format`, `. as $x|[range(300000)|try ($x|@csv) catch .]|length`, obj(10000)},
		{`error caught format2`, `. as $x|[range(300000)|try ([$x]|@csv) catch .]|length`, obj(1000)},
		{`error caught sort`, `. as $x|[range(300000)|try ($x|sort) catch .]|length`, obj(10000)},
		{`error caught date`, `. as $x|[range(300000)|try ($x|fromdate) catch .]|length`, str(4000, "a")},
		{`error caught range`, `. as $x|[range(300000)|try [range($x)] catch .]|length`, obj(10000)},
		{`error caught tonumber`, `. as $x|[range(300000)|try ($x|tonumber) catch .]|length`, str(4000, "a")},
		{`alt loop`, `[range(1000000)|(error("x")? // 1)]|length`, lit("1")},
		{`try repeat`, `try repeat(error("x")) catch .`, lit("1")},
		{`try until`, `until(false; try error("x") catch 1)`, lit("1")},
		{`label`, `[label $f|range(1e9)|if .>2 then break $f else . end]|length`, lit("1")},
		{`label rec`, `def f: label $a|(f,break $a); f`, lit("1")},
		{`label many`, `[range(1000000)|label $f|(1,break $f)]|length`, lit("1")},
		{`destructure`, `[.[] as [$a,[$b,{c:$d}]] | $a,$b,$d]|length`, arr(100000, func(i int) string { return `[1,[2,{"c":3}]]` })},
		{`destructure alt`, `[.[] as [$a] ?// $a | if ($a|type)=="number" then error("x") else $a end]|length`, arr(100000, func(i int) string { return `[1]` })},
		{`destructure rec`, `[range(1000000) as $x | $x]|length`, lit("1")},
	}
}
