package rootless

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNameservers(t *testing.T) {
	for _, tt := range []struct{ name, conf, want string }{
		{"none means the local machine", "search example.org\n", "[127.0.0.1:53]"},
		{"in order", "nameserver 10.0.0.1\nnameserver\t2001:db8::1\n", "[10.0.0.1:53 [2001:db8::1]:53]"},
		{"zone", "nameserver fe80::1%eth0\n", "[[fe80::1%eth0]:53]"},
		{"three at most", "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n", "[1.1.1.1:53 2.2.2.2:53 3.3.3.3:53]"},
		{"comments and rubbish", "# nameserver 9.9.9.9\nnameserver example.org\nnameserver\nnameserver 1.1.1.1 # mine", "[1.1.1.1:53]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(nameservers([]byte(tt.conf))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestInsideResolvConfKeepsAllButTheServers(t *testing.T) {
	got := string(insideResolvConf([]byte("# made by hand\nnameserver 10.0.0.1\r\nsearch a.example b.example\noptions ndots:2 edns0")))
	want := "nameserver 127.0.0.1\nsearch a.example b.example\noptions ndots:2 edns0\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestServerFailureKeepsTheQuestion(t *testing.T) {
	const (
		question = "\x03www\x04test\x00\x00\x01\x00\x01"
		option   = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
	)
	for _, tt := range []struct{ name, query, want string }{
		{"with an option", "ab\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01" + question + option, "ab\x81\x82\x00\x01\x00\x00\x00\x00\x00\x00" + question},
		{"truncated name", "ab\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fwww", "ab\x81\x82\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"compressed name", "ab\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01", "ab\x81\x82\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"header only", "ab\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "ab\x80\x82\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(serverFailure([]byte(tt.query))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestIPv6DefaultRoute(t *testing.T) {
	const zero = "00000000000000000000000000000000"
	for _, tt := range []struct {
		name, line string
		want       bool
	}{
		{"gateway", zero + " 00 " + zero + " 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0", true},
		{"through lo, in a namespace of ours", zero + " 00 " + zero + " 00 " + zero + " 00000400 00000002 00000000 00000001       lo", true},
		{"the kernel's unreachable entry", zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo", false},
		{"a network", "fd000000000000000000000000000000 40 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00000001     eth0", false},
		{"rubbish", "default via fe80::1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := isIPv6Default(tt.line); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestReportKeepsErrnoAndWords(t *testing.T) {
	for _, err := range []error{
		unix.EPERM,
		fmt.Errorf("add address: %w", unix.EACCES),
		errors.New("no errno"),
	} {
		b, marshalErr := json.Marshal(failure("step", err))
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		var r report
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		got := r.err()
		if got.Error() != err.Error() || errors.Is(got, unix.EPERM) != errors.Is(err, unix.EPERM) {
			t.Errorf("got %q, want %q", got, err)
		}
	}
}
