package main

import (
	"fmt"
	"testing"
)

func TestParsePublications(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
		err  string
	}{
		{args: nil, want: "[]"},
		{args: []string{"8080"}, want: "[127.0.0.1:8080:8080]"},
		{args: []string{"8080:80"}, want: "[127.0.0.1:8080:80]"},
		{args: []string{"0.0.0.0:8080"}, want: "[0.0.0.0:8080:8080]"},
		{args: []string{"0.0.0.0:8080:80"}, want: "[0.0.0.0:8080:80]"},
		{args: []string{"[::1]:8080"}, want: "[[::1]:8080:8080]"},
		{args: []string{"[::]:8080:80"}, want: "[[::]:8080:80]"},
		{args: []string{"[fe80::1%eth0]:1:2"}, want: "[[fe80::1%eth0]:1:2]"},
		{args: []string{"8080", "8081:8080"}, want: "[127.0.0.1:8080:8080 127.0.0.1:8081:8080]"},
		{args: []string{""}, err: `-p : "" is not a port (1 to 65535)`},
		{args: []string{"http"}, err: `-p http: "http" is not a port (1 to 65535)`},
		{args: []string{"0"}, err: `-p 0: "0" is not a port (1 to 65535)`},
		{args: []string{"65536:80"}, err: `-p 65536:80: "65536" is not a port (1 to 65535)`},
		{args: []string{"-1:80"}, err: `-p -1:80: "-1" is not a port (1 to 65535)`},
		{args: []string{"80:"}, err: `-p 80:: "" is not a port (1 to 65535)`},
		{args: []string{":80"}, err: `-p :80: "" is not an IP address`},
		{args: []string{"1:2:3"}, err: `-p 1:2:3: "2:3" is not a port (1 to 65535)`},
		{args: []string{"localhost:80"}, err: `-p localhost:80: "localhost" is not an IP address`},
		{args: []string{"::1:80"}, err: `-p ::1:80: want [ADDR:]PORT[:PORT], with an IPv6 address in brackets`},
		{args: []string{"[::1]"}, err: `-p [::1]: want [ADDR]:PORT`},
		{args: []string{"[127.0.0.1]:80"}, err: `-p [127.0.0.1]:80: brackets are for IPv6 addresses`},
		{args: []string{"80", "127.0.0.1:80:81"}, err: `-p 127.0.0.1:80:81: 127.0.0.1:80 is published already`},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			got, err := parsePublications(tt.args)
			wantParsed(t, fmt.Sprint(got), err, tt.want, tt.err)
		})
	}
}

func TestParseHostPorts(t *testing.T) {
	publications := []publication{{inner: 8080}}
	for _, tt := range []struct {
		args []string
		want string
		err  string
	}{
		{args: []string{"5432", "6379", "5432"}, want: "[5432 6379]"},
		{args: []string{"5432:5433"}, err: `--host-port 5432:5433: "5432:5433" is not a port (1 to 65535)`},
		{args: []string{"8080"}, err: `--host-port 8080: port 8080 inside is the command's own, published with -p`},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			got, err := parseHostPorts(tt.args, publications)
			wantParsed(t, fmt.Sprint(got), err, tt.want, tt.err)
		})
	}
}

func wantParsed(t *testing.T, got string, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr != "":
		if err == nil || err.Error() != wantErr {
			t.Errorf("got %s, error %v, want error %s", got, err, wantErr)
		}
	case err != nil || got != want:
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
