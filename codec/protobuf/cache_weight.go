package protobuf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	// maxElements bounds the messages, fields, values, imports and the like in all
	// the files of one service. Each is 300 bytes or so once it is read, and two on
	// the wire if a server means harm: 10 MiB of them would be 1.5 GB.
	maxElements = 100_000
	// maxElementDepth bounds how deep they are nested in each other.
	maxElementDepth = 64

	sourceCodeInfo = 9 // field of a file: where in its source everything stands
)

var errDescriptor = errors.New("not a descriptor")

// readDescriptor reads a file that somebody else has written, if it has not more
// than the elements that are left. It returns the file and its bytes without
// what only editors ask for.
func readDescriptor(data []byte, left *int) (*descriptorpb.FileDescriptorProto, []byte, error) {
	file := new(descriptorpb.FileDescriptorProto)
	slim := make([]byte, 0, len(data))
	for rest := data; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return nil, nil, fmt.Errorf("%w: %w", errDescriptor, protowire.ParseError(n))
		}
		if number != sourceCodeInfo {
			slim = append(slim, rest[:n]...)
		}
		rest = rest[n:]
	}
	if err := weigh(slim, file.ProtoReflect().Descriptor(), left, maxElementDepth); err != nil {
		return nil, nil, err
	}
	if err := proto.Unmarshal(slim, file); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errDescriptor, err)
	}
	return file, slim, nil
}

// weigh takes the elements of a message off what is left.
func weigh(data []byte, d protoreflect.MessageDescriptor, left *int, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%w: nested deeper than %d", errTooMuch, maxElementDepth)
	}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errDescriptor, protowire.ParseError(n))
		}
		m := protowire.ConsumeFieldValue(number, kind, data[n:])
		if m < 0 {
			return fmt.Errorf("%w: %w", errDescriptor, protowire.ParseError(m))
		}
		value := data[n : n+m]
		data = data[n+m:]
		f := d.Fields().ByNumber(number)
		if f == nil || f.Kind() != protoreflect.MessageKind && !f.IsList() {
			continue
		}
		if *left--; *left < 0 {
			return fmt.Errorf("%w: %d elements", errTooMuch, maxElements)
		}
		if f.Kind() == protoreflect.MessageKind && kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
			if err := weigh(value, f.Message(), left, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}
