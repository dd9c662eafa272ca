package proxy

import (
	"strconv"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// told is what the observers will be told of a stream of HTTP/2 that
// passes with no route. It is used again.
type told struct {
	record            Record
	call              rules.Request
	request, response []byte // room for the bytes of bodies
	edited            []byte // room for what plans make of the request's
	shade             *shade // what is kept for a route in shadow; nil: there is none
}

var allTold = sync.Pool{New: func() any { return new(told) }}

// forget gives t back, once the observers were told.
func (t *told) forget() {
	t.request, t.response = reused(t.request, t.record.Request.Body.Bytes), reused(t.response, t.record.Response.Body.Bytes)
	t.edited = kept(t.edited)
	t.record, t.call, t.shade = Record{}, rules.Request{}, nil
	allTold.Put(t)
}

// reused is room for bytes, which had been outgrown if grown is not nil.
func reused(room, grown []byte) []byte {
	if grown != nil {
		room = grown
	}
	return kept(room)
}

// capture adds a part of a body to the most bytes that are kept of it.
func (t *told) capture(from Origin, part []byte, most codec.Bytes) {
	p, room := &t.record.Request.Body, t.request
	if from == OriginUpstream {
		p, room = &t.record.Response.Body, t.response
	}
	t.shade.half(from != OriginUpstream).add(part)
	p.Size += int64(len(part))
	if p.Bytes == nil {
		p.Bytes = room
	}
	p.Bytes = append(p.Bytes, part[:min(len(part), max(0, int(most)-len(p.Bytes)))]...)
}

// finish completes the record of an exchange that ended with err, or well.
func (t *told) finish(now time.Time, err *Error) *Record {
	r := &t.record
	r.Duration = now.Sub(r.Started)
	r.Error = err
	for _, h := range []*Half{&r.Request, &r.Response} {
		if h.Body.Size == 0 {
			h.Body = Payload{}
		}
	}
	if r.Protocol == GRPC {
		r.GRPCStatus = grpcStatusOf(&r.Response)
	}
	return r
}

// ended notes that a side has said all that it has to say.
func (t *told) ended(from Origin) {
	if t != nil {
		t.shade.half(from != OriginUpstream).end()
	}
}

// finishShade ends the exchange for its route in shadow, once the observers have
// been told of it.
func (t *told) finishShade() {
	if t.shade != nil {
		t.shade.end(t.record.Response.In, t.record.Response.Trailers)
		t.shade.queue()
	}
}

// grpcStatusOf is what a gRPC call ended with, "" if nobody said.
func grpcStatusOf(h *Half) rules.Code {
	v := h.Trailers.Get("grpc-status")
	if v == "" && h.In != nil {
		v = h.In.Fields.Get("grpc-status") // trailers only
	}
	switch v {
	case "":
		return ""
	case "0":
		return rules.CodeOf(0)
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return "UNKNOWN"
	}
	return rules.CodeOf(n)
}
