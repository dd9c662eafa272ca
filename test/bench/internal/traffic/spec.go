package traffic

import "time"

// Kind is what a load does.
type Kind string

// The kinds of load.
const (
	Get      Kind = "get"      // HTTP/1.1 GET of 100 B
	Post     Kind = "post"     // HTTP/1.1 POST of 16 KiB, answered with 100 B
	Download Kind = "download" // HTTP/1.1 GET of 1 MiB
	Raw      Kind = "raw"      // bytes without end, of no protocol; counted in MiB
	Unary    Kind = "unary"    // gRPC, 100 B there and back
	Bidi     Kind = "bidi"     // gRPC, messages of 100 B echoed on streams without end
	Idle     Kind = "idle"     // connections that do one Get and then nothing
	Order    Kind = "order"    // HTTP/1.1 POST of JSON, answered with 100 B
	Call     Kind = "call"     // gRPC, a message of half a KiB there and what became of it back
)

// Protocol says which of the backend's ports a Kind is for.
func (k Kind) Protocol() Protocol {
	switch k {
	case Raw:
		return RawTCP
	case Unary, Bidi, Call:
		return GRPC
	}
	return HTTP1
}

// Protocol is one of the backend's ports.
type Protocol string

// The backend's ports.
const (
	HTTP1  Protocol = "http1"
	GRPC   Protocol = "grpc"
	RawTCP Protocol = "raw"
)

// Protocols are all the backend's ports.
var Protocols = [...]Protocol{HTTP1, GRPC, RawTCP}

// Spec is one run of the load.
type Spec struct {
	Kind     Kind
	Address  string        // of the proxy
	Conns    int           // how many connections
	Size     int           // of the body in bytes, nearly; Order only
	Edit     Edit          // that the proxy has to do to it; Order and Call only
	Streams  int           // of each connection; HTTP/2 only
	InFlight int           // messages of each stream; 1 but for Bidi
	Rate     int           // requests a second over all connections, in an open loop; 0: a closed loop
	Warm     time.Duration // before the measurement
	For      time.Duration // of the measurement; of Idle: how long the connections idle before it
	PIDs     []int         // the proxy's processes
	OnCPU    int           // the proxy's processor
}

// Result is what a run measured.
type Result struct {
	Count   float64 // requests; messages of Bidi, there and back; MiB of Raw; connections of Idle
	Elapsed time.Duration
	CPU     time.Duration // of the proxy, user and system
	Others  time.Duration // that others had of the proxy's processor
	P50     time.Duration // of a request, or of a message there and back; 0 of Raw and Idle
	P99     time.Duration
	RSS     int64 // of the proxy at the end, with all connections open; bytes
	Peak    int64 // the most it was since the proxy began; bytes
	Errors  int
	Error   string // the first one
}
