package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// requestHead2 is a request's head as rules see it, in wire order.
func requestHead2(q *http2.Request, fields []http2.Field) *rules.Head {
	h := &rules.Head{Method: q.Method, Host: q.Authority, Fields: fields2(fields)}
	h.Path, h.Query, _ = strings.Cut(q.Path, "?")
	if h.Host == "" {
		h.Host = valueOf2(fields, "host")
	}
	return h
}

// responseHead2 is a response's head as rules see it.
func responseHead2(status int, fields []http2.Field) *rules.Head {
	return &rules.Head{Status: status, Fields: fields2(fields)}
}

// fields2 are the fields that rules see.
func fields2(fields []http2.Field) rules.Fields {
	seen := make(rules.Fields, 0, len(fields))
	for i := range fields {
		if !hidden2(&fields[i]) {
			seen = append(seen, rules.Field{Name: fields[i].Name, Value: fields[i].Value})
		}
	}
	return seen
}

// hidden2 reports whether rules do not see a field: those of this hop, and Host,
// which has a place of its own.
func hidden2(f *http2.Field) bool {
	return f.IsPseudo() || f.Name == "host" || f.Name == "content-length" || f.Name == "trailer"
}

func valueOf2(fields []http2.Field, name string) string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Value
		}
	}
	return ""
}

// declared2 is the length that a head says its body has, -1 if it says none. The
// hop has checked it.
func declared2(fields []http2.Field, ended bool) int64 {
	n, err := strconv.ParseInt(valueOf2(fields, "content-length"), 10, 64)
	switch {
	case err == nil:
		return n
	case ended:
		return 0
	}
	return -1
}

// edited2 is a head as it leaves: the fields that came, with what steps changed
// between in and out, each in the place of the old one. length is that of
// editedLength2.
func edited2(fields []http2.Field, in, out *rules.Head, length int64) []http2.Field {
	if in == out && length == lengthStays {
		return fields
	}
	left := make([]http2.Field, 0, len(fields)+2)
	rest := out.Fields
	sized := false
	for i := range fields {
		f := fields[i]
		switch {
		case f.IsPseudo():
			f.Value = pseudo2(&f, in, out)
		case f.Name == "host":
			f.Value = out.Host
		case f.Name == "content-length" && length == lengthGoes:
			continue
		case f.Name == "content-length" && length >= 0:
			if sized {
				continue
			}
			f.Value, sized = strconv.FormatInt(length, 10), true
		case hidden2(&f):
		default:
			left, rest = merge2(left, f, fields[i+1:], rest)
			continue
		}
		left = append(left, f)
	}
	for _, f := range rest {
		left = append(left, http2.Field{Name: strings.ToLower(f.Name), Value: f.Value})
	}
	if length >= 0 && !sized {
		left = append(left, http2.Field{Name: "content-length", Value: strconv.FormatInt(length, 10)})
	}
	return left
}

// pseudo2 is the value of a pseudo-header field as it leaves.
func pseudo2(f *http2.Field, in, out *rules.Head) string {
	switch f.Name {
	case ":method":
		return out.Method
	case ":authority":
		return out.Host
	case ":status":
		return strconv.Itoa(out.Status)
	case ":path":
		if in.Path != out.Path || in.Query != out.Query {
			return target2(out)
		}
	}
	return f.Value
}

func target2(h *rules.Head) string {
	if h.Query == "" {
		return h.Path
	}
	return h.Path + "?" + h.Query
}

// merge2 appends what stands in the place of f, which came: rest is what is yet
// to leave, later what else came.
func merge2(left []http2.Field, f http2.Field, later []http2.Field, rest rules.Fields) ([]http2.Field, rules.Fields) {
	for i := range rest {
		if rest[i].Value == f.Value && strings.EqualFold(rest[i].Name, f.Name) {
			for _, before := range rest[:i] { // new ones
				if stands2(later, before) {
					return left, rest // it was moved, and comes where it stands now
				}
				left = append(left, http2.Field{Name: strings.ToLower(before.Name), Value: before.Value})
			}
			return append(left, f), rest[i+1:]
		}
	}
	if len(rest) > 0 && strings.EqualFold(rest[0].Name, f.Name) && !stands2(later, rest[0]) {
		f.Value = rest[0].Value
		return append(left, f), rest[1:]
	}
	return left, rest // it was removed
}

// stands2 reports whether f is among the fields.
func stands2(fields []http2.Field, f rules.Field) bool {
	for i := range fields {
		if fields[i].Value == f.Value && strings.EqualFold(fields[i].Name, f.Name) {
			return true
		}
	}
	return false
}

// made2 is a response's head that Sluice makes up.
func made2(status int, fields rules.Fields) []http2.Field {
	made := make([]http2.Field, 0, len(fields)+3)
	made = append(made, http2.Field{Name: ":status", Value: strconv.Itoa(status)})
	return append(made, lower2(fields)...)
}

// lower2 writes fields as HTTP/2 has them.
func lower2(fields rules.Fields) []http2.Field {
	made := make([]http2.Field, 0, len(fields))
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if !hopByHop[http.CanonicalHeaderKey(name)] {
			made = append(made, http2.Field{Name: name, Value: f.Value})
		}
	}
	return made
}
