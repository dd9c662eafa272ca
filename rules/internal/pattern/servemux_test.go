package pattern

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// muxes registers s with http.ServeMux and returns a mux that writes down who
// answered; nil if the pattern, or its conflict with those before, made it panic.
func muxes(patterns ...string) (mux *http.ServeMux, answered *string, request **http.Request) {
	defer func() {
		if recover() != nil {
			mux = nil
		}
	}()
	mux, answered, request = http.NewServeMux(), new(string), new(*http.Request)
	for _, p := range patterns {
		mux.HandleFunc(p, func(_ http.ResponseWriter, r *http.Request) { *answered, *request = p, r })
	}
	return mux, answered, request
}

func genPattern() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "", "GET ", "HEAD ", "POST "}).Draw(t, "method"))
		b.WriteString(rapid.SampledFrom([]string{"", "", "h1", "h2"}).Draw(t, "host"))
		n := rapid.IntRange(0, 3).Draw(t, "segments")
		for i := range n {
			b.WriteByte('/')
			b.WriteString(rapid.SampledFrom([]string{"a", "b", "a%20b", fmt.Sprintf("{w%d}", i)}).Draw(t, "segment"))
		}
		b.WriteString(rapid.SampledFrom([]string{"", "/", "/{$}", "/{all...}"}).Draw(t, "end"))
		if !strings.Contains(b.String(), "/") {
			b.WriteByte('/')
		}
		return b.String()
	})
}

func genPath() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(0, 4).Draw(t, "segments") {
			b.WriteByte('/')
			b.WriteString(rapid.SampledFrom([]string{"a", "b", "c", "a%20b", "%61", "x%2Fy", "%7Bw%7D"}).Draw(t, "segment"))
		}
		if b.Len() == 0 || rapid.Bool().Draw(t, "slash") {
			b.WriteByte('/')
		}
		return b.String()
	})
}

func TestParseAgreesWithServeMux(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(genPattern(), rapid.StringMatching(`(GET |P T |)(h|)(/(a|\{[a-z$.]{0,4}\}?|\{a\}|\{a\.\.\.\}|))*`)).Draw(t, "pattern")
		if strings.Contains(s, "//") || strings.Contains(s, "/.") {
			t.Skip("ServeMux asks for clean paths")
		}
		mux, _, _ := muxes(s)
		if _, err := Parse(s); (err == nil) != (mux != nil) {
			t.Fatalf("%q: got %v, ServeMux takes it: %v", s, err, mux != nil)
		}
	})
}

func TestCompareAgreesWithServeMux(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genPattern().Draw(t, "a"), genPattern().Draw(t, "b")
		p, q := mustParse(t, a), mustParse(t, b)
		mux, _, _ := muxes(a, b)
		relation := Compare(p, q)
		conflict := relation == Equal || relation == Overlaps
		if conflict != (mux == nil) {
			t.Fatalf("%q and %q: got %v, a conflict for ServeMux: %v", a, b, relation, mux == nil)
		}
		inverse := map[Relation]Relation{MoreSpecific: MoreGeneral, MoreGeneral: MoreSpecific}
		want, ok := inverse[relation]
		if !ok {
			want = relation
		}
		if got := Compare(q, p); got != want {
			t.Fatalf("%q and %q are %v, the other way %v", a, b, relation, got)
		}
	})
}

func TestFindAgreesWithServeMux(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var patterns []string
		for _, s := range rapid.SliceOfN(genPattern(), 1, 8).Draw(t, "patterns") {
			if mux, _, _ := muxes(append(patterns, s)...); mux != nil {
				patterns = append(patterns, s)
			}
		}
		mux, answered, request := muxes(patterns...)
		var index Index
		for i, s := range patterns {
			index.Add(mustParse(t, s), i)
		}
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT"}).Draw(t, "method")
		host := rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "host")
		path := genPath().Draw(t, "path")

		r := httptest.NewRequest(method, path, nil)
		r.Host = host
		response := httptest.NewRecorder()
		mux.ServeHTTP(response, r)
		if response.Header().Get("Location") != "" {
			t.Skip("ServeMux redirects to the path with a slash")
		}
		found := index.Find(nil, method, host, path)
		got := ""
		if len(found) > 0 {
			got = found[0].Pattern.String()
		}
		if got != *answered {
			t.Fatalf("%s %s%s among %q: got %q, ServeMux %q", method, host, path, patterns, got, *answered)
		}
		if got == "" {
			return
		}
		want := make(map[string]string)
		for _, s := range found[0].Pattern.segments {
			if s.kind != literal && s.name != "" {
				want[s.name] = (*request).PathValue(s.name)
			}
		}
		if params := found[0].Pattern.Params(path); !maps.Equal(params, want) {
			t.Fatalf("%q on %s: got %v, ServeMux %v", got, path, params, want)
		}
	})
}

// Each pattern alone answers iff Find lists it, and the list is in order.
func TestFindListsEveryMatchInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(genPattern(), 1, 10).Draw(t, "patterns")
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST"}).Draw(t, "method")
		path := genPath().Draw(t, "path")
		var index Index
		matches := make(map[int]bool)
		for i, s := range patterns {
			index.Add(mustParse(t, s), i)
			mux, answered, _ := muxes(s)
			r := httptest.NewRequest(method, path, nil)
			r.Host = "h1"
			mux.ServeHTTP(httptest.NewRecorder(), r)
			matches[i] = *answered != ""
		}
		found := index.Find(nil, method, "h1", path)
		listed := make(map[int]bool)
		for i, f := range found {
			listed[f.ID] = true
			if !matches[f.ID] {
				t.Fatalf("%q does not match %s", f.Pattern, path)
			}
			for _, later := range found[i+1:] {
				if r := Compare(f.Pattern, later.Pattern); r == MoreGeneral || r == Disjoint {
					t.Fatalf("%q stands before %q and is %v", f.Pattern, later.Pattern, r)
				}
				if Compare(f.Pattern, later.Pattern) == Equal && f.ID > later.ID {
					t.Fatalf("%q and %q have changed places", f.Pattern, later.Pattern)
				}
			}
		}
		for i, matched := range matches {
			if matched && !listed[i] {
				t.Fatalf("%q matches %s and is not found", patterns[i], path)
			}
		}
	})
}

func mustParse(t interface{ Fatalf(string, ...any) }, s string) *Pattern {
	p, err := Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return p
}
