package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/document"
)

type text = document.Value[string]

// fileText is sluice.yaml as it is written.
type fileText struct {
	rules       document.Value[rulesText]
	listeners   document.Value[listenersText]
	admin       document.Value[adminText]
	health      document.Value[Address]
	descriptors document.Value[[]text]
	reflection  document.Value[reflectionText]
	tap         document.Value[tapText]
	log         document.Value[logText]
	drain       document.Value[time.Duration]
}

type rulesText struct {
	dir   text
	tests document.Value[string]
}

type listenersText struct {
	outbound, inbound document.Value[Address]
	explicit          document.Value[[]document.Value[explicitText]]
}

type explicitText struct {
	listen    document.Value[Address]
	upstream  text
	direction document.Value[rules.Direction]
}

type adminText struct {
	listen            document.Value[Address]
	socket, tokenFile text
}

type reflectionText struct {
	ttl     document.Value[time.Duration]
	cache   text
	private document.Value[bool]
}

type tapText struct{ memory, body document.Value[codec.Bytes] }

type logText struct{ exchanges document.Value[Exchanges] }

// Parse reads sluice.yaml, whose name problems show. The Config is complete
// and usable if none of the problems is an error.
func Parse(name string, content []byte) (Config, []rules.Problem) {
	doc := document.Parse(name, content, nil)
	cfg := Default()
	if doc.Root == nil {
		return cfg, doc.Problems()
	}
	if t, ok := fileType().Read(doc.Root); ok {
		cfg.set(&t, filepath.Dir(name))
		t.checkPorts(cfg)
	}
	return cfg, doc.Problems()
}

// Shape describes what sluice.yaml may say, for a schema and a reference.
func Shape() document.Shape { return fileType().Shape }

func fileType() document.Type[fileText] {
	type f = fileText
	return document.Object(document.Table[f]{
		document.Key("rules", rulesType(), func(t *f) *document.Value[rulesText] { return &t.rules },
			"The directory of rule files, watched."),
		document.Key("listeners", document.Object(listenersTable()), func(t *f) *document.Value[listenersText] { return &t.listeners },
			"Where connections come in."),
		document.Key("admin", document.Object(adminTable()), func(t *f) *document.Value[adminText] { return &t.admin },
			"Where the admin interface listens."),
		document.Key("health", address(), func(t *f) *document.Value[Address] { return &t.health },
			"Where health and metrics are served; :15020."),
		document.Key("descriptors", document.OneOrList(document.String()), func(t *f) *document.Value[[]text] { return &t.descriptors },
			"Files and directories of gRPC descriptors, asked before reflection."),
		document.Key("reflection", document.Object(reflectionTable()), func(t *f) *document.Value[reflectionText] { return &t.reflection },
			"How gRPC servers are asked about their methods."),
		document.Key("tap", document.Object(document.Table[tapText]{
			document.Key("memory", sizeOrOff(), func(t *tapText) *document.Value[codec.Bytes] { return &t.memory },
				"Of all that the tap keeps; 16MiB. With off it keeps nothing, and nothing is spent on it."),
			document.Key("body", document.Size(), func(t *tapText) *document.Value[codec.Bytes] { return &t.body },
				"Kept of one body; 16KiB."),
		}), func(t *f) *document.Value[tapText] { return &t.tap }, "What the tap keeps."),
		document.Key("log", document.Object(document.Table[logText]{
			document.Key("exchanges", document.Enum(ExchangesOff, ExchangesErrors, ExchangesAll), func(t *logText) *document.Value[Exchanges] { return &t.exchanges },
				"Which exchanges are logged: off, errors or all."),
		}), func(t *f) *document.Value[logText] { return &t.log }, "What is logged."),
		document.Key("drain", document.Duration(), func(t *f) *document.Value[time.Duration] { return &t.drain },
			"The longest that an ending proxy waits for its connections; 30s."),
	})
}

// sizeOrOff takes 0 and off as no size at all.
func sizeOrOff() document.Type[codec.Bytes] {
	size := document.Size()
	shape := size.Shape
	shape.Enum = []any{"off", 0}
	return document.Type[codec.Bytes]{Shape: shape, Read: func(n *document.Node) (codec.Bytes, bool) {
		if n.Kind == document.Scalar && (n.Text == "0" || n.Text == "off") {
			return 0, true
		}
		return size.Read(n)
	}}
}

// rulesType takes {dir, tests}, or the directory alone.
func rulesType() document.Type[rulesText] {
	type r = rulesText
	full := document.Object(document.Table[r]{
		document.Required(document.Key("dir", document.String(), func(t *r) *text { return &t.dir },
			"The directory.")),
		document.Key("tests", document.Enum("require"), func(t *r) *document.Value[string] { return &t.tests },
			"require: rules whose own tests fail do not go live; without it tests are not run."),
	})
	return document.ObjectOr(full, document.String(), func(dir text) r { return r{dir: dir} })
}

func listenersTable() document.Table[listenersText] {
	type l = listenersText
	return document.Table[l]{
		document.Key("outbound", address(), func(t *l) *document.Value[Address] { return &t.outbound },
			"Where redirected outbound connections arrive; :15001."),
		document.Key("inbound", address(), func(t *l) *document.Value[Address] { return &t.inbound },
			"Where redirected inbound connections arrive; :15006."),
		document.Key("explicit", document.ListOf(document.Object(explicitTable())), func(t *l) *document.Value[[]document.Value[explicitText]] { return &t.explicit },
			"Reverse proxies that need no redirect."),
	}
}

func explicitTable() document.Table[explicitText] {
	type e = explicitText
	return document.Table[e]{
		document.Required(document.Key("listen", document.Parsed("such as 127.0.0.1:8080", parseListen), func(t *e) *document.Value[Address] { return &t.listen },
			"The address to listen on.")),
		document.Required(document.Key("upstream", document.Parsed("such as 127.0.0.1:9000 or orders:8080", parseUpstream), func(t *e) *text { return &t.upstream },
			"The host:port that every connection is for.")),
		document.Key("direction", document.Enum(rules.Inbound, rules.Outbound), func(t *e) *document.Value[rules.Direction] { return &t.direction },
			"inbound or outbound; inbound if absent."),
	}
}

func adminTable() document.Table[adminText] {
	type a = adminText
	return document.Table[a]{
		document.Key("listen", document.Parsed("such as 127.0.0.1:15000, or off", parseLoopback), func(t *a) *document.Value[Address] { return &t.listen },
			"A loopback address; 127.0.0.1:15000."),
		document.Key("socket", document.String(), func(t *a) *text { return &t.socket },
			"A unix socket; /run/sluice/admin.sock."),
		document.Key("token_file", document.String(), func(t *a) *text { return &t.tokenFile },
			"A file with the token that the TCP address asks for; made at the start if absent."),
	}
}

func reflectionTable() document.Table[reflectionText] {
	type r = reflectionText
	return document.Table[r]{
		document.Key("ttl", document.Duration(), func(t *r) *document.Value[time.Duration] { return &t.ttl },
			"How long a server's answer is fresh; 5m."),
		document.Key("cache", document.String(), func(t *r) *text { return &t.cache },
			"A directory that keeps the answers over a restart; none if absent."),
		document.Key("private", document.Bool(), func(t *r) *document.Value[bool] { return &t.private },
			"Whether inbound calls of the service's reflection are answered with UNIMPLEMENTED; false."),
	}
}

func address() document.Type[Address] {
	return document.Parsed(`such as ":15001" or 127.0.0.1:8080, or off`, parseAddress)
}

// parseAddress takes [ADDR]:PORT, or off for the zero Address.
func parseAddress(s string) (Address, error) {
	if s == "off" {
		return Address{}, nil
	}
	if port, ok := strings.CutPrefix(s, ":"); ok {
		n, err := parsePort(port)
		return Address{Port: n}, err
	}
	ap, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return Address{}, fmt.Errorf("%q is no address to listen on", s)
	case ap.Port() == 0:
		return Address{}, errors.New("port 0 is not possible")
	}
	return Address{ap.Addr(), ap.Port()}, nil
}

// parseListen takes [ADDR]:PORT alone.
func parseListen(s string) (Address, error) {
	a, err := parseAddress(s)
	if err == nil && a.Port == 0 {
		err = fmt.Errorf("%q is no address to listen on", s)
	}
	return a, err
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return uint16(n), nil
}

// parseLoopback refuses what others on the network could reach.
func parseLoopback(s string) (Address, error) {
	a, err := parseAddress(s)
	if err == nil && a.Port != 0 && !a.Addr.IsLoopback() {
		return a, errors.New("the admin interface listens on loopback only")
	}
	return a, err
}

func parseUpstream(s string) (string, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return s, nil
	}
	host, port, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("%q has no port", s)
	}
	if _, err := parsePort(port); err != nil {
		return "", err
	}
	if host == "" || strings.ContainsAny(host, " /@[]") {
		return "", fmt.Errorf("%q is no host", host)
	}
	return s, nil
}

// set writes what the file has over the defaults.
func (c *Config) set(t *fileText, dir string) {
	beside := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	c.Rules, c.RequireTests = beside(t.rules.V.dir.V), t.rules.V.tests.At != nil
	l := &t.listeners.V
	c.Listeners.Outbound = l.outbound.Or(c.Listeners.Outbound)
	c.Listeners.Inbound = l.inbound.Or(c.Listeners.Inbound)
	for _, e := range l.explicit.V {
		c.Listeners.Explicit = append(c.Listeners.Explicit, Explicit{
			Listen: e.V.listen.V, Upstream: e.V.upstream.V, Direction: e.V.direction.Or(rules.Inbound),
		})
	}
	a := &t.admin.V
	c.Admin.Listen = a.listen.Or(c.Admin.Listen)
	c.Admin.Socket = beside(a.socket.Or(c.Admin.Socket))
	c.Admin.TokenFile = beside(a.tokenFile.V)
	c.Health = t.health.Or(c.Health)
	for _, d := range t.descriptors.V {
		c.Descriptors = append(c.Descriptors, beside(d.V))
	}
	c.Reflection.TTL = t.reflection.V.ttl.Or(c.Reflection.TTL)
	c.Reflection.Cache = beside(t.reflection.V.cache.V)
	c.Reflection.Private = t.reflection.V.private.V
	c.Tap.Memory = t.tap.V.memory.Or(c.Tap.Memory)
	c.Tap.Body = t.tap.V.body.Or(c.Tap.Body)
	c.Log.Exchanges = t.log.V.exchanges.Or(c.Log.Exchanges)
	c.Drain = t.drain.Or(c.Drain)
}

// checkPorts reports addresses that cannot both be listened on.
func (t *fileText) checkPorts(c Config) {
	type use struct {
		what string
		at   *document.Node
		Address
	}
	uses := []use{
		{"listeners.outbound", t.listeners.V.outbound.At, c.Listeners.Outbound},
		{"listeners.inbound", t.listeners.V.inbound.At, c.Listeners.Inbound},
		{"admin.listen", t.admin.V.listen.At, c.Admin.Listen},
		{"health", t.health.At, c.Health},
	}
	for i, e := range t.listeners.V.explicit.V {
		uses = append(uses, use{fmt.Sprintf("listeners.explicit[%d].listen", i), e.V.listen.At, e.V.listen.V})
	}
	for i, a := range uses {
		for _, b := range uses[:i] {
			if a.Port == 0 || a.Port != b.Port || a.Addr.IsValid() && b.Addr.IsValid() && a.Addr != b.Addr && !a.Addr.IsUnspecified() && !b.Addr.IsUnspecified() {
				continue
			}
			at, other := a.at, b.what
			if at == nil {
				at, other = b.at, a.what
			}
			at.Report(document.CodeBadValue, "", "port %d is that of %s already", a.Port, other)
		}
	}
}

// NewExplicit is the reverse proxy of the three texts, written as in the file;
// an empty direction means inbound.
func NewExplicit(listen, upstream, direction string) (Explicit, error) {
	e := Explicit{Direction: rules.Direction(direction)}
	var err error
	if e.Listen, err = parseListen(listen); err != nil {
		return e, fmt.Errorf("listen: %w", err)
	}
	if e.Upstream, err = parseUpstream(upstream); err != nil {
		return e, fmt.Errorf("upstream: %w", err)
	}
	switch e.Direction {
	case "":
		e.Direction = rules.Inbound
	case rules.Inbound, rules.Outbound:
	default:
		return e, fmt.Errorf("direction: %q is neither inbound nor outbound", direction)
	}
	return e, nil
}
