package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-proxy/sluice/rules"
)

// product is the file that the documentation shows.
const product = `rules: ./rules                       # a directory, watched
listeners:
  outbound: ":15001"
  inbound: ":15006"
  explicit: [{listen: "127.0.0.1:8080", upstream: "127.0.0.1:9000", direction: inbound}]
admin: {listen: "127.0.0.1:15000", socket: /run/sluice/admin.sock}
health: ":15020"
descriptors: [descriptors/]          # .binpb and .proto, asked before reflection
tap: {memory: 16MiB, body: 16KiB}    # heads always
log: {exchanges: errors}             # off | errors | all
drain: 30s
`

func TestTheDocumentedFileIsTheDefaults(t *testing.T) {
	got, problems := Parse("/etc/sluice/sluice.yaml", []byte(product))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	want.Rules = "/etc/sluice/rules"
	want.Descriptors = []string{"/etc/sluice/descriptors"}
	want.Listeners.Explicit = []Explicit{{
		Listen: Address{netip.MustParseAddr("127.0.0.1"), 8080}, Upstream: "127.0.0.1:9000", Direction: rules.Inbound,
	}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOtherValues(t *testing.T) {
	got, problems := Parse("sluice.yaml", []byte(`
rules: {dir: /rules}
listeners: {outbound: "off", inbound: "[::1]:1", explicit: [{listen: ":80", upstream: "orders:8080"}]}
admin: {listen: "[::1]:2", socket: admin.sock, token_file: token}
health: "off"
log: {exchanges: off}
drain: 1m
reflection: {ttl: 30s, cache: known, private: true}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if s := fmt.Sprint(got.Rules, " ", got.Listeners, " ", got.Admin, " ", got.Health, " ", got.Log, " ", got.Drain, " ", got.Reflection); s !=
		"/rules {off [::1]:1 [{:80 orders:8080 inbound}]} {[::1]:2 admin.sock token} off {off} 1m0s {30s known true}" {
		t.Errorf("got %s", s)
	}
	if got.Drain != time.Minute || got.Listeners.Explicit[0].Direction != rules.Inbound {
		t.Errorf("got %+v", got)
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "1:1 the file is empty"},
		{"rule: x", "1:1 rule: unknown key"},
		{"rules: {tests: require}", "1:8 rules: dir is needed"},
		{"rules: {dir: x, tests: sometimes}", `1:24 rules.tests: "sometimes" is not possible here`},
		{"reflection: {ttl: 0s, private: always, cash: x}", "1:19 reflection.ttl: a duration has to be more than zero; 1:32 reflection.private: true or false is needed, not a text; 1:40 reflection.cash: unknown key"},
		{"rules: 5", "1:8 rules: a text is needed, not a number"},
		{"health: 15020", "1:9 health: a text is needed, not a number"},
		{"health: localhost:15020", `1:9 health: "localhost:15020" is no address to listen on`},
		{`health: ":99999"`, `1:9 health: "99999" is no port`},
		{`health: "1.2.3.4:0"`, "1:9 health: port 0 is not possible"},
		{`admin: {listen: ":15000"}`, "1:17 admin.listen: the admin interface listens on loopback only"},
		{`admin: {listen: "10.0.0.1:15000"}`, "1:17 admin.listen: the admin interface listens on loopback only"},
		{"listeners: {explicit: [{listen: \":80\"}]}", "1:24 listeners.explicit[0]: upstream is needed"},
		{"listeners: {explicit: [{listen: \":80\", upstream: orders}]}", `1:50 listeners.explicit[0].upstream: "orders" has no port`},
		{"listeners: {explicit: [{listen: \":80\", upstream: \"a b:80\"}]}", `1:50 listeners.explicit[0].upstream: "a b" is no host`},
		{`listeners: {inbound: ":15001"}`, "1:22 listeners.inbound: port 15001 is that of listeners.outbound already"},
		{`health: "127.0.0.1:15000"`, "1:9 health: port 15000 is that of admin.listen already"},
		{`listeners: {outbound: ":15020"}`, "1:23 listeners.outbound: port 15020 is that of health already"},
		{"tap: {memory: 16MB}\nlog: {exchanges: some}\ndrain: 30", `1:17 tap.memory: "16MB" is no size; 2:18 log.exchanges: "some" is not possible here; 3:8 drain: a duration needs its unit`},
	} {
		_, problems := Parse("sluice.yaml", []byte(tt.text))
		var got []string
		for _, p := range problems {
			path := p.Path
			if path != "" {
				path += ": "
			}
			got = append(got, fmt.Sprintf("%d:%d %s%s", p.Line, p.Column, path, p.Message))
		}
		if s := strings.Join(got, "; "); s != tt.want {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.text, s, tt.want)
		}
	}
}

func TestTheTapCanBeOff(t *testing.T) {
	for _, text := range []string{"tap: {memory: 0}", "tap: {memory: off}", `tap: {memory: "off"}`} {
		got, problems := Parse("sluice.yaml", []byte(text))
		if len(problems) > 0 || got.Tap.Memory != 0 || got.Tap.Body == 0 {
			t.Errorf("%s: got %+v, %v", text, got.Tap, problems)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(product))
	f.Fuzz(func(t *testing.T, text []byte) { Parse("sluice.yaml", text) })
}

func TestNewExplicit(t *testing.T) {
	got, err := NewExplicit(":80", "orders:8080", "")
	if want := (Explicit{Address{Port: 80}, "orders:8080", rules.Inbound}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range [][3]string{{"80", "a:1", ""}, {"off", "a:1", ""}, {":80", "a", ""}, {":80", "a:1", "in"}} {
		if _, err := NewExplicit(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
