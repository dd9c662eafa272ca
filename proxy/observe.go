package proxy

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// Observer is told what happens: the tap, the metrics and the log are
// Observers. Observe is called on the data path by many goroutines at once; it
// must not block and must not change what the event points to.
//
// A [*Record] or [*Message] is lent for the call, with its heads, fields and
// bytes: they are used again. Strings are not, and may be kept. Who keeps more
// keeps a [Record.Clone] or [Message.Clone]. All other events never change, and
// may be kept.
type Observer interface{ Observe(Event) }

// Event is one of [*ConnOpened], [*ConnClosed], [*Record], [*Message],
// [*BreakerChange] and [*Reload].
type Event interface{ event() }

// Protocol is what a connection or an exchange speaks.
type Protocol string

// The protocols. A conn is unknown until it spoke.
const (
	Unknown Protocol = "unknown"
	HTTP1   Protocol = "http/1.1"
	HTTP2   Protocol = "h2"
	GRPC    Protocol = "grpc" // of an exchange; its conn is h2
	TLS     Protocol = "tls"
	Raw     Protocol = "raw"
)

// Lane is the way a connection takes through Sluice.
type Lane string

// The lanes.
const (
	LaneSplice   Lane = "splice"
	LaneRelay    Lane = "relay"
	LaneExchange Lane = "exchange"
	LaneNone     Lane = "none" // refused or closed before a lane was chosen
)

// Conn describes a connection that was accepted.
type Conn struct {
	ID          string
	Direction   rules.Direction
	Listener    string // "outbound", "inbound" or the address of an explicit listener
	Peer        netip.AddrPort
	Destination netip.AddrPort // without an address, but with its port, for an Upstream
	Upstream    string         // host:port of an explicit listener, else empty
	Opened      time.Time
}

// ConnOpened tells that a connection was accepted and its destination known.
type ConnOpened struct{ Conn }

// ConnClosed tells that a connection ended.
type ConnClosed struct {
	Conn
	Protocol Protocol
	Lane     Lane
	SNI      string   // of a TLS ClientHello
	ALPN     []string // of a TLS ClientHello
	Duration time.Duration
	Sent     int64  // bytes from the caller to the upstream; splice lane only
	Received int64  // bytes from the upstream to the caller; splice lane only
	Error    *Error // nil for a clean end
}

// Record tells that an exchange finished, and all that is known of it.
type Record struct {
	ID         string
	Conn       *Conn
	Protocol   Protocol
	Lane       Lane
	Started    time.Time
	Duration   time.Duration
	Generation uint64 // of the rule set it was pinned to

	Route  string         // "" if no route matched
	Passed []rules.Passed // candidates that were passed over, and why
	Call   *rules.Request // the request as it was matched; never nil

	Request, Response Half

	Status     int        // sent to the caller; 0 if it got a reset instead
	GRPCStatus rules.Code // sent to the caller; "" if not gRPC
	Attempts   int        // requests sent to the upstream: 0 or 1
	Breaker    string     // the breaker that was asked: route@host:port; "" for none
	Answered   string     // "" if the upstream answered, else who: "reject", "rate_limit", "fault", "fallback", "breaker", "error"
	Error      *Error     // nil if nothing failed
}

// Rejected reports whether the route has refused the exchange: by a step, a rate
// limit or a fault.
func (r *Record) Rejected() bool {
	return r.Answered == answeredReject || r.Answered == answeredLimit || r.Answered == answeredFault
}

// Clone returns a copy that may be kept.
func (r *Record) Clone() *Record {
	c := *r
	call := *r.Call
	c.Call = &call
	c.Request, c.Response = r.Request.clone(), r.Response.clone()
	if c.Call.Head == r.Request.In {
		c.Call.Head = c.Request.In
	} else {
		c.Call.Head = cloneHead(c.Call.Head)
	}
	return &c
}

// Half is the request or the response of an exchange.
type Half struct {
	In, Out      *rules.Head        // as received and as sent on; the same pointer if unchanged; nil if there was none
	Body         Payload            // as received
	Sent         Payload            // as sent on; the zero Payload if it is Body, unchanged
	Edited       bool               // Sent differs from Body
	Trailers     rules.Fields       // as received
	TrailersOut  rules.Fields       // as sent on, if steps changed them; else nil
	Steps        []rules.StepReport // what each step did; of a stream's head or only message
	MessageCount int                // of a stream whose messages were looked at, else 0
}

func (h *Half) clone() Half {
	c := *h
	c.In = cloneHead(h.In)
	if h.Out == h.In {
		c.Out = c.In
	} else {
		c.Out = cloneHead(h.Out)
	}
	c.Body.Bytes, c.Sent.Bytes = bytes.Clone(h.Body.Bytes), bytes.Clone(h.Sent.Bytes)
	c.Trailers, c.TrailersOut = slices.Clone(h.Trailers), slices.Clone(h.TrailersOut)
	return c
}

func cloneHead(h *rules.Head) *rules.Head {
	if h == nil {
		return nil
	}
	c := *h
	c.Fields = slices.Clone(h.Fields)
	return &c
}

// Payload is the beginning of a body or message as it passed.
type Payload struct {
	Bytes    []byte      // decoded of any content coding if Codec is set, else as on the wire; at most Config.Capture
	Size     int64       // of the whole, in bytes
	Codec    codec.Codec // to read Bytes with, if it is known; nil otherwise
	Encoding string      // the content coding still on Bytes: "gzip"; "" for none

	// Redacted, if not zero, says that Bytes are of what the route's redact left of
	// the message, which is so many bytes of JSON; Codec reads it and has the name
	// of the message's format.
	Redacted int64
	// Withheld says why there are no Bytes of a message that may have what the
	// route's redact hides; "" if there are.
	Withheld string
}

// Whole reports whether Bytes is all of it.
func (p *Payload) Whole() bool {
	if p.Redacted != 0 {
		return int64(len(p.Bytes)) == p.Redacted
	}
	return int64(len(p.Bytes)) == p.Size
}

// Message tells that one message of a stream passed a route's steps.
type Message struct {
	Exchange string // its ID
	Route    string
	Call     *rules.Request
	Upstream bool // from the upstream to the caller; else from the caller
	Index    int  // in its direction, from zero
	At       time.Time
	In       Payload
	Out      []Payload // what left instead, if Edited
	Edited   bool
	Steps    []rules.StepReport
}

// Clone returns a copy that may be kept.
func (m *Message) Clone() *Message {
	c := *m
	if m.Call != nil {
		call := *m.Call
		call.Head = cloneHead(call.Head)
		c.Call = &call
	}
	c.In.Bytes, c.Out = bytes.Clone(m.In.Bytes), slices.Clone(m.Out)
	for i := range c.Out {
		c.Out[i].Bytes = bytes.Clone(c.Out[i].Bytes)
	}
	return &c
}

// BreakerChange tells that a circuit breaker changed its state.
type BreakerChange struct {
	Name     string // route@host:port
	From, To string // closed, open, half_open, forced_open
	At       time.Time
	Counts   rules.Counts // that led to it
}

// Reload tells that rule files were read, well or not.
type Reload struct {
	At         time.Time
	Generation uint64 // in force after it
	Hash       string // of the set in force
	Read       string // hash of the text that was read; "" if it could not be
	Routes     int
	Problems   []rules.Problem
	Err        error // why the files could not be read; nil if they could
	Live       bool  // the text that was read is in force
}

func (*ConnOpened) event()    {}
func (*ConnClosed) event()    {}
func (*Record) event()        {}
func (*Message) event()       {}
func (*BreakerChange) event() {}
func (*Reload) event()        {}

// Observers fans out to several observers, in order.
type Observers []Observer

// Observe implements [Observer].
func (o Observers) Observe(e Event) {
	for _, each := range o {
		each.Observe(e)
	}
}
