// Bench compares what Sluice costs with what nginx, HAProxy and a plain
// net/http ReverseProxy cost for the same traffic, side by side, in one run.
// BENCHMARKS.md says what is measured and how.
//
//	make bench                                   all cases, about twelve minutes
//	go run ./test/bench -case 1,5 -rounds 3 -for 1s
//	go run ./test/bench -case 1 -only sluice,nginx -profile /tmp/profiles
//	go run ./test/bench -case 5 -also before=/tmp/sluice-before
//	go run ./test/bench -redirect                a real REDIRECT against none; needs root
//	go run ./test/bench -codecs -for 100ms       codecs and rules beside the usual libraries, a minute
//
// It runs on Linux with two processors or more: one for the proxy, one for the
// load and the backend. The proxies are processes of their own; so are load
// and backend, which are this program again.
package main
