package rootless

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probe is a command that runs inside and prints what it sees.
func probe(name string, args []string) int {
	probes := map[string]func(args []string) (string, error){
		"dial":       probeDial,
		"self":       probeSelf,
		"own":        probeOwnPort,
		"udp":        probeUDP,
		"lookup":     probeLookup,
		"serve":      probeServe,
		"files":      probeFiles,
		"power":      probePower,
		"zombies":    probeZombies,
		"interfaces": probeInterfaces,
	}
	out, err := probes[name](args)
	if err != nil {
		out = "error: " + err.Error()
	}
	fmt.Println(out)
	return 0
}

// probeDial prints what each address answers.
func probeDial(args []string) (string, error) {
	var out []string
	for _, addr := range args {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			return "", err
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(c, "hello\n")
		b, err := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if err != nil {
			return "", err
		}
		out = append(out, strings.TrimSpace(b))
	}
	return strings.Join(out, "; "), nil
}

// probeSelf connects straight to the redirect's own listener.
func probeSelf([]string) (string, error) {
	return probeDial([]string{fmt.Sprintf("127.0.0.1:%d", outboundPort)})
}

// probeOwnPort listens on port 80 of every address and dials the given ones.
func probeOwnPort(args []string) (string, error) {
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		return "", err
	}
	go greetEach(l, "own port")
	return probeDial(args)
}

func greetEach(l net.Listener, greeting string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s\n", greeting)
		_, _ = bufio.NewReader(c).ReadString('\n')
		c.Close()
	}
}

// probeUDP sends a datagram and prints the error that comes back.
func probeUDP(args []string) (string, error) {
	c, err := net.Dial("udp", args[0])
	if err != nil {
		return "", err
	}
	start := time.Now()
	_ = c.SetDeadline(start.Add(5 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		return "", err
	}
	_, err = c.Read(make([]byte, 1))
	if took := time.Since(start); took > time.Second {
		return "", fmt.Errorf("%w after %s", err, took)
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		return "refused at once", nil
	}
	return "", err
}

// probeLookup resolves a name: with the system's resolv.conf, or at a given
// server over a given network.
func probeLookup(args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true}
	if len(args) == 3 {
		resolver.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, args[1], args[2])
		}
	}
	start := time.Now()
	addrs, err := resolver.LookupNetIP(ctx, "ip4", args[0])
	if took := time.Since(start); took > 3*time.Second {
		return "", fmt.Errorf("took %s: %w", took, err)
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return "", errors.New(dns.Err)
	}
	return fmt.Sprint(addrs), err
}

// probeServe greets connections to a port of 127.0.0.1 until stdin ends.
func probeServe(args []string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return "", err
	}
	go greetEach(l, "from inside")
	fmt.Println("serving")
	_, err = io.Copy(io.Discard, os.Stdin)
	return "served", err
}

// probeFiles prints the open descriptors, stdio and its own left out.
func probeFiles([]string) (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	var out []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || len(e.Name()) == 1 && e.Name() <= "2" || strings.HasPrefix(target, "anon_inode:") {
			continue
		}
		out = append(out, e.Name()+" "+target)
	}
	return strings.Join(out, ", "), nil
}

// probePower tries what would undo the redirect.
func probePower([]string) (string, error) {
	var out []string
	try := func(what string, err error) { out = append(out, fmt.Sprintf("%s: %v", what, err)) }
	try("route", routeEverything(1, netip.MustParseAddr("192.0.2.3")))
	rules := redirect(nil)
	try("rules", errors.Unwrap(rules))
	try("kill PID 1", unix.Kill(1, unix.SIGKILL))
	return strings.Join(out, "; "), nil
}

// probeZombies leaves an orphan behind and waits until PID 1 has reaped it.
func probeZombies([]string) (string, error) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return "", err
		}
		if len(stats) == 2 { // PID 1 and this process
			return "reaped", nil
		}
	}
	return "processes are left", nil
}

func probeInterfaces([]string) (string, error) {
	addrs, err := net.InterfaceAddrs()
	return fmt.Sprint(addrs), err
}
