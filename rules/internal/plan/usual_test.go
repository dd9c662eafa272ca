package plan

import (
	"testing"

	"github.com/sluice-proxy/sluice/codec/json"
)

// usual are programs as rule files have them, texts as services send them, and
// what must come of them without a doubt.
func usual() []struct{ src, text, want string } {
	return []struct{ src, text, want string }{
		{`.user.email = "x" | del(.password)`, `{"user": {"id": 7, "email": "a@b"}, "password": "p" }`, `{"user": {"id": 7, "email": "x"} }`},
		{`.a.b.c = 1 | .A = 2`, `{"z":0}`, `{"z":0,"A":2,"a":{"b":{"c":1}}}`},
		{`.a.b = 1`, `{"a": null}`, `{"a": {"b":1}}`},
		{`.a = 1`, `{"a": 1.0}`, `{"a": 1.0}`},
		{`.a = "x"`, `{"a":"\u0078"}`, `{"a":"\u0078"}`},
		{`.b = .a`, `{"a":"\u0078", "c":{}}`, `{"a":"\u0078", "c":{}, "b":"x"}`},
		{`.b = .a`, `{"a":{ "k" : [ ] }}`, `{"a":{ "k" : [ ] },"b":{ "k" : [ ] }}`},
		{`.b = .a`, `{"a":1e400}`, `{"a":1e400,"b":1e400}`},
		{`.a += 1 | .b -= 1 | .c *= 2 | .d /= 4`, `{"a":1.10,"b":1,"c":3,"d":2}`, `{"a":2.1,"b":0,"c":6,"d":0.5}`},
		{`.a //= "x" | .b //= "y"`, `{"a":null,"b":1}`, `{"a":"x","b":1}`},
		{`del(.a, .b)`, `{ "a":1, "b":2, "c":3 }`, `{ "c":3 }`},
		{`del(.a)`, `{ "a":1 }`, `{}`},
		{`del(.a) | .b = 1`, `{ "a":1 }`, `{ "b":1 }`},
		{`del(.c, .x.y)`, `{ "a":1, "b":2 , "c":3 }`, `{ "a":1, "b":2 }`},
		{`.items[].secret = "***"`, `{"items":[{"secret":1},{"secret":2, "id":1},{"id":2}]}`, `{"items":[{"secret":"***"},{"secret":"***", "id":1},{"id":2,"secret":"***"}]}`},
		{`del(.items[].secret)`, `{"items":[{"secret":1},{"id":3}, {"secret":2, "id":1}]}`, `{"items":[{},{"id":3}, {"id":1}]}`},
		{`.items[].price |= . * 2`, `{"items":[{"id":1,"price":2},{"id":2,"price":4}]}`, `{"items":[{"id":1,"price":4},{"id":2,"price":8}]}`},
		{`.tags[] |= ascii_upcase`, `{"tags":["a", "b" ,"C"]}`, `{"tags":["A", "B" ,"C"]}`},
		{`.items |= map(select(.ok))`, `{"items":[ {"ok":1}, {"ok":false},{"ok":2} ]}`, `{"items":[ {"ok":1}, {"ok":2} ]}`},
		{`del(.items[0])`, `{"items":[1, 2,3]}`, `{"items":[2, 3]}`},
		{`(.items[] | select(.id == 2)).price = .best`, `{"best":9,"items":[{"id":1},{"id":2,"price":1}]}`, `{"best":9,"items":[{"id":1},{"id":2,"price":9}]}`},
		{`{id, name: .user.name}`, `{"user":{"name":"n"}, "x":1, "id":7}`, `{"id":7, "name":"n"}`},
		{`.items |= map({id, p: .price})`, `{"items":[{"id":1,"price":2.50},{"price":1, "id":2}]}`, `{"items":[{"id":1,"p":2.50},{"id":2, "p":1}]}`},
		{`if .n > 1 and (.s | startswith("a")) then .r = "many \(.n)" else del(.n) end`, `{"n":2,"s":"abc"}`, `{"n":2,"s":"abc","r":"many 2"}`},
		{`.ok = any(.items[]; .id == 2) | .all = all(.items[]; .id > 0) | .n = (.items | length)`, `{"items":[{"id":1},{"id":2}]}`, `{"items":[{"id":1},{"id":2}],"all":true,"n":2,"ok":true}`},
		{`del(.password) | .total = ([.items[] | .price * .quantity] | add)`, `{"password":1,"items":[{"price":2.5,"quantity":2},{"price":1,"quantity":3}]}`, `{"items":[{"price":2.5,"quantity":2},{"price":1,"quantity":3}],"total":8}`},
		{`.n = ([.items[].n] | add) | .big = ([.items[] | select(.n > 1) | .n] | add | . * 2) | .m = (.items | map(.n) | add) | .l = (.list | add) | .k = add(.items[].n)`, `{"items":[{"n":1},{"n":2},{"n":3}],"list":[]}`, `{"items":[{"n":1},{"n":2},{"n":3}],"list":[],"big":10,"k":6,"l":null,"m":6,"n":6}`},
		{`.a = $v.a | .b = $v.c[0] | .c = $v.c`, `{}`, `{"a":"x","b":1,"c":[1,"x"]}`},
		{`.data`, `{"data": [ 1, 2 ]} `, `[ 1, 2 ] `},
		{`.a`, ` {"a":1.10} `, ` 1.10 `},
		{`map_values(. + 1)`, `{"a":1, "b":2}`, `{"a":2, "b":3}`},
		{`.["a b"]["é"] = 1`, `{"a b":{"\u00e9":0}}`, `{"a b":{"\u00e9":1}}`},
		{`(.a, .b.c) = .d`, `{"a":1,"d":2}`, `{"a":2,"d":2,"b":{"c":2}}`},
		{`(.a, .b) |= . + 1`, `{"a":1,"b":2}`, `{"a":2,"b":3}`},
		{`.a[]?.b = 1 | del(.c[]?)`, `{"a":[{}], "c":1}`, `{"a":[{"b":1}], "c":1}`},
		{`.a = (.b | test("^X.Y"; "i")) | .c = (.b | test("^X"))`, `{"b":"x\u000ay xny"}`, `{"b":"x\u000ay xny","a":false,"c":false}`},
		{`.a |= floor | .b |= round | .c |= ceil`, `{"a":1.5,"b":2.5,"c":-0.5}`, `{"a":1,"b":3,"c":-0}`},
		{`.tags += ["x", "y"] | .none += [1] | .empty += [2]`, `{"tags":["a",  "b" ], "empty":[ ]}`, `{"tags":["a",  "b",  "x",  "y" ], "empty":[ 2], "none":[1]}`},
		{`.meta = {a: 1, b: .x}`, `{"x":2,"meta":{ "b":3, "z":1, "a":1.0 }}`, `{"x":2,"meta":{ "b":2, "a":1.0 }}`},
		{`. += {b: 1} | .c.d += {x: [1]}`, `{ "a":1}`, `{ "a":1, "b":1, "c":{"d":{"x":[1]}}}`},
		{`.items[] += {ok: true}`, `{"items":[{"id":1},{"id":2, "ok":false}]}`, `{"items":[{"id":1,"ok":true},{"id":2, "ok":true}]}`},
		{`{a} | . + {b: 1}`, `{"a":1,"x":2,"y":3}`, `{"a":1,"b":1}`},
		{`if .n > 100 then error("too many") else .ok = true end`, `{"n":1}`, `{"n":1,"ok":true}`},
		{`.card |= gsub("[0-9]"; "*")`, `{"card":"12-34"}`, `{"card":"**-**"}`},
		{`.mail |= sub("@.*"; "@x") | .a = (.b | gsub("A"; "o"; "i"))`, `{"mail":"ann@example.org","b":"bAna\n"}`, `{"mail":"ann@x","b":"bAna\n","a":"bono\n"}`},
		{`.a = null`, `{"a":1,"a\u0000":2}`, `{"a":null,"a\u0000":2}`},
	}
}

// FuzzText runs the usual programs on any text at all.
func FuzzText(f *testing.F) {
	programs := usual()
	for i, c := range programs {
		f.Add(uint8(i), []byte(c.text))
		f.Add(uint8(i), []byte(programs[(i+7)%len(programs)].text))
	}
	f.Fuzz(func(t *testing.T, program uint8, text []byte) {
		var n tally
		differ(t, json.Codec{}, []Step{{JQ: programs[int(program)%len(programs)].src}}, text, &n)
	})
}
