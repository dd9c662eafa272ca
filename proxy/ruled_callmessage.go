package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	grpcencoding "google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/proxy/internal/http2"
	"github.com/sluice-proxy/sluice/rules"
)

// messages2 takes a gRPC call's messages out of one direction of its bytes: each
// is a flag, a length of four bytes, and that many bytes in the encoding that the
// head named (gRPC over HTTP/2, Length-Prefixed-Message).
type messages2 struct {
	from     *http2.Stream
	encoding string
	limit    int // bytes of a message, also without its encoding

	deadlines *deadlines // are told of what comes; may be nil
}

// message2 is one message.
type message2 struct {
	frame        // without prefix and encoding
	raw   []byte // as it came
}

func (m *message2) compressed() bool { return m.raw[0] == 1 }

const prefix2 = 5

// errMessage2 is bytes that are no message.
var errMessage2 = errors.New("malformed message")

// tooLargeError is a message over its limit.
type tooLargeError struct{ limit int }

func (e *tooLargeError) Error() string { return fmt.Sprintf("message over %d bytes", e.limit) }

// readAhead is how much of a message is made room for before it comes.
const readAhead = 64 << 10

// next waits for the next message. The error is io.EOF if there is none.
func (s *messages2) next() (*message2, error) {
	var prefix [prefix2]byte
	if n, err := s.read(prefix[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, truncated2(err)
	}
	if prefix[0] > 1 {
		return nil, fmt.Errorf("%w: flag %d", errMessage2, prefix[0])
	}
	length := int64(binary.BigEndian.Uint32(prefix[1:]))
	if length > int64(s.limit) {
		return nil, &tooLargeError{s.limit}
	}
	m := &message2{raw: make([]byte, prefix2, prefix2+min(length, readAhead))}
	copy(m.raw, prefix[:])
	for left := int(length); left > 0; {
		n := min(left, readAhead)
		m.raw = slices.Grow(m.raw, n)
		from := len(m.raw)
		m.raw = m.raw[:from+n]
		if _, err := s.read(m.raw[from:]); err != nil {
			return nil, truncated2(err)
		}
		left -= n
	}
	plain := m.raw[prefix2:]
	if m.compressed() {
		var err error
		if plain, err = s.undo(plain); err != nil {
			return nil, err
		}
	}
	m.buf = mem.BufferSlice{mem.SliceBuffer(plain)}
	return m, nil
}

// read fills b. At the end of the stream it returns io.EOF and what there was.
func (s *messages2) read(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := s.from.Read(b[n:])
		s.deadlines.moved()
		n += m
		if n < len(b) && err != nil {
			return n, err
		}
	}
	return n, nil
}

func truncated2(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends early", errMessage2)
	}
	return err
}

// undo unfolds a compressed message.
func (s *messages2) undo(data []byte) ([]byte, error) {
	coding := grpcencoding.GetCompressor(s.encoding)
	if coding == nil || s.encoding == "" || s.encoding == "identity" {
		return nil, status.Errorf(codes.Unimplemented, "message in encoding %.32q", s.encoding)
	}
	r, err := coding.Decompress(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage2, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(s.limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMessage2, err)
	case len(plain) > s.limit:
		return nil, &tooLargeError{s.limit}
	}
	return plain, nil
}

// append appends a message to dst, in the direction's encoding if compressed.
func (s *messages2) append(dst, message []byte, compressed bool) ([]byte, error) {
	if !compressed {
		return appendMessage2(dst, message, false), nil
	}
	var out bytes.Buffer
	w, err := grpcencoding.GetCompressor(s.encoding).Compress(&out)
	if err == nil {
		if _, err = w.Write(message); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", s.encoding, err)
	}
	return appendMessage2(dst, out.Bytes(), true), nil
}

// appendMessage2 appends a message with its prefix.
func appendMessage2(dst, message []byte, compressed bool) []byte {
	flag := byte(0)
	if compressed {
		flag = 1
	}
	dst = append(dst, flag)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(message)))
	return append(dst, message...)
}

// acceptable2 leaves of the encodings that a caller takes those that can be
// undone here. The fields stay as they are where all of them can.
func acceptable2(fields []http2.Field) []http2.Field {
	for i := range fields {
		if fields[i].Name != "grpc-accept-encoding" {
			continue
		}
		if !allKnown(fields[i].Value) {
			fields = slices.Clone(fields)
			fields[i].Value = onlyKnown(fields[i].Value)
		}
	}
	return fields
}

func allKnown(encodings string) bool {
	for name := range strings.SplitSeq(encodings, ",") {
		if !knownEncoding(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

func onlyKnown(encodings string) string {
	var known []string
	for name := range strings.SplitSeq(encodings, ",") {
		if name = strings.TrimSpace(name); knownEncoding(name) {
			known = append(known, name)
		}
	}
	return strings.Join(known, ",")
}

// unsized2 leaves the length out, which the steps may change with each message.
func unsized2(fields []http2.Field) []http2.Field {
	is := func(f http2.Field) bool { return f.Name == "content-length" }
	if !slices.ContainsFunc(fields, is) {
		return fields
	}
	return slices.DeleteFunc(slices.Clone(fields), is)
}

// checkBinary2 reports a field of binary metadata that is not in base64 (gRPC
// over HTTP/2, Custom-Metadata).
func checkBinary2(head *rules.Head) error {
	for _, f := range head.Fields {
		if !strings.HasSuffix(f.Name, "-bin") && !strings.HasSuffix(f.Name, "-Bin") {
			continue
		}
		for value := range strings.SplitSeq(f.Value, ",") {
			if _, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(value), "=")); err != nil {
				return fmt.Errorf("decode %s: %w", f.Name, err)
			}
		}
	}
	return nil
}
