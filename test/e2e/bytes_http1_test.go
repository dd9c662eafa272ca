package e2e

import (
	"testing"

	"github.com/sluice-proxy/sluice/test/testbed"
)

func TestHTTP1PassesByteForByte(t *testing.T) {
	scripts := conversations(t, "http1", parseText)
	for _, address := range loopbacks {
		for _, set := range ruleSets {
			t.Run(address.name+" "+set.name, func(t *testing.T) {
				testbed.Leaks(t)
				b := newBetween(t, address.address, set.text)
				for _, script := range scripts {
					if !script.isFor(set) {
						continue
					}
					for how, cut := range cuts {
						t.Run(script.name+" "+how, func(t *testing.T) {
							caller, upstream, err := b.connect()
							if err != nil {
								t.Fatal(err)
							}
							if err := play(caller, upstream, script.steps, cut); err != nil {
								t.Error(err)
							}
						})
					}
				}
				b.mustBeRelayed(set)
			})
		}
	}
}

// TestScriptsTellTheTruth plays the scripts without a proxy: what fails here is
// wrong in the script or in how it is played.
func TestScriptsTellTheTruth(t *testing.T) {
	testbed.Leaks(t)
	b := &between{t: t, address: "127.0.0.1:0"}
	for folder, parse := range map[string]func(string) (step, error){"http1": parseText, "http2": parseFrames} {
		for _, script := range conversations(t, folder, parse) {
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
	}
}

// TestStreamScriptsTellTheTruth plays the scripts of streams without a proxy.
func TestStreamScriptsTellTheTruth(t *testing.T) {
	testbed.Leaks(t)
	b := &between{t: t, address: "127.0.0.1:0"}
	for _, script := range conversations(t, "http2", parseFrames) {
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
}
