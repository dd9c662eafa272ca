package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// target is a proxy that runs.
type target struct {
	*process
	pids   []int
	at     map[traffic.Protocol]string // where the load connects to
	caller []string                    // what comes before the load's command, to be where callers are
	socket string                      // of Sluice's admin
	reader net.Conn                    // of the tap that nobody reads from
}

func (t *target) stop() {
	if t.reader != nil {
		t.reader.Close()
	}
	t.process.stop()
}

// errMissing is of a peer that is not installed.
var errMissing = errors.New("is not installed: test/bench/peers installs it")

// plan is how to start a proxy.
type plan struct {
	name     string
	kind     string // of proxy; see the constants
	binary   string // of Sluice
	upstream map[traffic.Protocol]string
	conns    int
	edit     traffic.Edit // that the proxy does to orders
	prefix   []string     // before the proxy's command
}

// startTarget starts the proxy of that name and waits until it serves.
func (l *lab) startTarget(p plan) (*target, error) {
	dir, err := os.MkdirTemp(l.dir, p.name+"-")
	if err != nil {
		return nil, err
	}
	// nginx and the redirected Sluice give up root, and read their files as
	// somebody else.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts("127.0.0.1", 4)
	if err != nil {
		return nil, err
	}
	s := settings{
		Dir: dir, Conns: p.conns, Most: (l.files - 1024) / 2, HTTP1: ports[0], GRPC: ports[1], Raw: ports[2], Health: ports[3],
		HTTP1Upstream: p.upstream[traffic.HTTP1], GRPCUpstream: p.upstream[traffic.GRPC], RawUpstream: p.upstream[traffic.RawTCP],
	}
	if p.name == nginxLua || p.name == haproxyLua {
		s.Lua = luaOf(p.edit)
	}
	t, err := l.startAs(p, s)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	t.at = map[traffic.Protocol]string{traffic.HTTP1: s.HTTP1, traffic.GRPC: s.GRPC, traffic.RawTCP: s.Raw}
	if err := t.ready(p.name, s); err != nil {
		t.stop()
		return nil, t.failure(fmt.Errorf("start %s: %w", p.name, err))
	}
	return t, nil
}

func (l *lab) startAs(p plan, s settings) (*target, error) {
	var args []string
	switch p.kind {
	case nginx, nginxLua:
		path, err := s.forNginx()
		if err != nil {
			return nil, err
		}
		if err := s.write("nginx.conf"); err != nil {
			return nil, err
		}
		args = []string{path, "-p", s.Dir, "-e", s.Dir + "/error.log", "-c", s.Dir + "/nginx.conf"}
	case haproxy, haproxyLua:
		path, err := s.forHAProxy()
		if err != nil {
			return nil, err
		}
		if err := s.write("haproxy.cfg"); err != nil {
			return nil, err
		}
		args = []string{path, "-db", "-f", s.Dir + "/haproxy.cfg"}
	case reverseProxy:
		args = []string{l.self, "reverseproxy", s.HTTP1, s.HTTP1Upstream, s.GRPC, s.GRPCUpstream}
	default:
		s.NoTap = p.kind == sluiceNoTap
		if err := s.forSluice(p.kind, p.edit); err != nil {
			return nil, err
		}
		args = []string{p.binary, "run", "-c", s.Dir + "/sluice.yaml"}
	}
	process, err := start(l.command(l.cpus.proxy, p.prefix, args...), s.Dir)
	return &target{process: process}, err
}

// write renders the template of a file into the directory.
func (s settings) write(name string) error {
	text, err := s.render(name + ".tmpl")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir, name), text, 0o644)
}

func (s settings) forSluice(name string, edit traffic.Edit) error {
	rules := filepath.Join(s.Dir, "rules")
	err := os.Mkdir(rules, 0o755)
	for file, text := range ruleFiles(name, edit) {
		err = errors.Join(err, os.WriteFile(filepath.Join(rules, file+".yaml"), []byte(text), 0o644))
	}
	if s.Schema = name == sluiceEdit; s.Schema {
		err = errors.Join(err, os.WriteFile(filepath.Join(s.Dir, "bench.proto"), []byte(traffic.Schema), 0o644))
	}
	return errors.Join(err, s.write("sluice.yaml"))
}

// forNginx settles what depends on the nginx that is there, and answers its
// path.
func (s *settings) forNginx() (string, error) {
	path, err := look(nginx)
	if err != nil {
		return "", err
	}
	// Debian's modules are packages of their own. Lua's needs the one before it.
	modules := []string{"ngx_stream_module.so"}
	if s.Lua != "" {
		modules = append(modules, "ndk_http_module.so", "ngx_http_lua_module.so")
	}
	for _, module := range modules {
		module = "/usr/lib/nginx/modules/" + module
		switch _, err := os.Stat(module); {
		case err == nil:
			s.Modules = append(s.Modules, module)
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case s.Lua != "":
			return "", fmt.Errorf("nginx's Lua %w", errMissing)
		}
	}
	if s.Lua != "" && !hasCJSON("5.1") {
		return "", fmt.Errorf("the JSON library of nginx's Lua %w", errMissing)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(nginxVersion(path), "%d.%d.%d", &major, &minor, &patch); err != nil {
		return "", fmt.Errorf("version of nginx: %w", err)
	}
	s.HTTP2On = major > 1 || minor > 25 || minor == 25 && patch >= 1
	return path, nil
}

// forHAProxy answers HAProxy's path, and writes the Lua that it is to run.
func (s settings) forHAProxy() (string, error) {
	path, err := look(haproxy)
	if err != nil || s.Lua == "" {
		return path, err
	}
	out, _ := exec.Command(path, "-vv").Output() // without a version it has no Lua
	_, version, _ := strings.Cut(string(out), "Built with Lua version : Lua ")
	if len(version) < 3 || !hasCJSON(version[:3]) {
		return "", fmt.Errorf("the JSON library of HAProxy's Lua %w", errMissing)
	}
	return path, s.write("haproxy.lua")
}

// hasCJSON reports whether Debian's lua-cjson is there for a version of Lua.
func hasCJSON(version string) bool {
	found, _ := filepath.Glob("/usr/lib/*/lua/" + version + "/cjson.so") // the pattern is good
	return len(found) > 0
}

// look finds a peer also where an ordinary user's PATH does not lead.
func look(name string) (string, error) {
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", name, errMissing)
}

func nginxVersion(path string) string {
	out, _ := exec.Command(path, "-v").CombinedOutput() // without a version the caller says so
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "nginx/")
	return version
}

func haproxyVersion(path string) string {
	out, _ := exec.Command(path, "-v").Output() // as above
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return ""
	}
	return fields[2]
}

// ready waits until the proxy serves and knows its processes.
func (t *target) ready(name string, s settings) error {
	try := func() error { return errors.Join(answers("tcp", s.HTTP1), answers("tcp", s.GRPC)) }
	if t.isSluice(name) {
		t.socket = filepath.Join(s.Dir, "admin.sock")
		try = func() error { return answers("unix", t.socket) } // its listeners are there before
	}
	if err := t.await(try); err != nil {
		return err
	}
	if name == sluiceTapped {
		if err := t.attachTap(); err != nil {
			return fmt.Errorf("attach to the tap: %w", err)
		}
	}
	return t.await(func() (err error) {
		if t.pids, err = t.family(); err == nil && (name == nginx || name == nginxLua) && len(t.pids) < 2 {
			err = errors.New("no worker yet")
		}
		return err
	})
}

func (t *target) isSluice(name string) bool {
	return name != nginx && name != haproxy && name != reverseProxy && name != nginxLua && name != haproxyLua
}

// attachTap follows the tap as `sluice tap` does, and never reads.
func (t *target) attachTap() (err error) {
	if t.reader, err = net.Dial("unix", t.socket); err != nil {
		return err
	}
	_, err = t.reader.Write([]byte("GET /tap?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	if err != nil {
		return err
	}
	var status [12]byte
	if _, err := t.reader.Read(status[:]); err != nil || string(status[:]) != "HTTP/1.1 200" {
		return fmt.Errorf("got %q: %w", status, err)
	}
	return nil
}

// profile fetches a CPU profile of so many seconds, and writes it to path.
func (t *target) profile(seconds int, path string) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://localhost/debug/pprof/profile?seconds=" + strconv.Itoa(seconds))
	if err != nil {
		return fmt.Errorf("fetch a profile: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch a profile: %s", resp.Status)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.ReadFrom(resp.Body)
	return errors.Join(err, file.Close())
}
