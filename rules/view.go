package rules

import (
	"strings"

	"github.com/sluice-proxy/sluice/rules/internal/pattern"
)

// viewRequest is $request.
func viewRequest(q *Request, params Params) map[string]any {
	v := viewHead(q.Head, params)
	v["id"] = q.ID
	v["direction"] = string(q.Direction)
	v["values"] = viewValues(q.Head.Fields)
	v["peer"], v["destination"], v["grpc"] = nil, nil, nil
	if q.Peer.IsValid() {
		v["peer"] = q.Peer.String()
	}
	if q.Destination.IsValid() {
		v["destination"] = q.Destination.String()
	}
	if q.Service != "" {
		v["grpc"] = map[string]any{"service": q.Service, "method": q.Method}
	}
	return v
}

// viewHead is a head as head steps and where see it: the input of [editHead].
func viewHead(h *Head, params Params) map[string]any {
	if h.isResponse() {
		return map[string]any{"status": h.Status, "headers": viewFields(h.Fields)}
	}
	// What programs judge is the spelling that patterns are matched against; an
	// edit compares with it, so that the spelling on the wire stays unless changed.
	path, _ := pattern.Canonical(h.Path)
	named := params.Map()
	p := make(map[string]any, len(named))
	for name, value := range named {
		p[name] = value
	}
	return map[string]any{
		"method": h.Method, "path": path, "params": p, "query": viewQuery(h.Query),
		"host": h.Host, "headers": viewFields(h.Fields),
	}
}

// isResponse tells a response by its status, which no request has.
func (h *Head) isResponse() bool { return h.Status != 0 }

// viewFields is an object of the fields by lower-case name: repeats are joined
// by ", " (cookies by "; ", as RFC 9113 8.2.3 has it), set-cookie is an array.
func viewFields(fields Fields) map[string]any {
	object := make(map[string]any, len(fields))
	for name, values := range byName(fields) {
		object[name] = viewRepeats(name, values)
	}
	return object
}

func viewRepeats(name string, values []string) any {
	switch name {
	case "set-cookie":
		return viewStrings(values)
	case "cookie":
		return strings.Join(values, "; ")
	}
	return strings.Join(values, ", ")
}

// viewValues is an object of arrays of all values by lower-case name.
func viewValues(fields Fields) map[string]any {
	object := make(map[string]any, len(fields))
	for name, values := range byName(fields) {
		object[name] = viewStrings(values)
	}
	return object
}

func byName(fields Fields) map[string][]string {
	names := make(map[string][]string, len(fields))
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		names[name] = append(names[name], f.Value)
	}
	return names
}

func viewStrings(values []string) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

// viewQuery is an object of the query's values, repeats joined by ", ".
func viewQuery(raw string) map[string]any {
	object := make(map[string]any)
	for name, values := range queryByName(raw) {
		object[name] = strings.Join(values, ", ")
	}
	return object
}

func queryByName(raw string) map[string][]string {
	names := make(map[string][]string)
	for _, part := range queryParts(raw) {
		if name, value, ok := part.split(); ok {
			names[name] = append(names[name], value)
		}
	}
	return names
}

// queryPart is what stands between two ampersands, as on the wire. A
// semicolon separates nothing: it is part of a name or a value.
type queryPart string

func queryParts(raw string) []queryPart {
	var parts []queryPart
	for part := range strings.SplitSeq(raw, "&") {
		parts = append(parts, queryPart(part))
	}
	return parts
}

// split decodes a part; an empty part names nothing.
func (p queryPart) split() (name, value string, ok bool) {
	name, value, _ = strings.Cut(string(p), "=")
	return queryDecode(name), queryDecode(value), p != ""
}

// queryDecode undoes plus signs and percent escapes; a broken escape stands for
// itself.
func queryDecode(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// queryEncode escapes all but the unreserved characters of RFC 3986.
func queryEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
		} else {
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return out.String()
}

// viewOutcome is what failure sees: absent parts are null, and so are fields that
// it does not look at.
func viewOutcome(o *Outcome, failure *program) map[string]any {
	v := map[string]any{
		"status": nil, "grpc_status": nil, "error": nil, "body": o.Body, "headers": nil, "trailers": nil,
		"duration_ms": float64(o.Duration.Microseconds()) / 1000,
	}
	if failure.jq.UsesInputField("headers") {
		v["headers"] = viewFields(o.Headers)
	}
	if failure.jq.UsesInputField("trailers") {
		v["trailers"] = viewFields(o.Trailers)
	}
	if o.Status != 0 {
		v["status"] = o.Status
	}
	if o.GRPCStatus != "" {
		v["grpc_status"] = string(o.GRPCStatus)
	}
	if o.Error != "" {
		v["error"] = o.Error
	}
	return v
}

// viewCounts is what trip sees.
func viewCounts(c Counts) map[string]any {
	return map[string]any{
		"requests": int(c.Requests), "successes": int(c.Successes), "failures": int(c.Failures),
		"consecutive_failures": int(c.ConsecutiveFailures), "slow": int(c.Slow),
	}
}

// QueryValues returns the values of name in a raw query, decoded.
func QueryValues(raw, name string) []string { return queryByName(raw)[name] }

// QueryNames returns the names in a raw query, sorted.
func QueryNames(raw string) []string { return sortedKeys(queryByName(raw)) }
