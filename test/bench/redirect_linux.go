package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// podAddress is the pod's, on a network of its own and so in each pod the same.
const podAddress = "10.79.0.2"

// pod is a namespace with a service, joined to that of its callers.
type pod struct {
	name, callers string
	backend       *backend
}

// newPod makes the namespaces and the service.
func (l *lab) newPod(label string) (*pod, error) {
	if os.Geteuid() != 0 {
		return nil, errNotRoot
	}
	p := &pod{name: fmt.Sprintf("sluice-bench-%d-%s", os.Getpid(), label)}
	p.callers = p.name + "-callers"
	for _, command := range []string{
		"netns add " + p.name,
		"netns add " + p.callers,
		"-n " + p.name + " link set lo up",
		"-n " + p.callers + " link set lo up",
		"-n " + p.name + " link add eth0 type veth peer name eth0 netns " + p.callers,
		"-n " + p.name + " addr add " + podAddress + "/24 dev eth0",
		"-n " + p.callers + " addr add 10.79.0.1/24 dev eth0",
		"-n " + p.name + " link set eth0 up",
		"-n " + p.callers + " link set eth0 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			p.close()
			return nil, fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	var err error
	if p.backend, err = l.startBackend(inside(p.name), podAddress); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func inside(namespace string) []string { return []string{"ip", "netns", "exec", namespace} }

func (p *pod) close() {
	if p.backend != nil {
		p.backend.stop()
	}
	for _, name := range []string{p.name, p.callers} {
		_ = exec.Command("ip", "netns", "del", name).Run() // it may not have come to be
	}
}

// sidecar is the user that the redirect lets pass.
var sidecar = []string{"setpriv", "--reuid", "1337", "--regid", "1337", "--clear-groups", "--inh-caps=-all"}

// startInPod starts Sluice as a sidecar in the pod: at the end of a redirect of
// all that comes in, or with listeners of its own that callers have to name.
func (l *lab) startInPod(p *pod, name string) (*target, error) {
	dir, err := os.MkdirTemp(l.dir, name+"-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, 1337, 1337)); err != nil {
		return nil, err
	}
	s := settings{
		Dir: dir, Inbound: name == redirected, Health: ":15020",
		HTTP1: podAddress + ":18080", GRPC: podAddress + ":19090", Raw: podAddress + ":17070",
		HTTP1Upstream: p.backend.at[traffic.HTTP1], GRPCUpstream: p.backend.at[traffic.GRPC], RawUpstream: p.backend.at[traffic.RawTCP],
	}
	at := map[traffic.Protocol]string{traffic.HTTP1: s.HTTP1, traffic.GRPC: s.GRPC, traffic.RawTCP: s.Raw}
	if s.Inbound {
		at = p.backend.at // callers know nothing of the sidecar
		args := append(inside(p.name)[1:], l.sluice, "iptables", "apply")
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("sluice iptables apply: %w: %s", err, out)
		}
	}
	if err := s.forSluice(name, ""); err != nil {
		return nil, err
	}
	args := append(sidecar[:len(sidecar):len(sidecar)], l.sluice, "run", "-c", dir+"/sluice.yaml")
	process, err := start(l.command(l.cpus.proxy, inside(p.name), args...), dir)
	if err != nil {
		return nil, err
	}
	t := &target{process: process, at: at, caller: inside(p.callers)}
	if err := t.ready(name, s); err != nil {
		t.stop()
		return nil, t.failure(fmt.Errorf("start %s: %w", name, err))
	}
	return t, nil
}
