package http2

import (
	"errors"
	"testing"
	"time"
)

func TestFloodsAreRecognised(t *testing.T) {
	data := Header{Length: 1, Type: FrameData, Stream: 1}
	padded := Header{Length: 256, Type: FrameData, Flags: FlagPadded, Stream: 1}
	for name, c := range map[string]struct {
		h        Header
		rate     int // a second, for ten seconds
		overload bool
	}{
		"pings of a keep-alive":     {Header{Length: 8, Type: FramePing}, 10, false},
		"pings":                     {Header{Length: 8, Type: FramePing}, 1000, true},
		"settings":                  {Header{Type: FrameSettings}, 100, true},
		"few settings":              {Header{Length: 6, Type: FrameSettings}, 10, false},
		"empty data":                {Header{Type: FrameData, Stream: 1}, 1000, true},
		"padding only":              {padded, 1000, true},
		"padding and content":       {Header{Length: 257, Type: FrameData, Flags: FlagPadded, Stream: 1}, 100_000, false},
		"the length of no padding":  {Header{Length: 1, Type: FrameData, Flags: FlagPadded, Stream: 1}, 1000, true},
		"ends of one stream":        {Header{Type: FrameData, Flags: FlagEndStream, Stream: 1}, 1000, true},
		"blocks that are padding":   {Header{Length: 256, Type: FrameHeaders, Flags: FlagPadded | FlagEndHeaders, Stream: 1}, 1000, true},
		"priorities":                {Header{Length: 5, Type: FramePriority, Stream: 1}, 1000, true},
		"priorities of a browser":   {Header{Length: 5, Type: FramePriority, Stream: 1}, 100, false},
		"windows":                   {Header{Length: 4, Type: FrameWindowUpdate}, 10_000, true},
		"windows of a slow reader":  {Header{Length: 4, Type: FrameWindowUpdate}, 1000, false},
		"unknown frames":            {Header{Type: 0xfa}, 1000, true},
		"empty blocks":              {Header{Type: FrameHeaders, Stream: 1}, 1000, true},
		"data":                      {data, 100_000, false},
		"goaways":                   {Header{Length: 8, Type: FrameGoAway}, 100, true},
		"resets of unknown streams": {Header{Length: 4, Type: FrameRSTStream, Stream: 1}, 1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			g, _ := NewGuards(now)
			var err error
			for range 10 * c.rate {
				now = now.Add(time.Second / time.Duration(c.rate))
				if err = g.Frame(frameOf(c.h), now); err != nil {
					break
				}
			}
			if (err != nil) != c.overload {
				t.Errorf("got %v", err)
			}
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Code != EnhanceYourCalm || e.Stream != 0) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// frameOf is a frame with 255 bytes of padding at most.
func frameOf(h Header) *Frame {
	f := &Frame{Header: h, Payload: make([]byte, h.Length)}
	if h.Flags.Has(FlagPadded) {
		f.Payload[0] = byte(min(h.Length-1, 255))
	}
	return f
}

// A peer may end each of its streams with a frame that holds nothing else.
func TestEndsOfStreamsAreNoFlood(t *testing.T) {
	now := time.Unix(0, 0)
	g, _ := NewGuards(now)
	for id := uint32(1); id < 200_000; id += 2 {
		for _, h := range []Header{
			{Length: 1, Type: FrameHeaders, Flags: FlagEndHeaders, Stream: id},
			{Type: FrameData, Flags: FlagEndStream, Stream: id},
		} {
			if err := g.Frame(frameOf(h), now); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A gRPC peer pings once a round trip to estimate the bandwidth, and updates
// two windows for each message, as fast as messages come.
func TestBusyPeersAreNoFlood(t *testing.T) {
	now := time.Unix(0, 0)
	client, server := NewGuards(now)
	send := func(g *Guard, h Header) {
		t.Helper()
		if err := g.Frame(frameOf(h), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200_000 {
		if i%100 == 0 {
			now = now.Add(time.Millisecond)
		}
		send(server, Header{Length: 10, Type: FrameData, Stream: 1})
		server.Flush()
		send(client, Header{Length: 4, Type: FrameWindowUpdate})
		send(client, Header{Length: 4, Type: FrameWindowUpdate, Stream: 1})
		send(client, Header{Length: 8, Type: FramePing})
		client.Flush()
		send(server, Header{Length: 8, Type: FramePing, Flags: FlagAck})
	}
}

func TestResetsAreCountedByTheSecond(t *testing.T) {
	now := time.Unix(0, 0)
	g, _ := NewGuards(now)
	for i := range 10 * MaxResets { // a steady rate just below it
		now = now.Add(time.Second / (MaxResets - 1))
		if err := g.Reset(now); err != nil {
			t.Fatalf("reset %d: %v", i, err)
		}
	}
	g, _ = NewGuards(now)
	n := 0
	for ; g.Reset(now) == nil; n++ {
	}
	if n != MaxResets {
		t.Errorf("%d resets at once", n)
	}
	if err := g.Reset(now.Add(time.Second)); err != nil {
		t.Errorf("a second later: %v", err)
	}
}
