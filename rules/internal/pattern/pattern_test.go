package pattern

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestParseSaysWhereAndWhy(t *testing.T) {
	for _, c := range []struct {
		pattern     string
		offset, end int
		msg, hint   string
	}{
		{"GET", 0, 3, "no path", "a pattern is [METHOD ][HOST]/[PATH], such as GET /v1/orders/{id}"},
		{"", 0, 0, "no path", "a pattern is [METHOD ][HOST]/[PATH], such as GET /v1/orders/{id}"},
		{"get /a", 0, 3, "methods are written in upper case", "GET"},
		{"G(T /a", 0, 3, "not a possible method", "such as GET or POST"},
		{"GET shop:80/a", 4, 11, "a pattern's host has no port", "use port: beside http:"},
		{"[::1]:80/a", 0, 8, "a pattern's host has no port", "use port: beside http:"},
		{"*.shop/a", 0, 6, "a pattern's host has no star", "use host: beside http:"},
		{"{h}/a", 0, 3, "a host has no wildcards", "is the first slash missing?"},
		{"/a{b}", 1, 5, "a wildcard is a whole segment", "such as /{name}/"},
		{"/{b", 1, 3, "a wildcard is a whole segment", "such as /{name}/"},
		{"/{}", 1, 3, "a wildcard's name is letters, digits and _", "such as {id}"},
		{"/{a-b}", 1, 6, "a wildcard's name is letters, digits and _", "such as {id}"},
		{"/{$}/b", 1, 4, "{$} stands only at the end", ""},
		{"/{a...}/b", 1, 7, "{...} stands only at the end", ""},
		{"/x/{a}/{a}", 7, 10, "two wildcards of the name a", ""},
		{"/a?b=1", 2, 6, "a pattern has no query", `match it by where:, as in .query.a == "1"`},
	} {
		_, err := Parse(c.pattern)
		var got *SyntaxError
		if !errors.As(err, &got) {
			t.Errorf("%q: got %v", c.pattern, err)
			continue
		}
		if want := (SyntaxError{c.offset, c.end, c.msg, c.hint}); *got != want {
			t.Errorf("%q: got %+v, want %+v", c.pattern, *got, want)
		}
	}
}

func TestParseGRPCSaysWhereAndWhy(t *testing.T) {
	for _, c := range []struct {
		pattern     string
		offset, end int
	}{
		{"", 0, 0}, {"/shop.Orders/Create", 0, 1}, {"shop.Orders", 0, 11}, {"shop..Orders/Create", 0, 12},
		{"shop.Orders/Cr-eate", 12, 19}, {"*/Create", 0, 1}, {"shop.Orders/", 12, 12},
	} {
		_, err := ParseGRPC(c.pattern)
		var got *SyntaxError
		if !errors.As(err, &got) || got.Offset != c.offset || got.End != c.end {
			t.Errorf("%q: got %+v", c.pattern, err)
		}
	}
}

func TestHostsCompareInLowerCaseWithoutFinalDot(t *testing.T) {
	var index Index
	index.Add(mustParse(t, "Shop.SVC./a"), 1)
	index.Add(mustParse(t, "[FE80::1]/a"), 2)
	for host, want := range map[string]int{"shop.svc": 1, "fe80::1": 2} {
		if found := index.Find(nil, "GET", host, "/a"); len(found) != 1 || found[0].ID != want {
			t.Errorf("%s: got %v", host, found)
		}
	}
}

func TestEscapedSlashStaysInItsSegment(t *testing.T) {
	p := mustParse(t, "/files/{name}/meta/{rest...}")
	params := p.Params("/files/a%2Fb/meta/c%2Fd/e")
	if params["name"] != "a/b" || params["rest"] != "c/d/e" {
		t.Errorf("got %v", params)
	}
}

func TestOnlyTheRootMatchesWhatIsNoPath(t *testing.T) {
	var index Index
	for i, s := range []string{"/", "/{$}", "/{a}", "/a"} {
		index.Add(mustParse(t, s), i)
	}
	for _, path := range []string{"*", "shop:443"} {
		if found := index.Find(nil, "OPTIONS", "h", path); len(found) != 1 || found[0].ID != 0 {
			t.Errorf("%s: got %v", path, found)
		}
	}
}

func TestGRPCOrder(t *testing.T) {
	var index GRPCIndex
	for i, s := range []string{"*", "shop.Orders/*", "shop.Orders/Create", "shop.Orders/Create", "shop.Other/Create"} {
		p, err := ParseGRPC(s)
		if err != nil || p.String() != s {
			t.Fatal(s, p, err)
		}
		index.Add(p, i)
	}
	if got := index.Find(nil, "shop.Orders", "Create"); !slices.Equal(got, []int{2, 3, 1, 0}) {
		t.Errorf("got %v", got)
	}
	if got := index.Find(nil, "x", "y"); !slices.Equal(got, []int{0}) {
		t.Errorf("got %v", got)
	}
	all, _ := ParseGRPC("*")
	service, _ := ParseGRPC("a.B/*")
	method, _ := ParseGRPC("a.B/C")
	other, _ := ParseGRPC("a.D/C")
	for _, c := range []struct {
		p, q GRPC
		want Relation
	}{
		{all, all, Equal}, {service, all, MoreSpecific}, {service, method, MoreGeneral},
		{method, method, Equal}, {method, other, Disjoint}, {service, other, Disjoint}, {all, method, MoreGeneral},
	} {
		if got := CompareGRPC(c.p, c.q); got != c.want {
			t.Errorf("%v and %v: got %v, want %v", c.p, c.q, got, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		path, canonical string
		ambiguous       bool
		lenient         string
	}{
		{"/a/b", "/a/b", false, "/a/b"},
		{"/%61/%7e%2d", "/a/~-", false, "/a/~-"},
		{"/a%c3%a9", "/a%C3%A9", false, "/a%C3%A9"},
		{"/a\xc3\xa9", "/a%C3%A9", false, "/a%C3%A9"},
		{"/a%20b", "/a%20b", false, "/a%20b"},
		{"*", "*", false, "*"},
		{"", "", false, ""},
		{"/a%2fb", "/a%2Fb", true, "/a/b"},
		{"/a%5Cb", "/a%5Cb", true, "/a/b"},
		{`/a\b`, `/a\b`, true, "/a/b"},
		{"/a;v=1/b", "/a;v=1/b", true, "/a/b"},
		{"/a%3bv/b", "/a%3Bv/b", true, "/a/b"},
		{"/x/%252e%252e/admin", "/x/%252e%252e/admin", true, "/admin"},
		{"/x/../admin", "/x/../admin", true, "/admin"},
		{"/x/%2e%2E/admin", "/x/../admin", true, "/admin"},
		{"/x/..;/admin", "/x/..;/admin", true, "/admin"},
		{"/x/..%2Fadmin", "/x/..%2Fadmin", true, "/admin"},
		{"/./a", "/./a", true, "/a"},
		{"/a/.", "/a/.", true, "/a/"},
		{"/a/..", "/a/..", true, "/"},
		{"//a", "//a", true, "/a"},
		{"/a//", "/a//", true, "/a/"},
		{"/a%00.png", "/a%00.png", true, "/a"},
		{"/a%zz", "/a%zz", true, "/a%25zz"},
		{"/a%2", "/a%2", true, "/a%252"},
		{"/a%7%30", "/a%7%30", true, "/ap"},
		{"/a...b/..c", "/a...b/..c", false, "/a...b/..c"},
	} {
		canonical, ambiguous := Canonical(c.path)
		if canonical != c.canonical || ambiguous != c.ambiguous {
			t.Errorf("%q: got %q %v, want %q %v", c.path, canonical, ambiguous, c.canonical, c.ambiguous)
		}
		if got := Lenient(c.path); got != c.lenient {
			t.Errorf("%q: leniently %q, want %q", c.path, got, c.lenient)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("/a%2f../%25/;x")
	f.Fuzz(func(t *testing.T, path string) {
		canonical, _ := Canonical(path)
		if again, _ := Canonical(canonical); again != canonical {
			t.Errorf("%q: %q is not canonical but %q", path, canonical, again)
		}
		lenient := Lenient(path)
		if len(path) > 0 && path[0] == '/' && (lenient == "" || lenient[0] != '/') {
			t.Errorf("%q: leniently %q", path, lenient)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("GET h/a/{b}/{c...}")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		var syntax *SyntaxError
		if errors.As(err, &syntax) {
			if syntax.Offset < 0 || syntax.Offset > syntax.End || syntax.End > len(s) {
				t.Errorf("%q: a place outside: %+v", s, syntax)
			}
			return
		}
		if r := Compare(p, p); r != Equal {
			t.Errorf("%q is %v to itself", s, r)
		}
	})
}

func indexOf(routes int) *Index {
	var index Index
	for i := range routes {
		index.Add(&Pattern{method: "GET", segments: []segment{{literal, "v1"}, {literal, fmt.Sprintf("things%d", i)}, {wildcard, "id"}}}, i)
	}
	return &index
}

func TestFindAllocatesNothing(t *testing.T) {
	index := indexOf(1000)
	var room [8]Found
	for _, path := range []string{"/v1/things7/1", "/v1/nothing/1", "/v1/things%37/1"} {
		if n := testing.AllocsPerRun(100, func() { index.Find(room[:0], "GET", "shop", path) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Canonical("/v1/things7/1") }); n != 0 {
		t.Errorf("Canonical: %v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, routes := range []int{10, 1000} {
		index := indexOf(routes)
		for name, path := range map[string]string{"hit": "/v1/things7/1", "miss": "/v1/nothing/1"} {
			b.Run(fmt.Sprintf("routes=%d/%s", routes, name), func(b *testing.B) {
				b.ReportAllocs()
				var room [8]Found
				for b.Loop() {
					index.Find(room[:0], "GET", "shop", path)
				}
			})
		}
	}
}
