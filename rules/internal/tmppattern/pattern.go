// Package tmppattern stands in for package pattern until it is there.
package tmppattern

import (
	"fmt"
	"sort"
	"strings"
)

type Pattern struct {
	text, method, host string
	segments           []string
}

type Error struct {
	Offset int
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

func Parse(s string) (Pattern, error) {
	p := Pattern{text: s}
	rest := s
	if i := strings.IndexByte(s, ' '); i >= 0 {
		p.method, rest = s[:i], strings.TrimLeft(s[i:], " ")
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return p, &Error{len(s) - len(rest), "a path begins with a slash"}
	}
	p.host = strings.ToLower(rest[:i])
	p.segments = strings.Split(rest[i+1:], "/")
	if strings.ContainsAny(p.host, ":*") {
		return p, &Error{len(s) - len(rest), fmt.Sprintf("%q is not a possible host", p.host)}
	}
	return p, nil
}

func (p Pattern) match(method, host, path string) (map[string]string, bool) {
	if p.method != "" && p.method != method && !(p.method == "GET" && method == "HEAD") || p.host != "" && p.host != host {
		return nil, false
	}
	params := map[string]string{}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range p.segments {
		last := i == len(p.segments)-1
		if s == "" && last || strings.HasSuffix(s, "...}") {
			if s != "" {
				params[s[1:len(s)-4]] = strings.Join(parts[min(i, len(parts)):], "/")
			}
			return params, len(parts) > i
		}
		if s == "{$}" {
			return params, len(parts) == i+1 && parts[i] == ""
		}
		if i >= len(parts) {
			return nil, false
		}
		if strings.HasPrefix(s, "{") {
			params[strings.Trim(s, "{}")] = parts[i]
		} else if s != parts[i] {
			return nil, false
		}
	}
	return params, len(parts) == len(p.segments)
}

func (p Pattern) rank() string {
	r := "1"
	if p.host != "" {
		r = "0"
	}
	for _, s := range p.segments {
		switch {
		case s == "" || strings.HasSuffix(s, "...}"):
			r += "3"
		case strings.HasPrefix(s, "{"):
			r += "2"
		default:
			r += "1"
		}
	}
	if p.method == "" {
		r += "9"
	}
	return r
}

type Index struct{ all []Pattern }

func (x *Index) Add(p Pattern) int { x.all = append(x.all, p); return len(x.all) - 1 }

type Candidate struct {
	ID     int
	Params map[string]string
}

func (x *Index) Match(method, host, path string) []Candidate {
	var out []Candidate
	for i, p := range x.all {
		if params, ok := p.match(method, host, path); ok {
			out = append(out, Candidate{i, params})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return x.all[out[i].ID].rank() < x.all[out[j].ID].rank() })
	return out
}

type Relation int

const (
	Disjoint Relation = iota
	Equal
	MoreSpecific
	MoreGeneral
	Overlaps
)

func Compare(a, b Pattern) Relation {
	if a.text == b.text {
		return Equal
	}
	return Disjoint
}
