package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// The program is also the processes that it starts:
//
//	bench pin CPU COMMAND...             becomes COMMAND, on one processor
//	bench load SPEC                      see traffic.Load; prints the Result
//	bench backend HOST                   see traffic.Backend; prints its addresses; ends with its input
//	bench reverseproxy ADDRESS UPSTREAM  net/http's ReverseProxy, HTTP/1.1 and HTTP/2
func subcommand(args []string) (found bool, err error) {
	switch {
	case len(args) >= 3 && args[0] == "pin":
		return true, pin(args[1], args[2:])
	case len(args) == 2 && args[0] == "load":
		return true, load(args[1])
	case len(args) == 2 && args[0] == "backend":
		return true, serveBackend(args[1])
	case len(args) >= 3 && args[0] == "reverseproxy":
		return true, serveReverseProxy(args[1:])
	}
	return false, nil
}

func pin(cpu string, command []string) error {
	n, err := strconv.Atoi(cpu)
	if err != nil {
		return err
	}
	if _, err := raiseFiles(); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	if err := traffic.Pin(n); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", path, syscall.Exec(path, command, os.Environ()))
}

func load(text string) error {
	// It makes next to no garbage, and a collection would be seen in the
	// latencies.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
	var spec traffic.Spec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	result, err := traffic.Load(spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func serveBackend(host string) error {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
	listeners, addresses := map[traffic.Protocol]net.Listener{}, map[traffic.Protocol]string{}
	for _, p := range traffic.Protocols {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return err
		}
		listeners[p], addresses[p] = l, l.Addr().String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return err
	}
	return traffic.Backend(listeners, os.Stdin)
}

// serveReverseProxy is what a Go programmer gets from the standard library
// with the fewest lines that work for gRPC too: pairs of an address and its
// upstream.
func serveReverseProxy(pairs []string) error {
	failed := make(chan error, len(pairs)/2)
	for len(pairs) >= 2 {
		address, upstream := pairs[0], pairs[1]
		pairs = pairs[2:]
		var protocols http.Protocols
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		var upstreamProtocols http.Protocols
		// A transport speaks HTTP/2 in the clear only if it speaks nothing else.
		h2 := len(pairs) < 2
		upstreamProtocols.SetHTTP1(!h2)
		upstreamProtocols.SetUnencryptedHTTP2(h2)
		proxy := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: upstream})
				r.Out.Host = r.In.Host
			},
			// The default keeps two idle connections of a host, and closes
			// all others after each request.
			Transport:     &http.Transport{Protocols: &upstreamProtocols, MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true},
			FlushInterval: -1, // messages of a stream pass at once
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: proxy, Protocols: &protocols}
		go func() { failed <- server.Serve(l) }()
	}
	return errors.Join(errors.New("reverse proxy ended"), <-failed)
}
