package proxy

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
)

// This file keeps a service's reflection (grpc.reflection.v1, v1alpha) from
// callers outside: Config.PrivateReflection. Sluice's own questions do not come
// in by a listener.

// privateError is the error of a call that is answered as a service
// without reflection answers it.
type privateError struct{ service string }

func (e *privateError) Error() string { return "reflection is private" }

const (
	reflectionServices      = "grpc.reflection."
	reasonPrivateReflection = "private_reflection"
)

// hides reports whether requests of c can be for something that is kept from
// their callers, so that each has to be looked at.
func (c *conn) hides() bool { return c.p.PrivateReflection && c.Direction == rules.Inbound }

// hidden is why the request is answered here whatever the rules say, nil if it
// is not. What a server might make of the path counts: HTTP servers that speak
// gRPC, gRPC-Web or Connect undo escapes, clean paths and serve below a prefix.
func (c *conn) hidden(head *rules.Head) error {
	if !c.hides() {
		return nil
	}
	p := head.Path
	if strings.Contains(p, "%") {
		if plain, err := url.PathUnescape(p); err == nil {
			p = plain
		}
	}
	if !strings.Contains(p, reflectionServices) {
		return nil
	}
	service, _ := path.Split(path.Clean(strings.ReplaceAll(p, `\`, "/")))
	service = path.Base(service)
	if !strings.HasPrefix(service, reflectionServices) {
		return nil
	}
	return &privateError{service}
}

func (e *privateError) answer(a *answer) {
	a.status, a.code = http.StatusNotFound, "UNIMPLEMENTED"
	a.reason, a.message = reasonPrivateReflection, "unknown service "+e.service
}

// mayTouch reports whether something here could have a say in the requests of c:
// a rule, or that some are answered here.
func (c *conn) mayTouch(set *rules.Set) bool {
	return c.hides() || set.CanTouch(c.Direction, c.port())
}
