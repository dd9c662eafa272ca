// Package http1 reads HTTP/1 heads and follows body framing over bytes that
// somebody else read. It is strict where leniency lets two readers of the same
// bytes disagree (RFC 9112, 11.2), and keeps every byte where it found it, so
// that what was read can be forwarded as it came.
//
// Nothing here does I/O or starts goroutines, and no value is safe for use by
// two goroutines at once. [Request], [Response] and [Body] are made to be
// reused: a parse allocates only while their slices grow.
package http1

import (
	"fmt"
	"net/http"
)

// Limits bound a head. A field that is zero means the default of its comment.
type Limits struct {
	Head   int // bytes of the whole head, empty lines before it included: 60 KiB
	Line   int // bytes of the start line without its CRLF: 8 KiB
	Fields int // field lines: 100
}

func (l Limits) withDefaults() Limits {
	if l.Head <= 0 {
		l.Head = 60 << 10
	}
	if l.Line <= 0 {
		l.Line = 8 << 10
	}
	if l.Fields <= 0 {
		l.Fields = 100
	}
	return l
}

// Kind is how the end of a body is told (RFC 9112, 6.3).
type Kind uint8

// The kinds. UntilClose is for responses only.
const (
	None Kind = iota
	Length
	Chunked
	UntilClose
)

func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Length:
		return "length"
	case Chunked:
		return "chunked"
	case UntilClose:
		return "until_close"
	}
	return "invalid"
}

// Framing is where a body ends. The zero Framing is that of no body.
type Framing struct {
	Kind Kind
	// Length is what Content-Length says, and -1 if there is no such field. It
	// can stand beside None: of what a HEAD would have got, for one.
	Length int64

	response bool // whose fault a broken body is
}

// Error is why bytes are refused. Parse and Body return no other kind.
type Error struct {
	Status int    // of the answer that fits: 400, 414, 431, 501, 505; 502 if a response is refused
	Reason string // stable, snake_case, one of the constants below
	Offset int64  // of the byte at fault in what was given to Parse, or in the wire bytes of the body
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
}

// What Error.Reason can be.
const (
	reasonHeadTooLarge     = "head_too_large"        // 431
	reasonLineTooLong      = "line_too_long"         // 414
	reasonTooManyFields    = "too_many_fields"       // 431
	reasonTooManyOptions   = "too_many_options"      // 431: elements of Connection
	reasonEmptyLines       = "empty_lines"           // too many before the request line
	reasonRequestLine      = "bad_request_line"      // not three words parted by single spaces, the last a version
	reasonStatusLine       = "bad_status_line"       //
	reasonMethod           = "bad_method"            // not a token, PRI, or HEAD or CONNECT in other case
	reasonTarget           = "bad_target"            // a form that the method does not take, or a byte that no URI has
	reasonVersion          = "bad_version"           // 505: HTTP, but neither 1.0 nor 1.1
	reasonBareLF           = "bare_lf"               //
	reasonBareCR           = "bare_cr"               //
	reasonNUL              = "nul"                   //
	reasonControl          = "control_character"     //
	reasonObsFold          = "obs_fold"              //
	reasonSpaceBeforeColon = "space_before_colon"    //
	reasonName             = "bad_name"              // of a field: empty, or not a token
	reasonNoColon          = "no_colon"              //
	reasonMissingHost      = "missing_host"          //
	reasonTwoHosts         = "two_hosts"             //
	reasonHost             = "bad_host"              // bytes that no authority has
	reasonHostMismatch     = "host_mismatch"         // Host says otherwise than the target
	reasonTwoLengths       = "two_lengths"           // in two lines or a list, equal or not
	reasonLength           = "bad_length"            //
	reasonLengthAndChunked = "length_and_chunked"    //
	reasonCoding           = "transfer_encoding"     // 501: not chunked alone
	reasonTransferEncoding = "bad_transfer_encoding" // twice, or in HTTP/1.0
	reasonUnexpectedBody   = "unexpected_body"       // where there must be none: CONNECT, 1xx, 204
	reasonChunk            = "bad_chunk"             //
	reasonChunkExtension   = "bad_chunk_extension"   // control characters, or too much of it
	reasonTrailer          = "bad_trailer"           // one that would frame or route
	reasonTruncated        = "truncated"             //
)

// requestStatus is the status that answers a request refused for reason.
func requestStatus(reason string) int {
	switch reason {
	case reasonLineTooLong:
		return http.StatusRequestURITooLong
	case reasonHeadTooLarge, reasonTooManyFields, reasonTooManyOptions:
		return http.StatusRequestHeaderFieldsTooLarge
	case reasonCoding:
		return http.StatusNotImplemented
	case reasonVersion:
		return http.StatusHTTPVersionNotSupported
	}
	return http.StatusBadRequest
}

// fault makes the error of reason, as it concerns a request or a response.
func fault(response bool, reason string, offset int64) *Error {
	if response {
		return &Error{Status: http.StatusBadGateway, Reason: reason, Offset: offset}
	}
	return &Error{Status: requestStatus(reason), Reason: reason, Offset: offset}
}
