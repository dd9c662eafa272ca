package programs

import (
	"fmt"
	"strings"
)

// containersCases are arrays and objects.
func containersCases() []hostile {
	return []hostile{
		{`index array`, `indices(1)|length`, arr(1000000, func(int) string { return "1" })},
		{`to_entries big`, `to_entries|length`, obj(400000)},
		{`with_entries big`, `with_entries(.value+=1)|length`, obj(100000)},
		{`keys big`, `keys|length`, obj(600000)},
		{`object iterate`, `[.[]]|length`, obj(600000)},
		{`object map_values`, `map_values(.+1)|length`, obj(300000)},
		{`object del`, `del(.[])|length`, obj(300000)},
		{`object tojson`, `tojson|length`, obj(600000)},
		{`object sort`, `[.,.,.]|sort|length`, obj(300000)},
		{`object equal`, `. as $x|[range(10)|$x==($x+{})]|length`, obj(300000)},
		{`object keys compare`, `. as $x|[range(1000)|$x<($x+{})]|length`, obj(3000)},
		{`array unique`, `unique|length`, arr(700000, func(i int) string { return fmt.Sprint(i * 7919 % 1000003) })},
		{`array sort`, `sort|length`, arr(700000, func(i int) string { return fmt.Sprint(i * 7919 % 1000003) })},
		{`array sort str`, `sort|length`, arr(400000, func(i int) string { return fmt.Sprintf(`"%d"`, i*7919%1000003) })},
		{`array sort arr`, `sort|length`, arr(200000, func(i int) string { return fmt.Sprintf(`[1,1,1,%d]`, i*7919%1000003) })},
		{`array group_by`, `group_by(.)|length`, arr(500000, func(i int) string { return fmt.Sprint(i * 7919 % 1000003) })},
		{`array group_by one`, `group_by(1)|length`, arr(1000000, func(i int) string { return "1" })},
		{`array unique_by`, `unique_by(.%10)|length`, arr(500000, func(i int) string { return fmt.Sprint(i * 7919 % 1000003) })},
		{`array min_by`, `min_by(-.)`, arr(500000, func(i int) string { return fmt.Sprint(i * 7919 % 1000003) })},
		{`array reverse`, `reverse|length`, arr(4000000, func(i int) string { return "1" })},
		{`array reverse many`, `. as $x|[range(1000)|$x|reverse]|length`, arr(4000, func(i int) string { return "1" })},
		{`array flatten`, `flatten|length`, arr(1000000, func(i int) string { return "[1]" })},
		{`flatten deep`, `flatten|length`, deep(512)},
		{`flatten deep many`, `map(flatten)|length`, arr(8000, func(i int) string { return strings.Repeat("[", 500) + strings.Repeat("]", 500) })},
		{`array add`, `add`, arr(2000000, func(i int) string { return "1" })},
		{`add strings`, `add|length`, arr(1000000, func(i int) string { return `"abc"` })},
		{`add arrays`, `add|length`, arr(1000000, func(i int) string { return `[1]` })},
		{`add objects`, `add|length`, arr(500000, func(i int) string { return fmt.Sprintf(`{"%d":1}`, i) })},
		{`join`, `join(",")|length`, arr(1000000, func(i int) string { return `1` })},
		{`join long`, `. as $x | join("aaaaaaaa")|length`, arr(1000000, func(i int) string { return `1` })},
		{`transpose`, `transpose|length`, arr(100, func(i int) string { return `[` + strings.Repeat("1,", 10000) + `1]` })},
		{`transpose triangle`, `transpose|length`, arr(1000, func(i int) string {
			if i == 0 {
				return `[` + strings.Repeat("1,", 10000) + `1]`
			}
			return "[]"
		})},
		{`delpaths`, `delpaths([range(300000)|[.]])|length`, arr(300000, func(i int) string { return "1" })},
		{`del all`, `del(.[])|length`, arr(1000000, func(i int) string { return "1" })},
		{`del some`, `del(.[]|select(.==1))|length`, arr(500000, func(i int) string { return fmt.Sprint(i % 2) })},
		{`del recursive`, `del(..|select(.==1))|length`, arr(300000, func(i int) string { return fmt.Sprint(i % 2) })},
		{`del nested deep`, `del(.[][][][])|length`, arr(300000, func(i int) string { return "[[[1]]]" })},
		{`subtract`, `.-[-1]|length`, arr(1000000, func(i int) string { return "1" })},
		{`subtract big`, `. as $x|.-$x|length`, arr(300000, func(i int) string { return fmt.Sprint(i) })},
		{`subtract strs`, `. as $x|.-$x|length`, arr(400000, func(i int) string { return fmt.Sprintf(`"%d"`, i) })},
		{`IN`, `map(IN(range(1000)))|length`, arr(100000, func(i int) string { return "1001" })},
		{`INDEX`, `INDEX(.)|length`, arr(300000, func(i int) string { return fmt.Sprint(i) })},
		{`INDEX big`, `[INDEX(.)|tojson]|length`, arr(300, func(i int) string { return `"` + strings.Repeat("a", 20000) + `"` })},
		{`any`, `any(.==2)`, arr(1000000, func(i int) string { return "1" })},
	}
}
