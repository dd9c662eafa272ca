package proxy

import (
	"context"
	"encoding/base64"
	"math"
	"net"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	grpcencoding "google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers gzip, which callers and servers may speak
)

// callConn is the grpc-go client connection of one downstream connection.
type callConn struct {
	client *grpc.ClientConn

	mu  sync.Mutex // guards err
	err error      // of the last dial; nil if it succeeded
}

func (c *callConn) close() { c.client.Close() }

// direct answers grpc-proxy's question where a call goes: to the destination of
// the connection it came on, with the head that the steps left.
func (x *exchange) direct(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	conn, err := x.c.callClient(x.r.UserAgent())
	if err != nil {
		return nil, nil, err
	}
	ctx = metadata.NewOutgoingContext(ctx, x.outgoingMetadata(ctx))
	ctx = context.WithValue(ctx, compressionKey{}, &x.compression)
	return ctx, conn, nil
}

// callClient returns the connection for calls, made at the first. The caller's
// user agent goes before grpc-go's own, which nothing can take away.
func (c *conn) callClient(agent string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return nil, errAborted
	default:
	}
	if c.calls != nil {
		return c.calls.client, nil
	}
	calls := &callConn{}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		nc, err := c.connect(ctx)
		calls.mu.Lock()
		calls.err = err
		calls.mu.Unlock()
		return nc, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithStatsHandler(compressionWatch{}),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}
	if agent != "" {
		options = append(options, grpc.WithUserAgent(agent))
	}
	client, err := grpc.NewClient("passthrough:///"+c.address(), options...)
	if err != nil {
		return nil, err
	}
	calls.client = client
	c.calls = calls
	return client, nil
}

// callFailure is why the last dial for calls failed, nil if it did not.
func (c *conn) callFailure() error {
	c.mu.Lock()
	calls := c.calls
	c.mu.Unlock()
	if calls == nil {
		return nil
	}
	calls.mu.Lock()
	defer calls.mu.Unlock()
	return calls.err
}

// callOptions keep what the caller sent: authority, content subtype, encoding.
func (x *exchange) callOptions() []grpc.CallOption {
	options := []grpc.CallOption{
		grpc.ForceCodecV2(frameCodec{}),
		grpc.CallAuthority(x.request.out.Host),
	}
	media, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";")
	if _, subtype, ok := strings.Cut(media, "+"); ok {
		options = append(options, grpc.CallContentSubtype(subtype))
	}
	if encoding := x.r.Header.Get("Grpc-Encoding"); encoding != "" && encoding != "identity" {
		options = append(options, grpc.UseCompressor(encoding))
	}
	return options
}

// knownEncoding reports whether grpc-go can undo a grpc-encoding.
func knownEncoding(name string) bool {
	return name == "" || name == "identity" || grpcencoding.GetCompressor(name) != nil
}

// compressionWatch tells the exchange in which encoding the upstream answers,
// which grpc-go shows to nobody else.
type compressionWatch struct{}

type compressionKey struct{}

func (compressionWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (compressionWatch) HandleRPC(ctx context.Context, s stats.RPCStats) {
	head, ok := s.(*stats.InHeader)
	if !ok {
		return
	}
	// Written before the head is handed to the exchange, and never again.
	if name, ok := ctx.Value(compressionKey{}).(*string); ok {
		*name = head.Compression
	}
}

func (compressionWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (compressionWatch) HandleConn(context.Context, stats.ConnStats) {}

func newFrame(message []byte) *frame {
	return &frame{buf: mem.BufferSlice{mem.SliceBuffer(message)}}
}

// encodeBinary is the wire's form of a -bin value: base64 without padding.
func encodeBinary(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }
