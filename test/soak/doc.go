// Package soak holds one test that runs for as long as it is told: real callers
// and upstreams of every protocol, half of them told to break off at some
// point, while rules are swapped several times a second and proxies are
// replaced every few seconds. Nothing may go wrong that nobody was told to do,
// and nothing may grow.
//
//	go test ./test/soak -run TestSoak -soak 1h -timeout 70m -v
//
// The parts: soak_test.go is the story; rig_test.go the proxies and the rules;
// web_test.go, calls_test.go and raw_test.go the upstreams; the files that begin
// with op are what callers do; sample_test.go watches the process.
package soak
