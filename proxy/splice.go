package proxy

import (
	"errors"

	"github.com/sluice-proxy/sluice/proxy/internal/intercept"
	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// splice joins the two connections in the kernel until both ended. A
// destination that refused, and a reset by either side before this, are
// mirrored as resets.
func (c *conn) splice(protocol Protocol) {
	c.protocol = protocol
	up, greeting, err := c.take()
	if err != nil {
		c.refuse(&Error{Origin: OriginUpstream, Reason: intercept.Classify(err), Err: err})
		return
	}
	if by := c.race.resetBy(); by != "" {
		if up != nil {
			intercept.Reset(up)
		}
		c.refuse(&Error{Origin: by, Reason: intercept.WasReset})
		return
	}
	c.lane = LaneSplice
	c.pipe = splice.New(c.tcp, up, splice.Options{FirstAtoB: c.first, FirstBtoA: greeting, Pipes: &c.p.pipes})
	c.race.enter(LaneSplice, c.pipe)
	c.first = nil
	c.end(spliceEnd(c.pipe.Run()))
}

// spliceEnd is how a joined pair ended. What the peers did to each other, a
// reset above all, is theirs; it was mirrored.
func spliceEnd(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, splice.ErrClosed):
		return &Error{Origin: OriginSluice, Reason: "closed"}
	case errors.Is(err, splice.ErrHalfClosed):
		return &Error{Origin: OriginSluice, Reason: "half_closed", Err: err}
	}
	return &Error{Origin: OriginCaller, Reason: intercept.Classify(err), Err: err}
}
