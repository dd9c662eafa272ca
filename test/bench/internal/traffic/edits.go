package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
)

// Edit is what a proxy has to do to a message on its way to the backend, which
// sees to it that it was done.
type Edit string

// The edits, as jq says them.
const (
	Mask  Edit = `.user.email = "x" | del(.password)`
	Sum   Edit = `del(.password) | .total = ([.items[] | .price * .quantity] | add)`
	Total Edit = `del(.password) | .total = reduce .items[] as $i (0; . + $i.price * $i.quantity)` // which no plan does
)

// name is what the edit has been to what comes to the backend.
func (e Edit) name() string {
	switch e {
	case Mask:
		return "masked"
	case Sum:
		return "summed"
	case Total:
		return "totalled"
	}
	return "kept"
}

// Path is where orders of so many bytes are sent to that become e on their way.
func (e Edit) Path(size int) string { return fmt.Sprintf("/%s/%d", e.name(), size) }

// Method is that of a [Call] whose order becomes e on its way.
func (e Edit) Method() string {
	if e == "" {
		return "/bench.Echo/Kept"
	}
	return "/bench.Echo/Masked"
}

// The sizes of orders, in bytes: of JSON, and of protobuf.
const (
	SmallOrder = 1 << 10
	LargeOrder = 16 << 10
	protoOrder = 512
)

// The order that a message holds, in JSON and in protobuf.
type order struct {
	User     user     `json:"user"`
	Password string   `json:"password,omitempty"`
	Items    []item   `json:"items"`
	Total    *float64 `json:"total,omitempty"`
}

type user struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type item struct {
	SKU      string   `json:"sku"`
	Price    float64  `json:"price"`
	Quantity int      `json:"quantity"`
	Tags     []string `json:"tags"`
	Gift     bool     `json:"gift"`
	Note     *string  `json:"note"` // null
}

// Schema is the order in protobuf, and the service whose messages it is.
const Schema = `syntax = "proto3";
package bench;

message Order {
  message User { int64 id = 1; string name = 2; string email = 3; }
  message Item { string sku = 1; double price = 2; int32 quantity = 3; repeated string tags = 4; bool gift = 5; }
  User user = 1;
  string password = 2;
  repeated Item items = 3;
}

service Echo {
  rpc Kept(Order) returns (Order);
  rpc Masked(Order) returns (Order);
}
`

func newOrder(items int) order {
	o := order{User: user{7, "Ada Lovelace", "ada@example.com"}, Password: "correct horse battery staple"}
	for i := range items {
		o.Items = append(o.Items, item{SKU: fmt.Sprintf("gear-%05d", i), Price: float64(i) + 9.5, Quantity: i%3 + 1, Tags: []string{"new", "sale"}, Gift: i%2 == 0})
	}
	return o
}

// after is the order after an edit; "" is none.
func (o order) after(e Edit) order {
	if e == "" {
		return o
	}
	o.Password = ""
	if e == Mask {
		o.User.Email = "x"
		return o
	}
	total := 0.0 // of halves, so that any order of adding gives the same
	for _, item := range o.Items {
		total += item.Price * float64(item.Quantity)
	}
	o.Total = &total
	return o
}

// orderJSON is at most size bytes, and nearly as many.
func orderJSON(size int) (text []byte, o order) {
	for items := 1; ; items++ {
		next := newOrder(items)
		b, err := json.Marshal(next)
		if err != nil || len(b) > size {
			return text, o
		}
		text, o = b, next
	}
}

// proto is the order on the wire, its fields in the order of their numbers.
func (o order) proto() []byte {
	text := func(b []byte, number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
	}
	number := func(b []byte, number protowire.Number, n int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(n))
	}
	b := text(nil, 1, string(text(text(number(nil, 1, o.User.ID), 2, o.User.Name), 3, o.User.Email)))
	if o.Password != "" {
		b = text(b, 2, o.Password)
	}
	for _, each := range o.Items {
		i := protowire.AppendFixed64(protowire.AppendTag(text(nil, 1, each.SKU), 2, protowire.Fixed64Type), math.Float64bits(each.Price))
		i = number(i, 3, each.Quantity)
		for _, tag := range each.Tags {
			i = text(i, 4, tag)
		}
		if each.Gift {
			i = number(i, 5, 1)
		}
		b = text(b, 3, string(i))
	}
	return b
}

// orderProto is at most protoOrder bytes on the wire, and nearly as many.
func orderProto() order {
	items := 0
	for len(newOrder(items+1).proto()) <= protoOrder {
		items++
	}
	return newOrder(items)
}

// checker knows what a JSON body has to say, however it is written.
type checker struct {
	want any
	seen map[string]struct{} // bodies that say it
}

func newChecker(o order) *checker {
	text, err := json.Marshal(o)
	c := &checker{seen: map[string]struct{}{}}
	if err == nil {
		err = json.Unmarshal(text, &c.want)
	}
	if err != nil {
		c.want = err // which no body is
	}
	return c
}

func (c *checker) check(body []byte) error {
	if _, ok := c.seen[string(body)]; ok {
		return nil
	}
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		return fmt.Errorf("a body that is no JSON: %w", err)
	}
	if !reflect.DeepEqual(got, c.want) {
		return fmt.Errorf("a body that is not what it should have become: %.200s", body)
	}
	if len(c.seen) < 64 { // some write an object in another order each time
		c.seen[string(bytes.Clone(body))] = struct{}{}
	}
	return nil
}
