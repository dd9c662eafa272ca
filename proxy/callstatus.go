package proxy

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/rules"
)

// statusOf is the gRPC status that a caller sees for the end of a call: the
// upstream's own, or what Sluice has to say.
func (x *exchange) statusOf(err error) *status.Status {
	var passed *upstreamStatus
	switch {
	case err == nil:
		return status.New(codes.OK, "")
	case errors.As(err, &passed):
		return passed.s
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the deadline passed")
	}
	var e *Error
	if errors.As(err, &e) && e.Origin == OriginCaller && e.Reason == "cancelled" {
		return status.New(codes.Canceled, "cancelled by the caller")
	}
	a := x.answerFor(err)
	n, _ := a.code.Number()
	return status.New(codes.Code(n), a.message)
}

// ownAnswer is what Sluice says itself, nil if the upstream's word or the
// caller's own end is what the caller sees.
func (x *exchange) ownAnswer(err error) *answer {
	var passed *upstreamStatus
	var e *Error
	switch {
	case err == nil, errors.As(err, &passed):
		return nil
	case errors.As(err, &e) && e.Origin == OriginCaller && e.Reason == "cancelled":
		return nil
	}
	return x.answerFor(err)
}

// callFallback answers a call that the breaker refused with the fallback, if
// the route has one for this method.
func (x *exchange) callFallback(caller grpc.ServerStream, refused error) error {
	a := x.route.Breaker().Fallback
	if a == nil {
		return refused
	}
	code, _ := a.GRPC.Number()
	if codes.Code(code) != codes.OK {
		x.record.Answered = answeredFallback
		return &upstreamStatus{status.New(codes.Code(code), a.Message)}
	}
	if x.method == nil {
		return refused
	}
	data, err := x.method.Output.Encode(nil, a.Body)
	if err != nil {
		return x.encodeFailed("upstream.breaker.fallback", err, nil)
	}
	x.record.Answered = answeredFallback
	head := &rules.Head{Status: http.StatusOK, Fields: a.Headers}
	x.response.in, x.response.out = head, head
	// A fallback is the one message of the response, in a stream too.
	left, err := x.stepMessage(rules.Whole, false, newFrame(data))
	if err != nil {
		return err
	}
	if err := x.sendCallHead(caller); err != nil {
		return err
	}
	for _, m := range left {
		if err := caller.SendMsg(m); err != nil {
			return x.callerGone()
		}
	}
	return nil
}

// metadataOf turns fields into metadata. grpc-go decodes -bin values when it
// reads and encodes them when it writes; what x's head holds is the wire's form,
// so they are taken from the caller's own metadata where they are unchanged.
func (x *exchange) outgoingMetadata(ctx context.Context) metadata.MD {
	in, _ := metadata.FromIncomingContext(ctx)
	md := metadata.MD{}
	for _, f := range x.request.out.Fields {
		name := strings.ToLower(f.Name)
		if reserved(name) {
			continue
		}
		if strings.HasSuffix(name, "-bin") {
			if md[name] == nil {
				md[name] = in[name]
			}
			continue
		}
		md[name] = append(md[name], f.Value)
	}
	return md
}

// reserved are the fields that grpc-go writes itself.
func reserved(name string) bool {
	switch name {
	case "content-type", "user-agent", "te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "host":
		return true
	}
	return false
}

// fieldsOf lists metadata as fields, by name. Values of -bin keys are shown as
// the wire has them.
func fieldsOf(md metadata.MD) rules.Fields {
	var fields rules.Fields
	for _, name := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[name] {
			if strings.HasSuffix(name, "-bin") {
				v = encodeBinary(v)
			}
			fields = append(fields, rules.Field{Name: name, Value: v})
		}
	}
	return fields
}

func (x *exchange) responseHeadOf(md metadata.MD) *rules.Head {
	x.responseMD = md
	return &rules.Head{Status: http.StatusOK, Fields: fieldsOf(md)}
}

// sendCallHead passes the response's head on, with what the steps changed.
func (x *exchange) sendCallHead(caller grpc.ServerStream) error {
	md := metadata.MD{}
	for _, f := range x.response.out.Fields {
		name := strings.ToLower(f.Name)
		if reserved(name) {
			continue
		}
		if strings.HasSuffix(name, "-bin") {
			md[name] = x.responseMD[name]
			continue
		}
		md[name] = append(md[name], f.Value)
	}
	if x.compression != "" && x.compression != "identity" {
		if err := grpc.SetSendCompressor(caller.Context(), x.compression); err != nil {
			x.p.Log.Debug("compress as the upstream did", "error", err)
		}
	}
	if err := caller.SendHeader(md); err != nil {
		return x.callerGone()
	}
	return nil
}

// upstreamFailedCall is a call that could not be opened. grpc-go gives a status
// where the connection failed; the dialler has kept the cause.
func (x *exchange) upstreamFailedCall(err error) error {
	if cause := x.c.callFailure(); cause != nil {
		return x.upstreamFailed(cause)
	}
	return &upstreamStatus{status.Convert(err)}
}

// grpcStatus reads the status of a call that passed as plain HTTP/2.
func (x *exchange) grpcStatus() rules.Code {
	v := x.record.Response.Trailers.Get("Grpc-Status")
	if v == "" && x.response.in != nil {
		v = x.response.in.Fields.Get("Grpc-Status") // trailers only
	}
	if v == "" {
		return ""
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return "UNKNOWN"
	}
	return rules.CodeOf(n)
}

// grpcFronts are grpc-go servers by the size of message they take: the limit is
// a server's, and a route's limits.message is ours.
type grpcFronts struct {
	mu      sync.Mutex
	servers map[int]*grpc.Server
}

// passLimit bounds a message on a route with on_error: pass, which lets longer
// ones through, and so what a compressed message may unfold to.
const passLimit = 64 << 20

func (p *Proxy) grpcServer(route *rules.Route) *grpc.Server {
	limit := int(min(int64(route.Limits().Message), math.MaxInt32))
	if route.OnError() == rules.OnErrorPass {
		limit = max(limit, passLimit)
	}
	p.calls.mu.Lock()
	defer p.calls.mu.Unlock()
	if s, ok := p.calls.servers[limit]; ok {
		return s
	}
	s := grpc.NewServer(
		grpc.UnknownServiceHandler(p.carry),
		grpc.ForceServerCodecV2(frameCodec{}),
		grpc.MaxRecvMsgSize(limit),
		grpc.MaxSendMsgSize(math.MaxInt32),
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
