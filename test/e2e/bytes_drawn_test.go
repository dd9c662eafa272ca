package e2e

import (
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// drawnStream is how far a stream has come that is being drawn.
type drawnStream struct {
	id                      uint32
	callerEnded             bool
	answered, upstreamEnded bool
	over                    bool // reset
}

// drawStreams draws an HTTP/2 connection whose streams take turns.
func drawStreams(r *rapid.T) []step {
	steps := []step{
		{side: "caller", frames: []frame{{kind: "preface"}, {kind: "settings", settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}}}},
		{side: "upstream", frames: []frame{{kind: "settings", settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 20}}}, {kind: "settings", ack: true}}},
		{side: "caller", frames: []frame{{kind: "settings", ack: true}}},
	}
	var streams []*drawnStream
	for range rapid.IntRange(1, 30).Draw(r, "turns") {
		open := streams[:0:0]
		for _, s := range streams {
			if !s.over && !(s.callerEnded && s.upstreamEnded) {
				open = append(open, s)
			}
		}
		if len(open) == 0 || len(open) < 6 && rapid.IntRange(0, 3).Draw(r, "another") == 0 {
			s := &drawnStream{id: uint32(2*len(streams) + 1), callerEnded: rapid.Bool().Draw(r, "no body")}
			streams = append(streams, s)
			steps = append(steps, step{side: "caller", frames: []frame{drawHead(r, s.id, s.callerEnded)}})
			continue
		}
		steps = append(steps, rapid.SampledFrom(open).Draw(r, "stream").turn(r))
	}
	return steps
}

// turn draws what happens next on a stream.
func (s *drawnStream) turn(r *rapid.T) step {
	side := "upstream"
	ended := &s.upstreamEnded
	if s.upstreamEnded || !s.callerEnded && rapid.Bool().Draw(r, "caller's turn") {
		side, ended = "caller", &s.callerEnded
	}
	if rapid.IntRange(0, 9).Draw(r, "reset") == 0 {
		s.over = true
		code := rapid.SampledFrom([]http2.ErrCode{http2.ErrCodeCancel, http2.ErrCodeInternal, http2.ErrCodeRefusedStream, 0xabc}).Draw(r, "code")
		return step{side: side, frames: []frame{{kind: "rst", stream: s.id, code: code}}}
	}
	if side == "upstream" && !s.answered {
		f := frame{kind: "headers", stream: s.id, cut: drawCut(r)}
		status := rapid.SampledFrom([]string{"103", "200", "200", "204", "404", "503"}).Draw(r, "status")
		f.fields = append([]hpack.HeaderField{{Name: ":status", Value: status}}, drawPlainFields(r)...)
		if status != "103" {
			s.answered = true
			f.end = status == "204" || rapid.Bool().Draw(r, "no body")
			*ended = f.end
		}
		return step{side: side, frames: []frame{f}}
	}
	if rapid.IntRange(0, 5).Draw(r, "trailers") == 0 {
		*ended = true
		fields := append([]hpack.HeaderField{{Name: "x-last", Value: "1"}}, drawPlainFields(r)...)
		return step{side: side, frames: []frame{{kind: "headers", stream: s.id, end: true, fields: fields, cut: drawCut(r)}}}
	}
	f := frame{kind: "data", stream: s.id, end: rapid.Bool().Draw(r, "end"), pad: rapid.SampledFrom([]int{0, 0, 0, 1, 100}).Draw(r, "pad")}
	f.text = string(filler(rapid.SampledFrom([]int{0, 1, 100, 5000, 16_000}).Draw(r, "size")))
	*ended = f.end
	return step{side: side, frames: []frame{f}}
}

func drawCut(r *rapid.T) int { return rapid.SampledFrom([]int{0, 0, 0, 40, 60}).Draw(r, "cut") } // 16 CONTINUATION frames are the limit

func drawHead(r *rapid.T, id uint32, end bool) frame {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: rapid.SampledFrom([]string{"GET", "POST", "PUT", "BREW"}).Draw(r, "method")},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: rapid.SampledFrom([]string{"x", "EXAMPLE.com:99"}).Draw(r, "authority")},
		{Name: ":path", Value: "/" + strings.ReplaceAll(targetRunes.Draw(r, "path"), "#", "")},
	}
	return frame{kind: "headers", stream: id, end: end, fields: append(fields, drawPlainFields(r)...), cut: drawCut(r)}
}

func drawPlainFields(r *rapid.T) []hpack.HeaderField {
	var fields []hpack.HeaderField
	for range rapid.IntRange(0, 5).Draw(r, "fields") {
		value := rapid.SliceOfN(rapid.SampledFrom([]byte("aZ0,;=\"()<>:\x80\xe9\xff~!")), 0, 60).Draw(r, "value")
		fields = append(fields, hpack.HeaderField{
			Name:  "x" + strings.ToLower(tokenRunes.Draw(r, "name")),
			Value: string(value), Sensitive: rapid.IntRange(0, 4).Draw(r, "sensitive") == 0,
		})
	}
	return fields
}
