package rules

import (
	"net/netip"
	"strings"
)

// Direction is the way an exchange goes, as seen from the service.
type Direction string

// The directions. An empty Direction in a match means both.
const (
	Inbound  Direction = "inbound"  // others call the service
	Outbound Direction = "outbound" // the service calls others
)

// Field is one header or trailer line.
type Field struct{ Name, Value string }

// Fields are the lines of a header or trailer section in wire order. Names are
// compared without case; repeats are separate entries.
type Fields []Field

// sameName compares names without case. They are ASCII (RFC 9110, 5.6.2), so that
// those of another length are others.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// Get returns the first value of name, or "".
func (f Fields) Get(name string) string {
	for i := range f {
		if sameName(f[i].Name, name) {
			return f[i].Value
		}
	}
	return ""
}

// Values returns all values of name in order, nil if there is none.
func (f Fields) Values(name string) []string {
	var values []string
	for i := range f {
		if sameName(f[i].Name, name) {
			values = append(values, f[i].Value)
		}
	}
	return values
}

// Has reports whether there is a line of that name.
func (f Fields) Has(name string) bool {
	for i := range f {
		if sameName(f[i].Name, name) {
			return true
		}
	}
	return false
}

// With returns a copy in which name has exactly the values given, the first in
// the place of the old first, or at the end. No values removes the name.
func (f Fields) With(name string, values ...string) Fields {
	out := make(Fields, 0, len(f)+len(values))
	placed := false
	place := func(as string) {
		for _, v := range values {
			out = append(out, Field{as, v})
		}
		placed = true
	}
	for i := range f {
		switch {
		case !sameName(f[i].Name, name):
			out = append(out, f[i])
		case !placed:
			place(f[i].Name)
		}
	}
	if !placed {
		place(name)
	}
	return out
}

// Head is the head of a request or of a response. A Head that was handed out is
// never changed: a step that edits it makes a new one.
type Head struct {
	// Of a request:
	Method string
	Path   string // escaped, as on the wire, without the query; "*" of OPTIONS *; "" of CONNECT
	Query  string // raw, without the question mark
	Host   string // the Host field or :authority, with its port if it has one

	Status int // of a response

	Fields Fields // without Host, without pseudo-header fields
}

// Request is a request as it was received: what a route is matched on and what
// $request shows. It is never changed.
type Request struct {
	ID          string
	Direction   Direction
	Head        *Head
	Peer        netip.AddrPort // who connected to Sluice
	Destination netip.AddrPort // where the connection was going; its port is match.port

	// The gRPC method, from the path of a request whose content type says
	// gRPC, gRPC-Web or Connect; both empty otherwise.
	Service string // shop.v1.Orders
	Method  string // Create
}
