package iptables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// frActToTable is FR_ACT_TO_TBL of linux/fib_rules.h: look into a table.
const frActToTable = 1

// syncRouting brings rule and route to r in the families given, and to nothing
// in others. A machine without IPv6 has nothing of ours there.
func syncRouting(r *Routing, families []Family) (changed bool, err error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return false, fmt.Errorf("open routing over netlink: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// An old kernel without it answers more, which foundRouting sorts out.
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	for _, f := range []Family{IPv4, IPv6} {
		wanted := r
		if wanted != nil && !slices.Contains(families, f) {
			wanted = nil
		}
		familyChanged, err := syncFamilyRouting(conn, wanted, f)
		changed = changed || familyChanged
		if err != nil {
			return changed, fmt.Errorf("%s policy route: %w", f, err)
		}
	}
	return changed, nil
}

func syncFamilyRouting(conn *netlink.Conn, r *Routing, f Family) (changed bool, err error) {
	marks, routes, err := foundRouting(conn, f)
	if err != nil {
		return false, err
	}
	if r != nil && routes == 0 {
		err := send(conn, unix.RTM_NEWROUTE, netlink.Create|netlink.Excl, routeBody(f))
		// Loopback refuses IPv6 routes where sysctl disable_ipv6 is set, as in
		// many containers: there is no IPv6 traffic then.
		ipv6Off := f == IPv6 && errors.Is(err, unix.EACCES)
		if err != nil && !ipv6Off {
			return changed, fmt.Errorf("add local route in table %d: %w", routeTable, err)
		}
		changed = err == nil
	}
	kept := false
	for _, mark := range marks {
		if r != nil && mark == r.Mark && !kept {
			kept = true
			continue
		}
		if err := send(conn, unix.RTM_DELRULE, 0, ruleBody(f, mark)); err != nil {
			return changed, fmt.Errorf("delete rule for mark %#x: %w", mark, err)
		}
		changed = true
	}
	if r != nil && !kept {
		if err := send(conn, unix.RTM_NEWRULE, netlink.Create|netlink.Excl, ruleBody(f, r.Mark)); err != nil {
			return changed, fmt.Errorf("add rule for mark %#x: %w", r.Mark, err)
		}
		changed = true
	}
	for ; r == nil && routes > 0; routes-- {
		if err := send(conn, unix.RTM_DELROUTE, 0, routeBody(f)); err != nil {
			return changed, fmt.Errorf("delete local route in table %d: %w", routeTable, err)
		}
		changed = true
	}
	return changed, nil
}

// foundRouting answers the marks of our rules and the number of our routes.
func foundRouting(conn *netlink.Conn, f Family) (marks []uint32, routes int, err error) {
	rules, err := dump(conn, unix.RTM_GETRULE, header(f, 0, 0, 0))
	if err != nil {
		return nil, 0, fmt.Errorf("list rules: %w", err)
	}
	for _, attributes := range rules {
		if attributes[unix.FRA_TABLE] == routeTable && attributes[unix.FRA_PRIORITY] == routePriority && attributes[unix.FRA_PROTOCOL] == routeProtocol {
			marks = append(marks, attributes[unix.FRA_FWMARK])
		}
	}
	// The table in the request keeps a router's million routes in the kernel.
	inTable, err := dump(conn, unix.RTM_GETROUTE, append(header(f, 0, 0, 0), attribute(unix.RTA_TABLE, routeTable)...))
	if err != nil {
		return nil, 0, fmt.Errorf("list routes: %w", err)
	}
	for _, attributes := range inTable {
		if attributes[unix.RTA_TABLE] == routeTable && attributes[routeProtocolField] == routeProtocol {
			routes++
		}
	}
	return marks, routes, nil
}

// routeProtocolField keeps rtmsg's protocol, which is no attribute, beside the
// attributes.
const routeProtocolField = 1 << 16

// dump answers the attributes of up to four bytes of each message.
func dump(conn *netlink.Conn, kind netlink.HeaderType, body []byte) ([]map[uint32]uint32, error) {
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump},
		Data:   body,
	})
	// No such family in this kernel, no such table yet: nothing there.
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var items []map[uint32]uint32
	for _, message := range messages {
		if len(message.Data) < headerLen || message.Data[0] != body[0] {
			continue
		}
		decoder, err := netlink.NewAttributeDecoder(message.Data[headerLen:])
		if err != nil {
			return nil, err
		}
		item := map[uint32]uint32{routeProtocolField: uint32(message.Data[5])}
		for decoder.Next() {
			switch data := decoder.Bytes(); len(data) {
			case 1:
				item[uint32(decoder.Type())] = uint32(data[0])
			case 4:
				item[uint32(decoder.Type())] = binary.NativeEndian.Uint32(data)
			}
		}
		if err := decoder.Err(); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func send(conn *netlink.Conn, kind netlink.HeaderType, flags netlink.HeaderFlags, body []byte) error {
	_, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   body,
	})
	return err
}

// ruleBody is `fwmark MARK lookup 1337 priority 1337 protocol 137`.
func ruleBody(f Family, mark uint32) []byte {
	body := header(f, 0, 0, frActToTable)
	body = append(body, attribute(unix.FRA_TABLE, routeTable)...)
	body = append(body, attribute(unix.FRA_PRIORITY, routePriority)...)
	body = append(body, attribute(unix.FRA_FWMARK, mark)...)
	body = append(body, attribute(unix.FRA_FWMASK, 0xffffffff)...)
	body = binary.NativeEndian.AppendUint16(body, 5) // header and one byte, then padding
	body = binary.NativeEndian.AppendUint16(body, unix.FRA_PROTOCOL)
	return append(body, routeProtocol, 0, 0, 0)
}

// routeBody is `local default dev lo table 1337 protocol 137`. The loopback
// device has index 1 in every namespace.
func routeBody(f Family) []byte {
	const loopback = 1
	body := header(f, routeProtocol, unix.RT_SCOPE_HOST, unix.RTN_LOCAL)
	body = append(body, attribute(unix.RTA_TABLE, routeTable)...)
	return append(body, attribute(unix.RTA_OIF, loopback)...)
}

const headerLen = 12

// header is struct rtmsg, or struct fib_rule_hdr, which has its action where
// rtmsg has the kind.
func header(f Family, protocol, scope, kind byte) []byte {
	body := make([]byte, headerLen)
	body[0] = map[Family]byte{IPv4: unix.AF_INET, IPv6: unix.AF_INET6}[f]
	body[5], body[6], body[7] = protocol, scope, kind
	return body
}

// attribute is a rtattr of four bytes.
func attribute(kind uint16, value uint32) []byte {
	body := binary.NativeEndian.AppendUint16(nil, 8)
	body = binary.NativeEndian.AppendUint16(body, kind)
	return binary.NativeEndian.AppendUint32(body, value)
}
