package proxy

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/encoding"
	"github.com/sluice-proxy/sluice/codec/form"
	"github.com/sluice-proxy/sluice/rules"
)

// formBody is a multipart form of a caller that is too long to be kept, and whose
// steps do nothing but name some of its fields. The steps see the parts that are
// whole within the limit; what stands behind them, which is files mostly, passes
// without being kept. That is what they would do with all of the form, as long as
// no part behind the limit has a name that they name: then it is over the limit,
// like the whole of any other body.
type formBody struct {
	x        *exchange
	body     *body
	codec    form.Multipart
	original codec.Original
	names    []string // that the steps name
	follower *form.Follower

	before []byte // what is yet to go on of what was read
	blind  bool   // a part was over the limit, and passes
	err    error
}

// readForm begins to read a form of which only a part may be kept. done is false
// if it is none, or its steps need all of it.
func (x *exchange) readForm(h *half, format codec.Codec, limit int64) (done bool, err error) {
	m, ok := format.(form.Multipart)
	names, closed := x.route.Request().Members()
	if !ok || !closed || h != &x.request || x.translates() || x.sized {
		return false, nil
	}
	if coding, err := encoding.Parse(h.in.Fields.Values("Content-Encoding")...); err != nil || !coding.Identity() {
		return false, nil //nolint:nilerr // it is over the limit in the first place
	}
	b := &h.body
	if b.raw == nil {
		b.asked.Store(true)
		if b.raw, err = io.ReadAll(io.LimitReader(b.stream, limit)); err != nil {
			return false, err
		}
	}
	f := &formBody{x: x, body: b, codec: m, names: names}
	var last string // and its place
	at := int64(-1)
	passing := false
	f.follower = m.Follow(func(name string, begins int64) error {
		last, at = name, begins
		if passing {
			return f.judge(name)
		}
		return nil
	})
	if _, err := f.follower.Write(b.raw); err != nil {
		b.fail(reasonOf(err, rules.ReasonDecode), err)
		return true, nil
	}
	passing = true
	whole := f.follower.Last()
	if whole < 0 || at == whole && slices.Contains(names, last) {
		return false, nil
	}
	value, original, err := m.Beginning(b.raw[:whole], codec.Limits{Size: codec.Bytes(limit)})
	if err != nil {
		b.fail(reasonOf(err, rules.ReasonDecode), err)
		return true, nil
	}
	f.original, f.before = original, b.raw[whole:]
	b.codec, b.input.Value, b.form = m, value, f
	return true, nil
}

// errBehindFile is a part that the steps name behind the part of a form that may
// be kept.
var errBehindFile = fmt.Errorf("a field that the steps name, behind what is kept of the form: %w", codec.ErrTooLarge)

// judge decides about a part of which only the name is known.
func (f *formBody) judge(name string) error {
	if slices.Contains(f.names, name) {
		return errBehindFile
	}
	return nil
}

// passForm lets a form pass, in whose beginning the steps left value.
func (x *exchange) passForm(h *half, value codec.Value) error {
	b, f := &h.body, h.body.form
	beginning, err := f.codec.EncodeBeginning(f.original, value)
	if err != nil {
		return x.encodeFailed(halfName(nil), err)
	}
	if passes, ok := b.stream.(interface{ passOn() }); ok {
		passes.passOn()
	}
	b.seen = newCapture(int(x.p.Capture))
	b.seen.add(b.raw)
	f.before = append(slices.Clip(beginning), f.before...)
	b.raw, b.messages = nil, &messageBody{x: x, body: b, fromCaller: true, form: f}
	h.out = withoutDigests(h.out)
	return nil
}

// Read reads what goes on. Its error is the end, one of the body that it reads, or
// a part's that is over the limit.
func (f *formBody) Read(p []byte) (int, error) {
	if len(f.before) > 0 {
		n := copy(p, f.before)
		if f.before = f.before[n:]; len(f.before) == 0 {
			f.before = nil
		}
		return n, nil
	}
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.body.stream.Read(p)
	f.body.seen.add(p[:n])
	failed := f.follow(p[:n], errors.Is(err, io.EOF))
	if failed != nil {
		f.err = failed
		f.x.cancel(failed) // who waits for the response learns of it
		return 0, failed
	}
	return n, err
}

// follow looks at what is about to pass.
func (f *formBody) follow(piece []byte, final bool) error {
	if f.blind {
		return nil
	}
	_, err := f.follower.Write(piece)
	if err == nil && final {
		err = f.follower.Close()
	}
	if err == nil {
		return nil
	}
	failed := &rules.StepError{Route: f.x.route, Step: halfName(nil), Reason: reasonOf(err, rules.ReasonDecode), Err: err}
	return f.x.onError(failed, func() { f.blind = true })
}
