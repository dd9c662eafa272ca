package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// Promise: untouched means untouched. The files bytes_*_test.go hold both ends
// of connections through Sluice and compare what one end wrote with what the
// other received, byte for byte.

// A step is what one end of a conversation does next. Unless verb says
// otherwise, the next step begins when the other end has received it.
type step struct {
	side   string // caller or upstream
	verb   string // see below
	data   []byte // what it writes, or sees
	frames []frame
}

// The verbs of a step, as they stand in a script: "-- caller --" writes,
// "-- caller end --" ends the caller's stream.
const (
	verbSend  = ""      // writes data
	verbPost  = "posts" // writes data; the next step does not wait for its arrival
	verbSees  = "sees"  // waits until data, and all that was seen before it, has arrived
	verbEnd   = "end"   // ends its stream; the other end sees the end, and nothing else
	verbCut   = "cut"   // ends its stream in the middle of a message: the other end may see a reset instead
	verbReset = "reset" // resets; the other end sees a reset
	verbClose = "close" // reads no more and ends its stream: the other end sees either
)

// conversation is a script of testdata/bytes.
type conversation struct {
	name  string
	about string // the comment of the file
	steps []step
}

// isFor tells whether the script is one for connections under such rules.
func (c conversation) isFor(set ruleSet) bool {
	return !(set.touch && strings.Contains(c.about, "\nonly where no rule can touch")) &&
		!(set.match && strings.Contains(c.about, "\nonly where no route matches"))
}

// conversations reads the scripts of a folder of testdata/bytes.
func conversations(t *testing.T, folder string, parse func(text string) (step, error)) []conversation {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "bytes", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", folder, err)
	}
	var all []conversation
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := conversation{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), about: "\n" + string(archive.Comment)}
		for _, part := range archive.Files {
			s, err := parse(string(part.Data))
			if err != nil {
				t.Fatalf("%s: %s: %v", file, part.Name, err)
			}
			words := strings.Fields(part.Name)
			s.side = words[0]
			for _, word := range words[1:] {
				if size, err := strconv.Atoi(word); err == nil {
					s.data = filler(size)
				} else {
					s.verb = word
				}
			}
			if s.side != "caller" && s.side != "upstream" {
				t.Fatalf("%s: nobody is called %q", file, s.side)
			}
			c.steps = append(c.steps, s)
		}
		all = append(all, c)
	}
	return all
}

// filler is size bytes in which a lost or doubled block shows.
func filler(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = "0123456789\n"[i%11]
	}
	return b
}

// parseText reads what an end of an HTTP/1 conversation writes. Line ends are
// CRLF; a backslash at a line's end is no line end at all; elsewhere it begins
// an escape of Go.
func parseText(text string) (step, error) {
	var s step
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		line, joined := strings.CutSuffix(line, `\`)
		plain, err := unquote(line)
		if err != nil {
			return s, err
		}
		s.data = append(s.data, plain...)
		if !joined {
			s.data = append(s.data, "\r\n"...)
		}
	}
	return s, nil
}

func unquote(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	return plain, nil
}

// play has both ends do their steps and tells the first thing that is not as it
// was sent. cut says in how many writes, and of what, something is sent.
func play(callerConn, upstreamConn *net.TCPConn, steps []step, cut func([]byte) [][]byte) error {
	caller, upstream := newEnd("caller", callerConn), newEnd("upstream", upstreamConn)
	defer caller.stop()
	defer upstream.stop()
	seen := map[*end]int{} // how far "sees" has come
	for i, s := range steps {
		from, to := caller, upstream
		if s.side == "upstream" {
			from, to = upstream, caller
		}
		if s.verb == verbSees {
			seen[from] += len(s.data)
		}
		if err := do(s, from, to, seen[from], cut); err != nil {
			return fmt.Errorf("step %d, %s %s: %w", i, s.side, s.verb, err)
		}
	}
	return finish(caller, upstream)
}

func do(s step, from, to *end, seen int, cut func([]byte) [][]byte) error {
	switch s.verb {
	case verbSees:
		if err := from.await(seen); err != nil {
			return err
		}
		if got := from.received(); !bytes.HasPrefix(to.sent, got) {
			return from.compare(to)
		}
		return nil
	case verbPost, verbSend:
		if err := from.write(cut(s.data)); err != nil {
			return err
		}
		if s.verb == verbPost {
			return nil
		}
		if err := to.await(len(from.sent)); err != nil {
			return err
		}
		return to.compare(from)
	case verbEnd, verbCut:
		from.ended, from.cut = true, s.verb == verbCut
		if err := from.conn.CloseWrite(); err != nil {
			return fmt.Errorf("end: %w", err)
		}
		return to.awaitEnd(s.verb == verbCut)
	case verbReset:
		from.ended, from.reset, from.closed = true, true, true
		_ = from.conn.SetLinger(0)
		from.conn.Close()
		return to.awaitReset()
	case verbClose:
		from.ended, from.closed = true, true
		from.stop()
		return to.awaitEnd(true)
	}
	return fmt.Errorf("no verb %q", s.verb)
}

// finish ends what the script left open, and compares everything. An end that
// has cut its own message may be reset for it.
func finish(caller, upstream *end) error {
	for _, side := range []struct{ from, to *end }{{caller, upstream}, {upstream, caller}} {
		if side.from.ended || side.to.closed || side.to.over() != nil && !errors.Is(side.to.over(), io.EOF) {
			continue
		}
		if err := side.from.conn.CloseWrite(); err != nil && !gone(err) {
			return fmt.Errorf("%s: end: %w", side.from.name, err)
		}
		if err := side.to.awaitEnd(side.to.cut); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
	}
	if err := upstream.compare(caller); err != nil {
		return err
	}
	return caller.compare(upstream)
}

// compare tells where what e received is not what other sent. A reset may
// overtake what nobody waited for.
func (e *end) compare(other *end) error {
	got := e.received()
	if bytes.Equal(got, other.sent) || other.reset && bytes.HasPrefix(other.sent, got) {
		return nil
	}
	at := 0
	for at < min(len(got), len(other.sent)) && got[at] == other.sent[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, at-20):min(len(b), at+60)] }
	if at == len(got) || at == len(other.sent) {
		around = func(b []byte) []byte { return b[max(0, at-60):min(len(b), at+60)] }
	}
	return fmt.Errorf("%s received %d bytes, want %d; they differ at %d: got %q, want %q", e.name, len(got), len(other.sent), at, around(got), around(other.sent))
}
