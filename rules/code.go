package rules

// Code is a gRPC status code by name, such as INVALID_ARGUMENT. The empty Code
// is none.
type Code string

// codes are the names in the order of their numbers (grpc/doc/statuscodes.md).
var codes = [...]Code{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// Number returns the code's number; ok is false if there is no such code.
func (c Code) Number() (n int, ok bool) {
	for i := range codes {
		if codes[i] == c {
			return i, true
		}
	}
	return 0, false
}

// CodeOf returns the name of a code's number, UNKNOWN for a number that no
// code has.
func CodeOf(n int) Code {
	if n < 0 || n >= len(codes) {
		return "UNKNOWN"
	}
	return codes[n]
}

// HTTPStatus returns the HTTP status that corresponds to a code
// (google/rpc/code.proto).
func (c Code) HTTPStatus() int {
	switch c {
	case "OK":
		return 200
	case "CANCELLED":
		return 499
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE":
		return 400
	case "DEADLINE_EXCEEDED":
		return 504
	case "NOT_FOUND":
		return 404
	case "ALREADY_EXISTS", "ABORTED":
		return 409
	case "PERMISSION_DENIED":
		return 403
	case "UNAUTHENTICATED":
		return 401
	case "RESOURCE_EXHAUSTED":
		return 429
	case "UNIMPLEMENTED":
		return 501
	case "UNAVAILABLE":
		return 503
	}
	return 500
}

// CodeOfHTTP returns the code that corresponds to an HTTP status: the inverse
// of [Code.HTTPStatus] where that is unique, else the nearest.
func CodeOfHTTP(status int) Code {
	switch {
	case status >= 200 && status < 300:
		return "OK"
	}
	switch status {
	case 400, 422:
		return "INVALID_ARGUMENT"
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 409:
		return "ABORTED"
	case 413, 429:
		return "RESOURCE_EXHAUSTED"
	case 499:
		return "CANCELLED"
	case 500:
		return "INTERNAL"
	case 501:
		return "UNIMPLEMENTED"
	case 502, 503:
		return "UNAVAILABLE"
	case 504:
		return "DEADLINE_EXCEEDED"
	}
	return "UNKNOWN"
}
