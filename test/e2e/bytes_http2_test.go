package e2e

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

// TestHTTP2PassesByteForByte: where no rule can touch a connection, its very
// bytes pass.
func TestHTTP2PassesByteForByte(t *testing.T) {
	scripts := conversations(t, "http2", parseFrames)
	for _, address := range loopbacks {
		for _, set := range ruleSets {
			if set.touch {
				continue
			}
			t.Run(address.name+" "+set.name, func(t *testing.T) {
				testbed.Leaks(t)
				b := newBetween(t, address.address, set.text)
				for _, script := range scripts {
					for how, cut := range cuts {
						t.Run(script.name+" "+how, func(t *testing.T) {
							caller, upstream, err := b.connect()
							if err != nil {
								t.Fatal(err)
							}
							if err := play(caller, upstream, encoded(t, script.steps), cut); err != nil {
								t.Error(err)
							}
						})
					}
				}
			})
		}
	}
}

// encoded gives the steps the bytes of their frames.
func encoded(t *testing.T, steps []step) []step {
	t.Helper()
	steps = slices.Clone(steps)
	encoders := map[string]*encoder{"caller": newEncoder(), "upstream": newEncoder()}
	for i, s := range steps {
		for _, f := range s.frames {
			b, err := encoders[s.side].encode(f)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			steps[i].data = append(steps[i].data, b...)
		}
	}
	return steps
}

// TestHTTP2StreamsPassOnConnectionsOfRules: where rules can touch a connection
// but match none of its streams, every stream is at one end what it is at the
// other: its heads and their fields, its data, its trailers, its reset.
func TestHTTP2StreamsPassOnConnectionsOfRules(t *testing.T) {
	scripts := conversations(t, "http2", parseFrames)
	for _, address := range loopbacks {
		for _, set := range ruleSets {
			t.Run(address.name+" "+set.name, func(t *testing.T) {
				testbed.Leaks(t)
				b := newBetween(t, address.address, set.text)
				for _, script := range scripts {
					if !script.isFor(ruleSet{touch: true, match: set.match}) {
						continue
					}
					t.Run(script.name, func(t *testing.T) {
						caller, upstream, err := b.connect()
						if err != nil {
							t.Fatal(err)
						}
						if err := playStreams(caller, upstream, script.steps); err != nil {
							t.Error(err)
						}
					})
				}
				b.mustBeRelayed(set)
			})
		}
	}
}

// playStreams has both ends do their steps as ends of hops, and tells the first
// thing that is heard on a stream otherwise than it was said.
func playStreams(callerConn, upstreamConn *net.TCPConn, steps []step) error {
	caller, upstream := newHop("caller", callerConn), newHop("upstream", upstreamConn)
	defer caller.stop()
	defer upstream.stop()
	s := &stage{caller: caller, upstream: upstream, ids: make(map[uint32]uint32)}
	for i, step := range steps {
		if err := s.play(step); err != nil {
			return fmt.Errorf("step %d, %s %s: %w", i, step.side, step.verb, err)
		}
	}
	return nil
}

// stage is both hops and what their streams are called.
type stage struct {
	caller, upstream *hop
	ids              map[uint32]uint32 // at the upstream, by those at the caller
}

func (s *stage) play(step step) error {
	from, to := s.caller, s.upstream
	if step.side == "upstream" {
		from, to = to, from
	}
	if step.verb == verbSees {
		return nil // a hop has its own
	}
	touched := map[uint32]bool{}
	for _, f := range step.frames {
		id := f.stream
		switch {
		case f.ack || f.kind == "window":
			continue // the hop does it when it is due
		case f.kind == "headers" || f.kind == "data" || f.kind == "rst":
			touched[id] = true
		}
		if at := s.ids[id]; from == s.upstream && at != 0 {
			f.stream = at
		}
		if err := from.say(f, id); err != nil {
			return err
		}
		if from == s.caller && f.kind == "headers" && s.ids[id] == 0 {
			at, err := to.awaitStreams(len(s.ids) + 1)
			if err != nil {
				return err
			}
			s.ids[id] = at
		}
	}
	for id := range touched {
		at := id
		if to == s.upstream {
			at = s.ids[id]
		}
		if err := to.await(at, from.said.of(id)); err != nil {
			return err
		}
	}
	switch step.verb {
	case verbEnd, verbCut, verbClose:
		_ = from.conn.CloseWrite()
	case verbReset:
		_ = testbed.Reset(from.conn)
		return to.awaitReset()
	}
	return nil
}
