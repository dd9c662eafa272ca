package rootless

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// relay answers the command's DNS queries from outside the namespace. It
// carries whole messages and reads no more of them than it needs to refuse.
type relay struct {
	resolvers []netip.AddrPort // nil means the host's, read for each query
	slots     chan struct{}    // one for each query under way
	stop      context.CancelFunc
	wg        sync.WaitGroup
}

const (
	maxQueries    = 512 // under way at once; more UDP queries are dropped, more TCP connections wait
	maxDNSMessage = 64 << 10
	// resolverBudget is how long one resolver has before the next is asked.
	// Stub resolvers ask again after 5 s.
	resolverBudget = 4 * time.Second
	// dnsIdle ends a TCP connection that says nothing, RFC 7766 section 6.2.3.
	dnsIdle = 30 * time.Second
)

// startRelay answers what arrives on the sockets, which it owns from now on.
func startRelay(resolvers []netip.AddrPort, udp []*net.UDPConn, tcp []*net.TCPListener) *relay {
	ctx, stop := context.WithCancel(context.Background())
	r := &relay{resolvers: resolvers, slots: make(chan struct{}, maxQueries), stop: stop}
	for _, conn := range udp {
		context.AfterFunc(ctx, func() { conn.Close() })
		r.wg.Go(func() { r.readQueries(ctx, conn) })
	}
	for _, l := range tcp {
		context.AfterFunc(ctx, func() { l.Close() })
		r.wg.Go(func() { r.acceptConns(ctx, l) })
	}
	return r
}

// Close ends every query, waits, and closes the sockets.
func (r *relay) Close() {
	r.stop()
	r.wg.Wait()
}

// readQueries answers the UDP queries that arrive on conn.
func (r *relay) readQueries(ctx context.Context, conn *net.UDPConn) {
	b := make([]byte, maxDNSMessage)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil || n < dnsHeader {
			continue
		}
		query := bytes.Clone(b[:n])
		select {
		case r.slots <- struct{}{}:
			r.wg.Go(func() { r.answer(ctx, conn, from, query) })
		default:
		}
	}
}

// answer relays one UDP query. When no resolver answers, the command is told
// so at once instead of waiting in vain.
func (r *relay) answer(ctx context.Context, conn *net.UDPConn, from netip.AddrPort, query []byte) {
	defer func() { <-r.slots }()
	for _, resolver := range r.hostResolvers() {
		if message, err := exchange(ctx, resolver, query); err == nil {
			_, _ = conn.WriteToUDPAddrPort(message, from)
			return
		}
	}
	if ctx.Err() == nil {
		_, _ = conn.WriteToUDPAddrPort(serverFailure(query), from)
	}
}

// exchange asks one resolver, from a socket that accepts answers of it alone.
func exchange(ctx context.Context, resolver netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, resolverBudget)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", resolver.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, maxDNSMessage)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		if n >= dnsHeader && bytes.Equal(b[:2], query[:2]) {
			return b[:n], nil
		}
	}
}

// acceptConns relays the TCP connections that arrive on l.
func (r *relay) acceptConns(ctx context.Context, l *net.TCPListener) {
	for {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := l.AcceptTCP()
		if err != nil {
			<-r.slots
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of file descriptors: others may end
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		r.wg.Go(func() { r.relayConn(ctx, conn) })
	}
}

// relayConn joins a TCP connection with the first resolver that accepts one.
func (r *relay) relayConn(ctx context.Context, inside *net.TCPConn) {
	defer func() { <-r.slots }()
	defer inside.Close()
	for _, resolver := range r.hostResolvers() {
		dialer := net.Dialer{Timeout: resolverBudget}
		outside, err := dialer.DialContext(ctx, "tcp", resolver.String())
		if err == nil {
			join(ctx, inside, outside.(*net.TCPConn))
			return
		}
	}
	_ = inside.SetLinger(0) // refused
}

// join copies both ways until either side is done or idle.
func join(ctx context.Context, inside, outside *net.TCPConn) {
	defer outside.Close()
	defer context.AfterFunc(ctx, func() { inside.Close(); outside.Close() })()
	var answers sync.WaitGroup
	answers.Go(func() { copyUntilIdle(inside, outside) })
	copyUntilIdle(outside, inside)
	answers.Wait()
}

// half is a connection whose sides close one by one, as *net.TCPConn's do.
type half interface {
	net.Conn
	CloseWrite() error
}

func copyUntilIdle(to half, from net.Conn) {
	b := make([]byte, 4<<10)
	for {
		_ = from.SetReadDeadline(time.Now().Add(dnsIdle))
		n, err := from.Read(b)
		if n > 0 {
			_ = to.SetWriteDeadline(time.Now().Add(dnsIdle)) // who does not read is idle as well
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

func (r *relay) hostResolvers() []netip.AddrPort {
	if r.resolvers != nil {
		return r.resolvers
	}
	return nameservers(hostResolvConf())
}

func hostResolvConf() []byte {
	b, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	return b
}

// nameservers reads a resolv.conf as resolv.conf(5) says: three at most, and
// the local machine when there is none.
func nameservers(resolvConf []byte) []netip.AddrPort {
	var list []netip.AddrPort
	for lines := bufio.NewScanner(bytes.NewReader(resolvConf)); lines.Scan() && len(list) < 3; {
		field := strings.Fields(lines.Text())
		if len(field) < 2 || field[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(field[1]); err == nil {
			list = append(list, netip.AddrPortFrom(addr, 53))
		}
	}
	if list == nil {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return list
}

// insideResolvConf is the host's resolv.conf, search list and options kept,
// with the relay as the only nameserver. The relay's ::1 is not listed: musl
// asks every nameserver at once, and each query would go out twice.
func insideResolvConf(host []byte) []byte {
	inside := []byte("nameserver 127.0.0.1\n")
	for line := range bytes.Lines(host) {
		field := bytes.Fields(line)
		if len(field) == 0 || string(field[0]) == "nameserver" || field[0][0] == '#' || field[0][0] == ';' {
			continue
		}
		inside = append(inside, bytes.TrimRight(line, "\r\n")...)
		inside = append(inside, '\n')
	}
	return inside
}

const dnsHeader = 12 // bytes, RFC 1035 section 4.1.1

// serverFailure answers query with SERVFAIL: its header, its question.
func serverFailure(query []byte) []byte {
	end := questionEnd(query)
	answer := bytes.Clone(query[:end])
	answer[2] = answer[2]&0x79 | 0x80 // QR; keep opcode and RD
	answer[3] = 0x82                  // RA, RCODE 2
	clear(answer[4:dnsHeader])
	if end > dnsHeader {
		binary.BigEndian.PutUint16(answer[4:], 1)
	}
	return answer
}

// questionEnd returns where the first question of a message ends, or the
// header's end when there is none that can be read. len(message) >= dnsHeader.
func questionEnd(message []byte) int {
	if binary.BigEndian.Uint16(message[4:]) == 0 {
		return dnsHeader
	}
	i := dnsHeader
	for i < len(message) && message[i] != 0 && message[i] < 64 {
		i += 1 + int(message[i])
	}
	if i+5 > len(message) || message[i] != 0 {
		return dnsHeader
	}
	return i + 5
}
