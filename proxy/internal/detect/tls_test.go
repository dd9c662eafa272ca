package detect

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hello returns the first record that crypto/tls sends.
func hello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	config.InsecureSkipVerify = true
	client, server := net.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() { tls.Client(client, config).Handshake() }) // ends with the pipe
	server.SetDeadline(time.Now().Add(10 * time.Second))
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(server, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	server.Close()
	client.Close()
	wait.Wait()
	return slices.Concat(header, body)
}

// spread cuts the record into records of n bytes each.
func spread(record []byte, n int) []byte {
	var out []byte
	for fragment := range slices.Chunk(record[recordHeader:], n) {
		out = append(out, 22, 3, 1, byte(len(fragment)>>8), byte(len(fragment)))
		out = append(out, fragment...)
	}
	return out
}

func TestClientHello(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = strings.Repeat("p", 40)
	}
	tests := []struct {
		name   string
		config *tls.Config
		want   Hello
	}{
		{"names", &tls.Config{ServerName: "Orders.Example", NextProtos: []string{"h2", "http/1.1"}}, Hello{"Orders.Example", []string{"h2", "http/1.1"}}},
		{"an address has no SNI", &tls.Config{ServerName: "192.0.2.1"}, Hello{}},
		{"TLS 1.2", &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}, Hello{SNI: "a.example"}},
		{"12 KiB", &tls.Config{ServerName: "a.example", NextProtos: many}, Hello{"a.example", many}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			record := hello(t, test.config)
			for _, b := range [][]byte{record, append(slices.Clone(record), "what follows"...), spread(record, 1000), spread(record, 7)[:min(MaxHello, len(spread(record, 7)))]} {
				if kind, _ := Detect(b); kind != TLS {
					t.Fatalf("Detect: got %v, want tls", kind)
				}
				if len(b) == MaxHello {
					continue // the 12 KiB in records of 7 bytes
				}
				got, more, err := ClientHello(b)
				if err != nil || more || got.SNI != test.want.SNI || !slices.Equal(got.ALPN, test.want.ALPN) {
					t.Fatalf("got %+v, more %v, %v; want %+v", got, more, err, test.want)
				}
			}
			for _, b := range [][]byte{record, spread(record, 100)} {
				for n := range b {
					if _, more, err := ClientHello(b[:n]); !more || err != nil {
						t.Fatalf("first %d of %d bytes: got more %v and %v, want more", n, len(b), more, err)
					}
				}
			}
		})
	}
}

func TestClientHelloRefuses(t *testing.T) {
	good := hello(t, &tls.Config{ServerName: "a.example"})
	broken := slices.Clone(good)
	broken[recordHeader+4+2+32] = 255 // a session ID that leads outside
	changed := spread(good, 50)
	changed[recordHeader+50] = 23 // application data in the midst of it
	huge := []byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}
	endless := spread(append(make([]byte, recordHeader), append([]byte{1, 0, 0x3f, 0xff}, make([]byte, 0x3fff)...)...), 9)
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), ErrNotHello},
		{"length outside", broken, ErrNotHello},
		{"other record inside", changed, ErrNotHello},
		{"message over the limit", huge, ErrHelloTooLong},
		{"records over the limit", endless, ErrHelloTooLong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, more, err := ClientHello(test.in); more || !errors.Is(err, test.want) {
				t.Errorf("got more %v and %v, want %v", more, err, test.want)
			}
		})
	}
}

func FuzzClientHello(f *testing.F) {
	record := hello(f, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2"}})
	f.Add(record)
	f.Add(spread(record, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, more, err := ClientHello(b)
		if more && (err != nil || len(b) >= MaxHello) {
			t.Fatalf("more with %d bytes and error %v", len(b), err)
		}
		for n := 0; n < len(b); n += 1 + len(b)/64 {
			h, partMore, partErr := ClientHello(b[:n])
			switch {
			case partMore:
			case partErr != nil:
				if err == nil && !more {
					t.Fatalf("first %d bytes: %v, but all of them parse", n, partErr)
				}
			case h.SNI != whole.SNI || !slices.Equal(h.ALPN, whole.ALPN) || err != nil || more:
				t.Fatalf("first %d bytes: %+v, all: %+v, %v", n, h, whole, err)
			}
		}
	})
}
