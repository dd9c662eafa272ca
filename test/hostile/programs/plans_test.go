package programs

import (
	"strings"
)

// plansCases are programs that plans run on the text.
func plansCases() []hostile {
	return []hostile{
		{`plan pi`, `.a="x"|del(.b)`, func() string { return `{"a":1,"b":[` + strings.Repeat("[],", 2600000) + `1]}` }},
		{`plan each`, `(.[].a="x")`, arr(300000, func(i int) string { return `{"a":1,"b":2}` })},
		{`plan each gsub`, `(.[].a|=gsub("a";"bbbbbbbbbb"))`, arr(300000, func(i int) string { return `{"a":"aaaa","b":2}` })},
		{`plan gsub far`, `.a|=gsub("a(.*b)?";"x")`, func() string { return `{"a":"` + strings.Repeat("a", 1<<20) + `"}` }},
		{`plan gsub amp`, `.a|=gsub("a";"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")`, func() string { return `{"a":"` + strings.Repeat("a", 1<<20) + `"}` }},
		{`plan gsub rep`, `.a|=gsub("a.{0,900}b";"x")`, func() string { return `{"a":"` + strings.Repeat("a", 1<<20) + `"}` }},
		{`plan test rep`, `select(.a|test("(a.{0,900}b){1,1}"))`, func() string { return `{"a":"` + strings.Repeat("a", 8<<20-20) + `"}` }},
		{`plan test many`, `select([.b[]|.a|test("x.{0,900}y")]|any|not)`, func() string {
			return `{"b":[` + strings.Repeat(`{"a":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},`, 150000) + `{"a":"x"}]}`
		}},
		{`plan any`, `if any(.[];.a=="x") then .[0].b=1 else . end`, arr(300000, func(i int) string { return `{"a":1,"b":2}` })},
		{`plan filter`, `map(select(.a!=1))`, arr(300000, func(i int) string { return `{"a":1,"b":2}` })},
		{`plan depth`, `.a=1`, func() string { return strings.Repeat(`{"a":`, 512) + "1" + strings.Repeat("}", 512) }},
		{`plan dup keys`, `.a=1`, func() string { return `{` + strings.Repeat(`"a":1,`, 1000000) + `"b":1}` }},
		{`plan long key`, `.a=1`, func() string { return `{"` + strings.Repeat("k", 8<<20-20) + `":1}` }},
		{`plan many keys`, `.a=1|del(.zz)`, obj(600000)},
		{`plan escapes`, `.a|=ascii_downcase`, func() string { return `{"a":"` + strings.Repeat(`\u0041`, 1<<20) + `"}` }},
		{`plan contains`, `select(.a|contains("aaaaaaaaaaaab"))`, func() string { return `{"a":"` + strings.Repeat(`a`, 8<<20-40) + `"}` }},
		{`plan arith`, `(.[].a|= .*.)`, arr(300000, func(i int) string { return `{"a":1.` + strings.Repeat("7", 10) + `}` })},
		{`plan arith long`, `(.[].a|= .*2)`, arr(2000, func(i int) string { return `{"a":1.` + strings.Repeat("7", 4000) + `}` })},
		{`plan compare long`, `map(select(.a>2))`, arr(2000, func(i int) string { return `{"a":1.` + strings.Repeat("7", 4000) + `}` })},
		{`plan interp`, `(.[].a="\(.[0].b)\(.[0].b)")`, func() string {
			return `[{"b":"` + strings.Repeat("x", 100000) + `"}` + strings.Repeat(`,{"a":1}`, 100000) + `]`
		}},
		{`plan copy`, `(.[].a=.[0])`, func() string {
			return `[{"b":"` + strings.Repeat("x", 100000) + `"}` + strings.Repeat(`,{"a":1}`, 100000) + `]`
		}},
		{`plan copy2`, `.[1:]=[]|.[0].c=.[0]`, func() string {
			return `[{"b":"` + strings.Repeat("x", 4000000) + `"}` + strings.Repeat(`,{"a":1}`, 100000) + `]`
		}},
	}
}
