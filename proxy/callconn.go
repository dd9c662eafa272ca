package proxy

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// callConn is a grpc-go client connection of one downstream connection. Its
// fields are guarded by the conn's mutex.
type callConn struct {
	client *grpc.ClientConn
	live   int   // calls that use it
	failed error // why its dial failed. No call takes it any more: it would back off, and dial on its own
}

func (c *callConn) close() { c.client.Close() }

// direct answers grpc-proxy's question where a call goes: to the destination of
// the connection it came on, with the head that the steps left.
func (x *netLane) direct(ctx context.Context, _ string) (context.Context, *grpc.ClientConn, error) {
	md, err := x.outgoingMetadata()
	if err != nil {
		return nil, nil, err
	}
	if x.calls, err = x.c.callClient(x.r.UserAgent()); err != nil {
		return nil, nil, x.callerGone()
	}
	x.watch.headed = make(chan struct{})
	ctx = metadata.NewOutgoingContext(ctx, md)
	return context.WithValue(ctx, watchKey{}, &x.watch), x.calls.client, nil
}

// callClient returns the connection for calls, made at the first. The caller's
// user agent goes before grpc-go's own, which nothing can take away. To be
// released after the call.
func (c *conn) callClient(agent string) (*callConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return nil, errEnded
	default:
	}
	if c.calls == nil || c.calls.failed != nil {
		calls, err := c.newCallConn(agent)
		if err != nil {
			return nil, err
		}
		c.calls = calls // the old one is closed by the last that uses it
	}
	c.calls.live++
	return c.calls, nil
}

func (c *conn) newCallConn(agent string) (*callConn, error) {
	calls := &callConn{}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		nc, err := c.connect(ctx)
		if err != nil {
			c.mu.Lock()
			calls.failed = err
			c.mu.Unlock()
		}
		return nc, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithStatsHandler(watcher{}),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithMaxHeaderListSize(uint32(maxHead)),
		grpc.WithStaticStreamWindowSize(int32(streamWindow)), // else it grows to 16 MiB for a slow caller
		grpc.WithStaticConnWindowSize(int32(sessionWindow)),
	}
	if agent != "" {
		options = append(options, grpc.WithUserAgent(agent))
	}
	client, err := grpc.NewClient("passthrough:///"+c.address(), options...)
	calls.client = client
	return calls, err
}

// releaseCalls gives back what callClient returned.
func (c *conn) releaseCalls(calls *callConn) {
	c.mu.Lock()
	calls.live--
	unused := calls.live == 0 && (calls.failed != nil || calls != c.calls)
	if unused && calls == c.calls {
		c.calls = nil
	}
	c.mu.Unlock()
	if unused {
		calls.close()
	}
}

// callFailure is why the dial of calls failed, nil if it did not.
func (c *conn) callFailure(calls *callConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return calls.failed
}

// callOptions keep what the caller sent: authority, content subtype, encodings.
func (x *netLane) callOptions() []grpc.CallOption {
	limit := x.messageLimit(x.route.Response())
	options := []grpc.CallOption{
		grpc.ForceCodecV2(frameCodec{}),
		grpc.CallAuthority(x.request.out.Host),
		grpc.MaxCallRecvMsgSize(limit),
		grpc.MaxCallSendMsgSize(noLimit),
		experimental.AcceptCompressors(x.acceptedEncodings()...),
	}
	if _, subtype, ok := strings.Cut(mediaType(x.request.in), "+"); ok {
		options = append(options, grpc.CallContentSubtype(subtype))
	}
	if encoding := x.r.Header.Get("Grpc-Encoding"); encoding != "" && encoding != "identity" {
		options = append(options, grpc.UseCompressor(encoding))
	}
	return options
}

// callWatch is what grpc-go shows of the upstream's half to a stats handler
// only. encoding may be read once headed is closed, which follows the head at
// once.
type callWatch struct {
	headed   chan struct{}
	once     sync.Once   // guards headed: a call that nobody has processed is sent again
	encoding string      // of its messages
	trailers atomic.Bool // it ended the call itself; they may come just as we end it
}

type watchKey struct{}

// watcher is the stats handler that fills in each call's callWatch.
type watcher struct{}

func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	w, ok := ctx.Value(watchKey{}).(*callWatch)
	if !ok {
		return
	}
	switch s := s.(type) {
	case *stats.InHeader:
		w.once.Do(func() {
			w.encoding = s.Compression
			close(w.headed)
		})
	case *stats.InTrailer:
		w.trailers.Store(true)
	}
}

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}
