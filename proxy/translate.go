package proxy

import (
	"errors"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/stream"
	"github.com/sluice-proxy/sluice/rules"
)

// translates reports whether the service may speak another format than its
// caller.
func (x *exchange) translates() bool { return x.route != nil && x.route.UpstreamFormat() != "" }

// formatOf is the format of a half's body: what the route says of it, or else its
// content type.
func (x *exchange) formatOf(h *half) (codec.Codec, bool) {
	name := x.route.Format()
	contentType := h.in.Fields.Get("Content-Type")
	if h == &x.response && x.translates() {
		name = ""
		if contentType == "" {
			name = x.route.UpstreamFormat()
		}
	}
	if name != "" {
		return x.p.Codecs.ByName(string(name))
	}
	format, known := x.p.Codecs.ByContentType(contentType)
	if _, lines := format.(stream.NDJSON); lines && x.translates() {
		return stream.Lines{}, true
	}
	return format, known
}

// spoken is a format as it is said: a codec, and the content type for it.
type spoken struct {
	codec       codec.Codec
	contentType string
}

// upstreamSpeaks is the format that the service is sent.
func (x *exchange) upstreamSpeaks() spoken {
	name := string(x.route.UpstreamFormat())
	c, _ := x.p.Codecs.ByName(name)
	if _, lines := c.(stream.NDJSON); lines {
		c = stream.Lines{}
	}
	return spoken{c, x.p.Codecs.TypeOf(name)}
}

// callerSpeaks is the format that the caller is answered in: what it accepts of
// those that are known, else what it has sent, else what the route says of that.
// The zero value says that all is the same to it.
func (x *exchange) callerSpeaks() spoken {
	for _, media := range acceptable(x.request.in.Fields.Values("Accept")) {
		if c, ok := x.p.Codecs.ByContentType(media); ok {
			return spoken{whole(c), media}
		}
	}
	contentType := x.request.in.Fields.Get("Content-Type")
	if c := x.request.body.codec; c != nil && x.route.Format() == "" {
		return spoken{whole(c), contentType}
	}
	if name := string(x.route.Format()); name != "" {
		c, _ := x.p.Codecs.ByName(name)
		return spoken{whole(c), x.p.Codecs.TypeOf(name)}
	}
	return spoken{}
}

// whole is a codec of whole bodies.
func whole(c codec.Codec) codec.Codec {
	if _, lines := c.(stream.NDJSON); lines {
		return stream.Lines{}
	}
	return c
}

// acceptable are the media types of an Accept, the dearest first (RFC 9110,
// 12.5.1), without those that stand for several or that are ruled out.
func acceptable(values []string) []string {
	type choice struct {
		media   string
		quality float64
	}
	var choices []choice
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		media, parameters, err := mime.ParseMediaType(part)
		if err != nil || strings.Contains(media, "*") {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			quality, _ = strconv.ParseFloat(q, 64) // what is no number counts for nothing
		}
		if quality > 0 {
			choices = append(choices, choice{media, quality})
		}
	}
	slices.SortStableFunc(choices, func(a, b choice) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return 0
	})
	media := make([]string, len(choices))
	for i := range choices {
		media[i] = choices[i].media
	}
	return media
}

// translate writes the value of a half's body in the format of the side that it
// goes to. done is false if that is the format that it came in.
func (x *exchange) translate(h *half, seen *Half, value codec.Value) (done bool, err error) {
	if !x.translates() {
		return false, nil
	}
	to, step := x.callerSpeaks(), "response.format"
	if h == &x.request {
		to, step = x.upstreamSpeaks(), "request.format"
		head := *h.out
		head.Fields = head.Fields.With("Accept", to.contentType)
		h.out = &head
	}
	b := &h.body
	switch {
	case to.codec == nil || b.codec != nil && to.codec.Name() == b.codec.Name():
		return false, nil
	case b.input.Err != nil:
		return false, x.notTranslated(step, b.reason, b.input.Err)
	case b.input.Skipped != "" && h == &x.response:
		seen.Steps = append(seen.Steps, rules.StepReport{Step: step, Result: b.input.Skipped})
		return false, nil // what is in no format says what it is
	case b.input.Skipped != "":
		return false, x.notTranslated(step, rules.ReasonFormat, errNotSpoken)
	case b.original == nil:
		return false, nil // there is no body
	}
	plain, err := to.codec.Encode(nil, value)
	if err != nil {
		return false, x.notTranslated(step, rules.ReasonEncode, err)
	}
	wire, err := b.coding.Encode(plain)
	if err != nil {
		return false, x.notTranslated(step, rules.ReasonEncode, err)
	}
	b.plain, b.edited, b.isEdited, b.written = plain, wire, true, to.codec
	head := *h.out
	head.Fields = head.Fields.With("Content-Type", to.contentType)
	h.out = &head
	seen.Steps = append(seen.Steps, rules.StepReport{Step: step, Result: "ran", Body: value, Count: 1})
	return true, nil
}

var errNotSpoken = errors.New("the body is in no known format")

func (x *exchange) notTranslated(step string, reason rules.Reason, err error) error {
	return x.onError(&rules.StepError{Route: x.route, Step: step, Reason: reason, Err: err}, func() {})
}

// translatedError is an error's body in the format of a caller who may not know
// the service's.
func (x *exchange) translatedError(said map[string]codec.Value) (body []byte, contentType string) {
	to := x.callerSpeaks()
	if to.codec == nil || to.codec.Name() == "json" {
		return nil, ""
	}
	var value codec.Value = said
	switch to.codec.Name() {
	case "xml":
		value = map[string]any{"error": map[string]any{"message": said["error"], "route": said["route"], "step": said["step"], "reason": said["reason"]}}
	case "csv", "tsv", "ndjson":
		value = []any{said}
	}
	body, err := to.codec.Encode(nil, value)
	if err != nil {
		return nil, ""
	}
	return body, to.contentType
}
