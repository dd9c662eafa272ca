package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// publication is one -p: connections to outer reach the command's port inner.
type publication struct {
	outer netip.AddrPort
	inner uint16
}

// String is the full form of the flag.
func (p publication) String() string { return fmt.Sprintf("%s:%d", p.outer, p.inner) }

func parsePublications(args []string) ([]publication, error) {
	var list []publication
	for _, arg := range args {
		p, err := parsePublication(arg)
		if err != nil {
			return nil, fmt.Errorf("-p %s: %w", arg, err)
		}
		if slices.ContainsFunc(list, func(other publication) bool { return other.outer == p.outer }) {
			return nil, fmt.Errorf("-p %s: %s is published already", arg, p.outer)
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePublication reads [ADDR:]PORT[:PORT]. An IPv6 address is in brackets.
func parsePublication(arg string) (publication, error) {
	addr, ports, err := cutAddr(arg)
	if err != nil {
		return publication{}, err
	}
	outerText, innerText, two := strings.Cut(ports, ":")
	if !two {
		innerText = outerText
	}
	outer, err := parsePort(outerText)
	if err != nil {
		return publication{}, err
	}
	inner, err := parsePort(innerText)
	if err != nil {
		return publication{}, err
	}
	return publication{outer: netip.AddrPortFrom(addr, outer), inner: inner}, nil
}

// cutAddr takes the address off the front, 127.0.0.1 when there is none. What
// is before the first colon is an address unless it is a number.
func cutAddr(arg string) (addr netip.Addr, ports string, err error) {
	text, ports, found := strings.Cut(arg, ":")
	if strings.HasPrefix(arg, "[") {
		text, ports, found = strings.Cut(strings.TrimPrefix(arg, "["), "]:")
		if !found {
			return addr, "", fmt.Errorf("want [ADDR]:PORT")
		}
	} else if !found || isNumber(text) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), arg, nil
	}
	addr, err = netip.ParseAddr(text)
	switch {
	case err != nil && strings.Count(arg, ":") > 2:
		return addr, "", fmt.Errorf("want [ADDR:]PORT[:PORT], with an IPv6 address in brackets")
	case err != nil:
		return addr, "", fmt.Errorf("%q is not an IP address", text)
	case addr.Is6() != strings.HasPrefix(arg, "["):
		return addr, "", fmt.Errorf("brackets are for IPv6 addresses")
	}
	return addr, ports, nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

func parsePort(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%q is not a port (1 to 65535)", s)
	}
	return uint16(port), nil
}

// parseHostPorts reads each --host-port. A port cannot be the host's and the
// command's at once.
func parseHostPorts(args []string, publications []publication) ([]uint16, error) {
	var ports []uint16
	for _, arg := range args {
		port, err := parsePort(arg)
		if err != nil {
			return nil, fmt.Errorf("--host-port %s: %w", arg, err)
		}
		if slices.ContainsFunc(publications, func(p publication) bool { return p.inner == port }) {
			return nil, fmt.Errorf("--host-port %s: port %d inside is the command's own, published with -p", arg, port)
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
