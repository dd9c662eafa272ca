package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// TestGeneratedHTTP1PassesByteForByte is TestHTTP1PassesByteForByte for what
// nobody thought of.
func TestGeneratedHTTP1PassesByteForByte(t *testing.T) {
	for _, set := range ruleSets {
		t.Run(set.name, func(t *testing.T) {
			testbed.Leaks(t)
			b := newBetween(t, "127.0.0.1:0", set.text)
			rapid.Check(t, func(r *rapid.T) {
				steps := drawExchanges(r)
				if !set.match { // it would answer where an upstream resets
					steps = append(steps, drawBreak(r)...)
				}
				how := rapid.SampledFrom([]string{"whole", "pieces", "bytes"}).Draw(r, "writes")
				caller, upstream, err := b.connect()
				if err != nil {
					t.Fatal(err)
				}
				if err := play(caller, upstream, steps, cuts[how]); err != nil {
					r.Fatalf("%v\n%s", err, shown(steps))
				}
			})
		})
	}
}

func shown(steps []step) string {
	var text strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&text, "%s %s %.2000q\n", s.side, s.verb, s.data)
	}
	return text.String()
}

// drawExchanges draws the exchanges of one connection: one after the other or
// pipelined.
func drawExchanges(r *rapid.T) []step {
	n := rapid.IntRange(1, 4).Draw(r, "exchanges")
	pipelined := n > 1 && rapid.Bool().Draw(r, "pipelined")
	var steps, answers []step
	var all []byte
	for range n {
		method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", "M-X"}).Draw(r, "method")
		request := drawRequest(r, method)
		response := drawResponse(r, method)
		if !pipelined {
			steps = append(steps, step{side: "caller", data: request}, step{side: "upstream", data: response})
			continue
		}
		all = append(all, request...)
		answers = append(answers, step{side: "upstream", verb: verbSees, data: request}, step{side: "upstream", data: response})
	}
	if pipelined {
		steps = append([]step{{side: "caller", verb: verbPost, data: all}}, answers...)
	}
	return steps
}

// drawBreak draws how the connection ends: as finish ends it, or amid one more
// exchange.
func drawBreak(r *rapid.T) []step {
	request, response := drawRequest(r, "POST"), drawResponse(r, "POST")
	part := func(b []byte) []byte { return b[:rapid.IntRange(0, len(b)-1).Draw(r, "part")] }
	switch rapid.SampledFrom([]string{"", "", "caller resets", "upstream resets", "caller ends"}).Draw(r, "break") {
	case "caller resets":
		return []step{{side: "caller", verb: verbPost, data: part(request)}, {side: "caller", verb: verbReset}}
	case "upstream resets":
		return []step{{side: "caller", data: request}, {side: "upstream", verb: verbPost, data: part(response)}, {side: "upstream", verb: verbReset}}
	case "caller ends":
		return []step{{side: "caller", data: request}, {side: "caller", verb: verbEnd}, {side: "upstream", data: response}, {side: "upstream", verb: verbEnd}}
	}
	return nil
}

var (
	targetRunes = rapid.StringOfN(rapid.RuneFrom([]rune("aZ09-._~!$&'()*+,;=:@/%?|^`{}<>\"[]\\")), 0, 40, -1)
	tokenRunes  = rapid.StringOfN(rapid.RuneFrom([]rune("aBcXyZ019!#$%&'*+-.^_`|~")), 0, 12, -1)
)

func drawRequest(r *rapid.T, method string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /%s HTTP/1.1\r\n", method, targetRunes.Draw(r, "target"))
	before := rapid.IntRange(0, 3).Draw(r, "fields before")
	drawFields(r, &b, before)
	b.WriteString(rapid.SampledFrom([]string{"Host: x\r\n", "host:x.example:8080\r\n", "HOST:  EXAMPLE.com \r\n"}).Draw(r, "host"))
	framing := rapid.SampledFrom([]string{"none", "length", "chunked"}).Draw(r, "framing")
	drawMessage(r, &b, framing)
	return b.Bytes()
}

func drawResponse(r *rapid.T, method string) []byte {
	var b bytes.Buffer
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(r, "interim") {
		b.WriteString("HTTP/1.1 103 Early\r\n")
		drawFields(r, &b, 2)
		b.WriteString("\r\n")
	}
	status := rapid.SampledFrom([]int{200, 201, 204, 206, 299, 304, 404, 418, 500, 599}).Draw(r, "status")
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, rapid.SampledFrom([]string{"", "OK", "Not \xe9 all  "}).Draw(r, "reason"))
	drawFields(r, &b, rapid.IntRange(0, 3).Draw(r, "fields before"))
	switch framing := rapid.SampledFrom([]string{"length", "chunked"}).Draw(r, "framing"); {
	case status == 204:
		b.WriteString("\r\n")
	case method == "HEAD" || status == 304:
		b.WriteString(rapid.SampledFrom([]string{"", "Content-Length: 1234\r\n"}).Draw(r, "length") + "\r\n")
	default:
		drawMessage(r, &b, framing)
	}
	return b.Bytes()
}

// drawMessage draws the framing, more fields, the body and its trailers.
func drawMessage(r *rapid.T, b *bytes.Buffer, framing string) {
	body := filler(rapid.SampledFrom([]int{0, 1, 5, 100, 3000, 20_000, 200_000}).Draw(r, "size"))
	switch framing {
	case "none":
	case "length":
		fmt.Fprintf(b, "%s:%s%d%s\r\n", spelled(r, "Content-Length"), drawSpace(r), len(body), drawSpace(r))
	case "chunked":
		fmt.Fprintf(b, "%s:%s%s\r\n", spelled(r, "Transfer-Encoding"), drawSpace(r), spelled(r, "chunked"))
	}
	drawFields(r, b, rapid.IntRange(0, 6).Draw(r, "fields after"))
	b.WriteString("\r\n")
	switch framing {
	case "length":
		b.Write(body)
	case "chunked":
		drawChunks(r, b, body)
	}
}

func drawChunks(r *rapid.T, b *bytes.Buffer, body []byte) {
	extensions := []string{"", "", ";a", ";a=b", `;a="b;\"c"`, ";a=1;b=2"}
	zeros := []string{"", "", "0", "0000"}
	for len(body) > 0 {
		n := min(len(body), rapid.SampledFrom([]int{1, 15, 255, 4096, 100_000}).Draw(r, "chunk"))
		format := rapid.SampledFrom([]string{"%s%x%s\r\n", "%s%X%s\r\n"}).Draw(r, "hex")
		fmt.Fprintf(b, format, rapid.SampledFrom(zeros).Draw(r, "zeros"), n, rapid.SampledFrom(extensions).Draw(r, "extension"))
		b.Write(body[:n])
		b.WriteString("\r\n")
		if body = body[n:]; n < 255 && len(body) > 5000 {
			body = body[:5000] // or there would be thousands
		}
	}
	fmt.Fprintf(b, "0%s\r\n", rapid.SampledFrom(extensions).Draw(r, "extension"))
	drawFields(r, b, rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(r, "trailers"))
	b.WriteString("\r\n")
}

func drawFields(r *rapid.T, b *bytes.Buffer, n int) {
	for range n {
		name := "X" + tokenRunes.Draw(r, "name")
		value := rapid.SliceOfN(rapid.SampledFrom([]byte("aZ0 \t,;=\"()<>:\x80\xe9\xff~!")), 0, 60).Draw(r, "value")
		fmt.Fprintf(b, "%s:%s%s%s\r\n", name, drawSpace(r), bytes.TrimSpace(value), drawSpace(r))
	}
}

func drawSpace(r *rapid.T) string {
	return rapid.SampledFrom([]string{" ", " ", "", "\t", "   ", " \t "}).Draw(r, "space")
}

// spelled gives name letters of either case.
func spelled(r *rapid.T, name string) string {
	upper := rapid.SliceOfN(rapid.Bool(), len(name), len(name)).Draw(r, "spelling")
	b := []byte(strings.ToLower(name))
	for i, up := range upper {
		if up {
			b[i] = strings.ToUpper(string(b[i]))[0]
		}
	}
	return string(b)
}

// TestGeneratedStreamsPass is the same for HTTP/2: as bytes where no rule can
// touch them, as streams everywhere.
func TestGeneratedStreamsPass(t *testing.T) {
	for _, set := range ruleSets {
		if set.match {
			continue // it would answer where an upstream resets a stream
		}
		t.Run(set.name, func(t *testing.T) {
			testbed.Leaks(t)
			b := newBetween(t, "127.0.0.1:0", set.text)
			rapid.Check(t, func(r *rapid.T) {
				steps := drawStreams(r)
				caller, upstream, err := b.connect()
				if err != nil {
					t.Fatal(err)
				}
				if asStreams := set.touch || rapid.Bool().Draw(r, "as streams"); asStreams {
					err = playStreams(caller, upstream, steps)
				} else {
					err = play(caller, upstream, encoded(t, steps), func(b []byte) [][]byte {
						return pieces(b, func(int) int { return 1 + rand.IntN(1000) })
					})
				}
				if err != nil {
					r.Fatalf("%v\n%s", err, shownFrames(steps))
				}
			})
		})
	}
}

func shownFrames(steps []step) string {
	var text strings.Builder
	for _, s := range steps {
		for _, f := range s.frames {
			fmt.Fprintf(&text, "%s: %s %d end=%v %d bytes cut=%d %v %v\n", s.side, f.kind, f.stream, f.end, len(f.text), f.cut, f.code, f.fields)
		}
	}
	return text.String()
}
