package protobuf

import (
	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/internal/value"
)

// messageCodec is the codec of one message type.
type messageCodec struct{ message *message }

var _ codec.Codec = messageCodec{}

// original is what was decoded, and as what.
type original struct {
	message *message
	data    []byte
	value   codec.Value
}

func (c messageCodec) Name() string { return name }

func (c messageCodec) Decode(data []byte, limits codec.Limits) (codec.Value, codec.Original, error) {
	limits = limits.WithDefaults()
	if err := checkSize(data, limits); err != nil {
		return nil, nil, err
	}
	d := decoders.Get().(*decoder)
	defer d.rest()
	d.start(len(data), limits.Depth)
	d.data = data
	v, err := d.message(c.message, data, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	return v, &original{message: c.message, data: data, value: v}, nil
}

func (c messageCodec) Encode(o codec.Original, v codec.Value) ([]byte, error) {
	was, ok := o.(*original)
	if !ok || was == nil || was.message != c.message {
		e := editor{}
		return e.message(c.message, nil, absent{}, v, 0)
	}
	if value.Same(was.value, v) {
		return was.data, nil
	}
	e := editors.Get().(*editor)
	defer e.rest()
	out, err := e.message(c.message, was.data, was.value, v, 0)
	if err != nil {
		return nil, err
	}
	if e.edits == 0 {
		return was.data, nil
	}
	return out, nil
}

func checkSize(data []byte, limits codec.Limits) error {
	if int64(len(data)) > int64(limits.Size) {
		return &codec.LimitError{Format: name, Limit: "size", Max: int64(limits.Size)}
	}
	return nil
}
