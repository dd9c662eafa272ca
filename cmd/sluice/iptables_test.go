package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// iptablesOutput runs `sluice iptables args` and answers what it printed.
func iptablesOutput(args ...string) (string, error) {
	cmd := newRootCmd()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"iptables"}, args...))
	err := cmd.Execute()
	return out.String(), err
}

func TestIptablesPrintFollowsItsFlags(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
		not  []string
	}{
		{"print", []string{"table inet sluice {", "redirect to :15001", "redirect to :15006", "meta mark 0x00000539 return", "meta skuid 1337 return"}, []string{"tproxy", "dport 53"}},
		{"print --mode tproxy --tproxy-mark 7", []string{"tproxy to :15006 meta mark set 0x00000007", "fwmark 0x7"}, nil},
		{"print --backend iptables-legacy", []string{"# IPv4: iptables-restore", "# IPv6: ip6tables-restore", ":SLUICE_OUTBOUND"}, []string{"table inet"}},
		{"print --backend iptables-nft --ipv6=false", []string{"# IPv4: iptables-restore"}, []string{"IPv6"}},
		{"print --mark 0x20 --uid 7,8 --gid 9 --outbound-port 1 --inbound-port 2 --dns --dns-port 3", []string{
			"meta mark 0x00000020 return", "skuid 7", "skuid 8", "skgid 9", "redirect to :1 ", "redirect to :2 ", "redirect to :3 ",
		}, []string{"1337", "15001"}},
		{"print --inbound-ports 80,90-95 --exclude-inbound-ports 91 --outbound-ports 443 --exclude-outbound-ports 25 --include-cidrs 10.0.0.0/8 --exclude-cidrs 10.9.0.0/16", []string{
			"tcp dport 80 ", "tcp dport 90-95 ", "tcp dport 91 return", "ip daddr 10.0.0.0/8 tcp dport 443 ", "tcp dport 25 return", "ip daddr 10.9.0.0/16 return",
		}, nil},
	} {
		t.Run(test.args, func(t *testing.T) {
			out, err := iptablesOutput(strings.Fields(test.args)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
			for _, not := range test.not {
				if strings.Contains(out, not) {
					t.Errorf("output holds %q:\n%s", not, out)
				}
			}
		})
	}
}

func TestIptablesRefusesBadFlagsAsUsage(t *testing.T) {
	for _, args := range []string{
		"print --uid 0",
		"apply --exclude-cidrs 10.0.0.1/8",
		"apply --backend ebtables --uid 0",
		"print --mark many",
		"print --inbound-port http",
		"remove --backend ebtables",
		"apply now",
	} {
		t.Run(args, func(t *testing.T) {
			out, err := iptablesOutput(strings.Fields(args)...)
			var exit *exitError
			if !errors.As(err, &exit) || exit.Code != exitUsage {
				t.Errorf("got %v, want exit code %d\n%s", err, exitUsage, out)
			}
		})
	}
}

func TestIptablesReportsTheBackendBesideOtherMistakes(t *testing.T) {
	_, err := iptablesOutput("apply", "--backend", "ebtables", "--uid", "0")
	for _, want := range []string{"--backend ebtables: ", "--uid 0: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to hold %q", err, want)
		}
	}
}
