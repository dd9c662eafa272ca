package proxy

import (
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	grpcencoding "google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers gzip, which callers and servers may speak

	"github.com/sluice-proxy/sluice/rules"
)

// grpcFronts are grpc-go servers by the size of message that they take from a
// caller.
type grpcFronts struct {
	mu      sync.Mutex
	servers map[int]*grpc.Server
}

const (
	// unreadLimit bounds a message that no step reads or that a route with
	// on_error: pass lets through although it is over its limit. It bounds what a
	// compressed message may unfold to.
	unreadLimit = 64 << 20

	noLimit = math.MaxInt32
)

// messageLimit is the size of a message that is taken in for steps.
func (x *exchange) messageLimit(steps *rules.Steps) int {
	limit := int(min(int64(x.route.Limits().Message), noLimit))
	if !touches(steps) || x.route.OnError() == rules.OnErrorPass {
		limit = max(limit, unreadLimit)
	}
	return limit
}

func (p *Proxy) grpcServer(limit int) *grpc.Server {
	p.calls.mu.Lock()
	defer p.calls.mu.Unlock()
	if s, ok := p.calls.servers[limit]; ok {
		return s
	}
	s := grpc.NewServer(
		grpc.UnknownServiceHandler(p.carry),
		grpc.ForceServerCodecV2(frameCodec{}),
		grpc.MaxRecvMsgSize(limit),
		grpc.MaxSendMsgSize(noLimit),
	)
	if p.calls.servers == nil {
		p.calls.servers = make(map[int]*grpc.Server)
	}
	p.calls.servers[limit] = s
	return s
}

func (f *grpcFronts) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.servers {
		s.Stop()
	}
}

// knownEncoding reports whether grpc-go can undo a grpc-encoding.
func knownEncoding(name string) bool {
	return name == "" || name == "identity" || grpcencoding.GetCompressor(name) != nil
}

// RegisterEncodings teaches grpc-go the encodings that it does not bring with
// it: zstd. Call it first thing in main, or not at all; grpc-go keeps them in a
// map of the process without a lock. Without it, calls in zstd pass unread.
func RegisterEncodings() { grpcencoding.RegisterCompressor(zstdEncoding{}) }

// zstdEncoding is grpc-encoding zstd (RFC 8878).
type zstdEncoding struct{}

var _ grpcencoding.Compressor = zstdEncoding{}

func (zstdEncoding) Name() string { return "zstd" }

func (zstdEncoding) Compress(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
}

func (zstdEncoding) Decompress(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unreadLimit))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
