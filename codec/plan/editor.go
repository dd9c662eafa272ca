package plan

import "github.com/sluice-proxy/sluice/codec"

// Editor is a codec on whose payloads plans run as they stand, without values
// made of them. Both methods are safe for concurrent use. data is not changed and,
// unless the outcome is Unsure, as strictly checked as by Decode; vars stand by
// their numbers in p.
type Editor interface {
	codec.Codec

	// Edit runs p on data. What it makes may be in room, of which only the
	// capacity counts, and which may be nil. What it does not call [Unsure] is what Decode, p's
	// program and Encode make of data, byte for byte. The error is Decode's.
	Edit(room []byte, p *Plan, data []byte, vars []codec.Value, limits codec.Limits) (Result, error)

	// Query works out the Result of p, whose Body only selects and stops. The
	// outcome is Changed if there is a value. The error is Decode's.
	Query(p *Plan, data []byte, vars []codec.Value, limits codec.Limits) (codec.Value, Outcome, error)
}

// Result is what a run came to.
type Result struct {
	Outcome Outcome
	Data    []byte // Unchanged: what was given; Changed: the new payload
	Ran     uint64 // a bit for the Step of each Note that was met
	Stop    int    // Stopped: the Step
}

// Outcome is how a run ended.
type Outcome uint8

// The outcomes.
const (
	Unsure    Outcome = iota // the plan cannot tell: Decode, run the program itself, and Encode
	Unchanged                // the payload stays as it is
	Changed                  // there is a new one
	Nothing                  // a Select did not hold: there is none
	Stopped                  // a Stop held
)
