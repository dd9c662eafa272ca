package jq

// builder puts together the values that a stream of events spells, for
// fromstream.
type builder struct {
	owner *owner
	value any
}

func nativeBuilder(*machine, any, []any) any { return &builder{owner: &owner{}} }

// nativeFeed takes one event and returns the values that it completes: none or
// one.
func nativeFeed(m *machine, _ any, args []any) any {
	b := args[0].(*builder)
	event, ok := args[1].([]any)
	if !ok && args[1] != nil {
		return &failure{what: "expected an array but got", v: args[1], valued: true}
	}
	var path []any
	if len(event) > 0 {
		if path, ok = event[0].([]any); !ok && event[0] != nil {
			return failType("fromstream", event[0])
		}
	}
	done := len(path) == 1
	if len(event) == 2 {
		done = len(path) == 0
		b.value = m.set(b.value, path, event[1], b.owner)
		if isError(b.value) {
			return b.value
		}
	}
	if !done {
		return []any{}
	}
	value := b.value
	b.value, b.owner = nil, &owner{}
	return []any{value}
}
