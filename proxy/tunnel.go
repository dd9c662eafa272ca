package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/splice"
)

// tunnel is an upstream connection that may turn into a pipe: the answer to
// CONNECT or Upgrade. net/http's client offers no half-close and no bare
// connection there, so the request is written and the response read here.
type tunnel struct {
	up     *net.TCPConn
	reader *bufio.Reader
	opened bool // the upstream agreed

	release func() bool // undoes the closing of up with the exchange
}

// opensTunnel reports whether the request asks for a tunnel.
func (x *netLane) opensTunnel() bool {
	return x.r.ProtoMajor == 1 && (x.r.Method == http.MethodConnect || x.upgrades())
}

// upgrades reports whether the request asks for another protocol on this
// connection. An upgrade to HTTP/2 is not passed on where rules could apply to
// what follows: it would talk itself past them.
func (x *netLane) upgrades() bool {
	if x.r.ProtoMajor != 1 || !lists(x.r.Header["Connection"], "upgrade") || len(x.r.Header["Upgrade"]) == 0 {
		return false
	}
	return !lists(x.r.Header["Upgrade"], "h2c") || !x.touchable()
}

// lists reports whether a comma-separated field has the token, in any case.
func lists(values []string, token string) bool {
	for _, v := range values {
		for each := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(each), token) {
				return true
			}
		}
	}
	return false
}

// sendTunnel sends the request on a connection of its own and reads the head of
// the response.
func (x *netLane) sendTunnel() error {
	up, greeting, err := x.c.take()
	if err == nil && (up == nil || len(greeting) > 0) {
		if up != nil {
			up.Close()
		}
		up, err = x.c.dial(x.ctx)
	}
	if err != nil {
		return err
	}
	t := &tunnel{up: up, reader: bufio.NewReader(up)}
	t.release = context.AfterFunc(x.ctx, func() { up.Close() })
	x.tunnel = t
	out := x.outgoing()
	if err := out.Write(up); err != nil {
		return err
	}
	for {
		resp, err := http.ReadResponse(t.reader, out)
		if err != nil {
			return err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			x.answered = resp
			break
		}
		_ = x.interim(resp.StatusCode, map[string][]string(resp.Header)) // never fails
	}
	if x.r.Method == http.MethodConnect {
		t.opened = x.answered.StatusCode/100 == 2
	} else {
		t.opened = x.answered.StatusCode == http.StatusSwitchingProtocols
	}
	x.answered.Close = true // this connection serves no further request either way
	return nil
}

// pass joins caller and upstream until both have ended.
func (x *netLane) pass() error {
	nc, rw, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return fmt.Errorf("take the connection over: %w", err)
	}
	c, t := x.c, x.tunnel
	if !t.release() {
		err := x.callerGone()
		c.refuse(err)
		return err
	}
	x.began = true
	x.record.Status = x.response.out.Status
	h := header(x.response.out.Fields)
	if x.r.Method != http.MethodConnect {
		h["Connection"] = []string{"Upgrade"}
		h["Upgrade"] = x.answered.Header["Upgrade"]
	}
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %s\r\n", statusLine(x.answered.Status, x.response.out.Status))
	_ = h.Write(&head) // a strings.Builder takes everything
	head.WriteString("\r\n")
	if _, err := nc.Write([]byte(head.String())); err != nil {
		err := x.callerGone()
		c.refuse(err)
		return err
	}
	said, _ := rw.Reader.Peek(rw.Reader.Buffered())
	said = append(said[:len(said):len(said)], nc.(*frontConn).unread()...)
	replied, _ := t.reader.Peek(t.reader.Buffered())
	if x.readsWebSocket() {
		x.deadlines.tunnels(nil)
		x.carryWebSocket(LaneExchange, c.tcp, t.up, said, replied)
		return x.tunnelEnd()
	}
	c.pipe = splice.New(c.tcp, t.up, splice.Options{FirstAtoB: said, FirstBtoA: replied, Pipes: &c.p.pipes})
	c.race.enter(LaneSplice, c.pipe)
	x.deadlines.tunnels(passedBy(c.pipe))
	err = c.pipe.Run()
	c.end(spliceEnd(err))
	return x.tunnelEnd()
}

// closeTunnel closes the upstream connection of a tunnel that did not open, or
// has ended.
func (x *netLane) closeTunnel() {
	if x.tunnel != nil {
		x.tunnel.release()
		x.tunnel.up.Close()
	}
}

// statusLine keeps the upstream's reason phrase unless a step changed the status.
func statusLine(received string, status int) string {
	if strings.HasPrefix(received, fmt.Sprintf("%03d", status)) {
		return received
	}
	return fmt.Sprintf("%03d %s", status, http.StatusText(status))
}
