package proxy

import (
	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// splice joins the two connections in the kernel until both ended. A
// destination that refused is mirrored as a reset.
func (c *conn) splice(protocol Protocol) {
	c.protocol = protocol
	up, greeting, err := c.take()
	if err != nil {
		c.abort()
		c.end(&Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err})
		return
	}
	c.lane = LaneSplice
	c.pipe = splice.New(c.tcp, up, splice.Options{FirstAtoB: c.first, FirstBtoA: greeting})
	c.race.enter(LaneSplice, c.pipe)
	c.first = nil
	c.end(c.pipe.Run())
}
