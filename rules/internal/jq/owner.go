package jq

import "reflect"

// owner is who makes a row of edits of one value. Containers that it has made
// itself are in owned, by address, and are changed in place: nobody else has
// seen them. Each container above an owned one is owned.
type owner struct {
	owned   map[uintptr]any // keeps them alive, so that no address is used twice
	removed []any           // paths to delete at the end
}

// gone stands in the place of what is to be deleted.
type gone struct{}

func addressOf(v any) uintptr { return reflect.ValueOf(v).Pointer() }

func (o *owner) owns(v any) bool {
	if len(o.owned) == 0 {
		return false
	}
	_, ok := o.owned[addressOf(v)]
	return ok
}

// ownCost is what it costs to remember a container.
const ownCost = 4

func (o *owner) take(v any) {
	if o.owned == nil {
		o.owned = make(map[uintptr]any, 4)
	}
	o.owned[addressOf(v)] = v
}

func nativeOwner(*machine, any, []any) any { return &owner{} }
