// Package protobuf decodes protobuf messages to jq values by their
// descriptors, writes edits back as differences, and finds the descriptors of
// a gRPC method: in descriptor sets and .proto files, or by asking the very
// server that is called.
package protobuf

import (
	"context"
	"errors"
	"net"

	"github.com/sluice-proxy/sluice/codec"
)

// Method is one gRPC method with codecs for its messages. It is immutable and
// safe for concurrent use.
type Method struct {
	Service string // full name: shop.v1.Orders
	Name    string // Create

	Input, Output                    codec.Codec
	ClientStreaming, ServerStreaming bool
}

// ErrUnknownMethod is wrapped when a source answered and knows no such
// service or method. Other errors mean that a source could not be asked.
var ErrUnknownMethod = errors.New("no descriptor for this method")

// Server is a gRPC server that can be asked about its own methods.
type Server struct {
	// Key names the server in the cache: servers with equal keys have equal
	// descriptors. Usually direction and address.
	Key string
	// Authority is sent as :authority.
	Authority string
	// Dial opens a connection to the server.
	Dial func(ctx context.Context) (net.Conn, error)
}

// Source finds methods. Find may block on the network until ctx ends and is
// safe for concurrent use; it is asked with the names as they stand in the
// :path, /service/method.
type Source interface {
	Find(ctx context.Context, server Server, service, method string) (*Method, error)
}
