// Package config reads sluice.yaml, the settings of `sluice run`.
package config

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
)

// Config is the content of sluice.yaml with all defaults set.
type Config struct {
	Rules        string // a directory, relative to that of the file; empty: no rules
	RequireTests bool   // the rules' tests have to pass before they go live
	Listeners    Listeners
	Admin        Admin
	Health       Address  // health and metrics; :15020
	Descriptors  []string // files and directories, relative to that of the file
	Reflection   Reflection
	Tap          Tap
	Log          Log
	Drain        time.Duration // the longest that an ending proxy waits for its connections; 30 s
}

// Listeners are where connections come in.
type Listeners struct {
	Outbound Address // of redirected outbound connections; :15001
	Inbound  Address // of redirected inbound connections; :15006
	Explicit []Explicit
}

// Explicit is a reverse proxy that needs no redirect.
type Explicit struct {
	Listen    Address
	Upstream  string          // host:port
	Direction rules.Direction // inbound
}

// Admin is where the admin interface listens.
type Admin struct {
	Listen    Address // loopback only; 127.0.0.1:15000
	Socket    string  // a unix socket; /run/sluice/admin.sock
	TokenFile string  // empty: one is made at the start
}

// Reflection is how gRPC servers are asked about their methods.
type Reflection struct {
	TTL     time.Duration // how long an answer is fresh; 5 min
	Cache   string        // a directory that keeps the answers over a restart, relative to that of the file; empty: none
	Private bool          // callers from outside are told that the service has no reflection
}

// Tap bounds what the tap keeps.
type Tap struct {
	Memory codec.Bytes // of all events; 16 MiB; 0: the tap is off
	Body   codec.Bytes // of one body; 16 KiB
}

// Log says what is logged beside the proxy's own events.
type Log struct{ Exchanges Exchanges }

// Exchanges says which exchanges are logged.
type Exchanges string

// The choices of log.exchanges.
const (
	ExchangesOff    Exchanges = "off"
	ExchangesErrors Exchanges = "errors" // the default
	ExchangesAll    Exchanges = "all"
)

// Address is an address to listen on. The zero Address means not to listen.
type Address struct {
	Addr netip.Addr // invalid: all interfaces, of IPv4 and IPv6
	Port uint16
}

// String is the address as net.Listen takes it, and off for the zero Address.
func (a Address) String() string {
	switch {
	case a.Port == 0:
		return "off"
	case !a.Addr.IsValid():
		return ":" + strconv.Itoa(int(a.Port))
	}
	return netip.AddrPortFrom(a.Addr, a.Port).String()
}

// Default returns what holds without a sluice.yaml.
func Default() Config {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Config{
		Listeners:  Listeners{Outbound: Address{Port: 15001}, Inbound: Address{Port: 15006}},
		Admin:      Admin{Listen: Address{loopback, 15000}, Socket: "/run/sluice/admin.sock"},
		Health:     Address{Port: 15020},
		Reflection: Reflection{TTL: 5 * time.Minute},
		Tap:        Tap{Memory: 16 * codec.MiB, Body: 16 * codec.KiB},
		Log:        Log{Exchanges: ExchangesErrors},
		Drain:      30 * time.Second,
	}
}
