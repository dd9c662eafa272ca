package proxy

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-proxy/sluice/rules"
)

// callRequest is the request as grpc-go needs it: what it acts on itself, and
// none of the metadata, which the exchange's head has.
func (x *netLane) callRequest() *http.Request {
	r := x.r.WithContext(context.WithValue(x.ctx, exchangeKey{}, x))
	r.Body = x.gate
	r.Header = http.Header{"Content-Type": {mediaType(x.request.in)}}
	for _, name := range []string{"Grpc-Encoding", "Grpc-Timeout"} {
		if v := x.r.Header[name]; len(v) > 0 {
			r.Header[name] = v
		}
	}
	return r
}

// outgoingMetadata is the head to be sent as grpc-go takes it, which encodes the
// values of -bin keys itself.
func (x *netLane) outgoingMetadata() (metadata.MD, error) {
	md := metadata.MD{}
	for _, f := range x.request.out.Fields {
		name := strings.ToLower(f.Name)
		switch name {
		case "content-type", "user-agent", "te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "host":
			continue // grpc-go writes them: callOptions
		}
		if err := appendMetadata(md, name, f.Value); err != nil {
			if x.request.out == x.request.in {
				return nil, &Error{Origin: OriginCaller, Reason: "malformed", Err: err}
			}
			return nil, &rules.StepError{Route: x.route, Step: "request", Reason: rules.ReasonHead, Err: err}
		}
	}
	return md, nil
}

// appendMetadata adds one field of a head to md.
func appendMetadata(md metadata.MD, name, value string) error {
	if !strings.HasSuffix(name, "-bin") {
		md[name] = append(md[name], value)
		return nil
	}
	// One line may hold several values (gRPC over HTTP/2, Custom-Metadata).
	for encoded := range strings.SplitSeq(value, ",") {
		v, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(encoded), "="))
		if err != nil {
			return fmt.Errorf("decode %s: %w", name, err)
		}
		md[name] = append(md[name], string(v))
	}
	return nil
}

// fieldsOf lists metadata as fields, by name, with the values of -bin keys as
// the wire has them: in base64, without padding. A length is that of the hop.
func fieldsOf(md metadata.MD) rules.Fields {
	var fields rules.Fields
	for _, name := range slices.Sorted(maps.Keys(md)) {
		if hopByHop[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, v := range md[name] {
			if strings.HasSuffix(name, "-bin") {
				v = base64.RawStdEncoding.EncodeToString([]byte(v))
			}
			fields = append(fields, rules.Field{Name: name, Value: v})
		}
	}
	return fields
}

// sendCallHead passes the response's head on, as the steps left it. Messages
// will leave in the upstream's encoding, if the caller takes it.
func (x *netLane) sendCallHead(caller grpc.ServerStream) error {
	md := metadata.MD{}
	for _, f := range x.response.out.Fields {
		name := strings.ToLower(f.Name)
		if name == "content-type" {
			continue // callWriter writes it
		}
		if err := appendMetadata(md, name, f.Value); err != nil {
			return &rules.StepError{Route: x.route, Step: "response", Reason: rules.ReasonHead, Err: err}
		}
	}
	encoding := x.watch.encoding
	if !slices.Contains(x.acceptedEncodings(), encoding) {
		encoding = "" // else grpc-go answers in that of the request
	}
	// grpc.SetSendCompressor would ask what the caller accepts, which grpc-go
	// does not read when it serves under net/http.
	stream := grpc.ServerTransportStreamFromContext(caller.Context()).(interface{ SetSendCompress(name string) error })
	if err := stream.SetSendCompress(encoding); err != nil {
		return x.callerGone()
	}
	if err := caller.SendHeader(md); err != nil {
		return x.callerGone()
	}
	return nil
}

// acceptedEncodings are those that the caller can read and grpc-go can write.
func (x *netLane) acceptedEncodings() []string {
	names := slices.Clone(x.r.Header["Grpc-Encoding"]) // what it writes it reads
	for _, line := range x.r.Header["Grpc-Accept-Encoding"] {
		names = append(names, strings.Split(line, ",")...)
	}
	var known []string
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name != "" && name != "identity" && knownEncoding(name) && !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	return known
}

// callWriter is what grpc-go writes a response to. It lets messages and their
// head through. How the call ends is not grpc-go's to say but tellEnd's, so that
// a call without a message ends with trailers only, and with whose word it is.
type callWriter struct {
	http.ResponseWriter
	x       *netLane
	began   bool // the head has been sent
	refused bool // grpc-go could not read the request, and says so in plain HTTP
}

func (w *callWriter) WriteHeader(status int) {
	if status != http.StatusOK {
		w.refused = true
		return
	}
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *callWriter) Write(b []byte) (int, error) {
	if w.refused {
		return len(b), nil
	}
	w.begin()
	return w.ResponseWriter.Write(b)
}

// Flush does not send a head that nobody wrote: grpc-go flushes before it
// writes the status.
func (w *callWriter) Flush() {
	if w.began {
		http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// begin replaces what grpc-go makes up in a head with what the upstream sent.
func (w *callWriter) begin() {
	if w.began {
		return
	}
	w.began = true
	h := w.Header()
	delete(h, "Trailer")
	w.x.setContentType(h)
}

// setContentType writes the upstream's content type, for a fallback the caller's.
func (x *netLane) setContentType(h http.Header) {
	if v := x.response.out.Fields.Get("Content-Type"); v != "" {
		h.Set("Content-Type", v)
	} else {
		h.Set("Content-Type", x.r.Header.Get("Content-Type"))
	}
}
