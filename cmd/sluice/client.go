package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// socketDirs are where running Sluices have their admin sockets, in the order
// in which a new one takes the first that it can use.
func socketDirs() []string {
	var dirs []string
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		dirs = append(dirs, filepath.Join(runtime, "sluice"))
	}
	return append(dirs, "/run/sluice", filepath.Join(os.TempDir(), "sluice-"+strconv.Itoa(os.Getuid())))
}

// adminFlags say which Sluice a command talks to.
type adminFlags struct{ admin, tokenFile string }

func (f *adminFlags) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.admin, "admin", "", "the sidecar's admin socket or address; default: the only socket in "+strings.Join(socketDirs(), ", "))
	cmd.PersistentFlags().StringVar(&f.tokenFile, "token-file", "", "file with the token of an admin address; a socket needs none")
}

// client talks to the admin API of one Sluice.
type client struct {
	base  string
	token string
	http  *http.Client
}

// open finds the Sluice that the flags mean.
func (f *adminFlags) open(ctx context.Context) (*client, error) {
	where := f.admin
	if where == "" {
		socket, err := onlySocket(ctx, socketDirs())
		if err != nil {
			return nil, err
		}
		where = socket
	}
	transport := &http.Transport{DisableKeepAlives: true}
	c := &client{http: &http.Client{Transport: transport}}
	switch {
	case strings.HasPrefix(where, "http://"), strings.HasPrefix(where, "https://"):
		c.base = strings.TrimSuffix(where, "/")
	case strings.ContainsAny(where, `/\`) || strings.HasSuffix(where, ".sock"):
		c.base = "http://sluice"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", where)
		}
	default:
		if _, _, err := net.SplitHostPort(where); err != nil {
			return nil, usageError(fmt.Errorf("--admin: %q is neither a socket's path nor HOST:PORT nor a URL", where))
		}
		c.base = "http://" + where
	}
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		c.token = strings.TrimSpace(string(token))
	}
	return c, nil
}

// onlySocket finds the one socket in dirs that is served.
func onlySocket(ctx context.Context, dirs []string) (string, error) {
	var live []string
	var refused error
	for _, dir := range dirs {
		if !trusted(dir) {
			continue
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*.sock"))
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			switch err := probe(ctx, path); {
			case err == nil:
				live = append(live, path)
			case errors.Is(err, fs.ErrPermission):
				refused = err
			}
		}
	}
	switch {
	case len(live) == 1:
		return live[0], nil
	case len(live) > 1:
		return "", fmt.Errorf("several sidecars run; choose one with --admin:\n  %s", strings.Join(live, "\n  "))
	case refused != nil:
		return "", fmt.Errorf("a sidecar runs, but not for this user: %w", refused)
	}
	return "", fmt.Errorf("no sidecar runs: no socket is served in %s; name one with --admin", strings.Join(dirs, ", "))
}

// probe reports whether somebody answers at path.
func probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// trusted reports whether dir belongs to this user or to root, so that nobody
// else offers sockets in it: the last of socketDirs is in a place where anybody
// can make a directory.
func trusted(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(owner.Uid) == os.Getuid() || owner.Uid == 0)
}

// apiError is an error that the admin API answered with.
type apiError struct {
	Status int    `json:"-"`
	Msg    string `json:"error"`
	Value  string // of a where: the program
	Column int    // of a where
}

func (e *apiError) Error() string {
	if e.Value == "" || e.Column == 0 {
		return e.Msg
	}
	return fmt.Sprintf("%s\n  %s\n  %s^", e.Msg, printable(e.Value), strings.Repeat(" ", e.Column-1))
}

// do calls the API. The caller closes the answer's body; an answer of 400 and
// above is an [*apiError].
func (c *client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(text)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, send)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the sidecar: %w", err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is all there is to tell
	failure := &apiError{Status: resp.StatusCode}
	if json.Unmarshal(text, failure) != nil || failure.Msg == "" {
		failure.Msg = fmt.Sprintf("the sidecar answered %s", resp.Status)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		failure.Msg += "; give it with --token-file, or use the socket"
	}
	if resp.StatusCode == http.StatusBadRequest {
		return nil, usageError(failure)
	}
	return nil, failure
}

// show asks for path and prints the answer: as it is for -o json, else as text
// does of into, which it was decoded into.
func (c *client) show(cmd *cobra.Command, o output, method, path string, body, into any, text func(io.Writer) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
	defer cancel()
	resp, err := c.do(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask the sidecar: %w", err)
	}
	return o.show(cmd, answer, into, text)
}

// output is the value of -o.
type output string

const (
	outputText output = "text"
	outputJSON output = "json"
)

func (o *output) register(cmd *cobra.Command) {
	cmd.PersistentFlags().VarP(o, "output", "o", "text or json")
}

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	switch output(s) {
	case outputText, outputJSON:
		*o = output(s)
		return nil
	}
	return errors.New("neither text nor json")
}

func (o *output) String() string { return string(*o) }

// show prints an answer in JSON as it is, or as text does of into, which it is
// decoded into: numbers of any type as they are spelled.
func (o *output) show(cmd *cobra.Command, answer []byte, into any, text func(io.Writer) error) error {
	out := cmd.OutOrStdout()
	if *o == outputJSON {
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSpace(answer), "", "  "); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		indented.WriteByte('\n')
		_, err := out.Write(indented.Bytes())
		return err
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return text(out)
}

// Type implements pflag.Value.
func (*output) Type() string { return "format" }

// isTerminal reports whether people read w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// coloured reports whether w is a terminal that wants colour
// (https://no-color.org).
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
