package soak

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// judge says what is left of an operation's error. fires tells that the fault
// is of a byte that exists.
func (o *op) judge(err error, fires bool) error {
	switch {
	case err != nil && (errors.Is(err, errCorrupt) || errors.Is(err, context.DeadlineExceeded)):
		return err
	case o.fault == none:
		return err
	case o.fault >= upstreamResets && err == nil && (fires || o.fault == upstreamResets):
		return errors.New("it arrived whole")
	}
	return nil
}

// webCaller is a net/http client that keeps its connections alive.
type webCaller struct {
	rig    *rig
	http2  bool
	client *http.Client
}

func newWebCaller(r *rig, http2 bool) *webCaller { return &webCaller{rig: r, http2: http2} }

func (c *webCaller) move() {
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!c.http2)
	protocols.SetUnencryptedHTTP2(c.http2)
	c.client = &http.Client{Transport: &http.Transport{
		Protocols: protocols, DisableCompression: true, ExpectContinueTimeout: patience,
		DialContext: (&net.Dialer{Timeout: patience}).DialContext,
	}}
}

// run sends one request, or over HTTP/2 several at once of which one has the
// operation's fault.
func (c *webCaller) run(ctx context.Context, i *instance, o *op) error {
	together := 1
	if c.http2 {
		together += o.IntN(6)
	}
	errs := make([]error, together)
	var running sync.WaitGroup
	for n := range together {
		each := *o
		if n > 0 {
			each.fault, each.size = none, min(each.size, 64<<10)
			each.id, each.seed = c.rig.nextID(), o.Uint64()
		}
		send := c.pick(&each)
		running.Go(func() {
			if err := send(ctx, i, &each); err != nil {
				errs[n] = fmt.Errorf("%d of %d, %w", n, together, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// pick chooses what is asked for. What it needs of chance it takes now: the
// operations of a group run at once.
func (c *webCaller) pick(o *op) func(context.Context, *instance, *op) error {
	flip := o.IntN(2) == 0
	switch o.IntN(8) {
	case 0, 1:
		return func(ctx context.Context, i *instance, o *op) error { return c.blob(ctx, i, o, flip) }
	case 2:
		return func(ctx context.Context, i *instance, o *op) error { return c.sum(ctx, i, o, flip) }
	case 3, 4:
		return func(ctx context.Context, i *instance, o *op) error { return c.echo(ctx, i, o, flip) }
	case 5:
		return c.json
	case 6:
		return func(ctx context.Context, i *instance, o *op) error { return c.reject(ctx, i, o, flip) }
	}
	return func(ctx context.Context, i *instance, o *op) error { return c.breaker(ctx, i, o, flip) }
}

// answer is a response that has begun, and its body, which a caller with a
// fault breaks off.
type answer struct {
	*http.Response
	body io.Reader
	end  func()
}

// ask sends a request. The caller's own faults cancel it: while the request is
// being written, or while the response is being read.
func (c *webCaller) ask(ctx context.Context, i *instance, o *op, method, target string, body io.Reader, length int64, fields ...string) (*answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	breaks := o.fault == callerResets || o.fault == callerEnds
	if breaks && body != nil && o.fault == callerResets {
		body = &breaking{body, o.at, cancel}
		length = max(length, -1)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+i.web+target, body)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	if body != nil {
		req.ContentLength = length
	}
	req.Header.Set(idField, strconv.FormatUint(o.id, 10))
	if o.fault >= upstreamResets {
		req.Header.Set(faultField, fmt.Sprint(int(o.fault), o.at))
	}
	for n := 0; n < len(fields); n += 2 {
		req.Header.Set(fields[n], fields[n+1])
	}
	// Go's HTTP/2 server takes trailers of a stream that it has reset for an error
	// of the connection, and the other streams with it. With an empty body both of
	// Go's ends forget them.
	if method == "POST" && length < 0 && c.trailed(o) {
		req.Trailer = http.Header{"X-Sum": {fmt.Sprintf("%x", o.seed)}}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	a := &answer{resp, resp.Body, func() { resp.Body.Close(); cancel() }}
	if breaks {
		a.body = &breaking{resp.Body, o.at, cancel}
	}
	return a, nil
}

// trailed reports whether a request of unknown length has trailers.
func (c *webCaller) trailed(o *op) bool {
	return o.size > 0 && (!c.http2 || o.fault < upstreamResets)
}

// breaking ends its context after some bytes.
type breaking struct {
	io.Reader
	left   int
	breaks func()
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.breaks()
		return 0, context.Canceled
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// unexpected is an answer of another status.
func (a *answer) unexpected() error {
	body, _ := io.ReadAll(io.LimitReader(a.body, 200))
	return fmt.Errorf("status %d, x-sluice-error %q, %q", a.StatusCode, a.Header.Get("X-Sluice-Error"), body)
}

// once checks that the upstream was asked as often as it should have been.
func (c *webCaller) once(o *op, what string, err error, want uint32) error {
	times := c.rig.times(o.id)
	if times > 1 || err == nil && o.fault == none && times != want {
		return fmt.Errorf("%s: the upstream was asked %d times: %w: %w", what, times, errCorrupt, orNothing(err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

var errNothing = errors.New("no error")

func orNothing(err error) error {
	if err == nil {
		return errNothing
	}
	return err
}

func (c *webCaller) blob(ctx context.Context, i *instance, o *op, chunked bool) error {
	target := fmt.Sprintf("/blob?seed=%d&n=%d", o.seed, o.size)
	if chunked {
		target += "&chunked=1"
	}
	err := func() error {
		a, err := c.ask(ctx, i, o, "GET", target, nil, 0)
		if err != nil {
			return err
		}
		defer a.end()
		if a.StatusCode != 200 {
			return a.unexpected()
		}
		return readPattern(a.body, o.seed, o.size)
	}()
	if err = o.judge(err, o.at < o.size); err != nil {
		return fmt.Errorf("GET %s: %w", target, err)
	}
	return nil
}

func (c *webCaller) sum(ctx context.Context, i *instance, o *op, chunked bool) error {
	length := int64(o.size)
	if chunked {
		length = -1
	}
	body := bytesOf(o.seed, o.size)
	want := fmt.Sprintf("%d %08x", o.size, crc32.ChecksumIEEE(body))
	if o.fault >= upstreamCuts {
		o.at %= len(want)
	}
	err := func() error {
		a, err := c.ask(ctx, i, o, "POST", "/sum", bytes.NewReader(body), length)
		if err != nil {
			return err
		}
		defer a.end()
		got, err := io.ReadAll(a.body)
		switch {
		case a.StatusCode != 200:
			return fmt.Errorf("status %d, %s", a.StatusCode, got)
		case err == nil && string(got) != want:
			return fmt.Errorf("%w: got %s, want %s", errCorrupt, got, want)
		}
		return err
	}()
	return c.once(o, "POST /sum", o.judge(err, true), 1)
}

func (c *webCaller) echo(ctx context.Context, i *instance, o *op, chunked bool) error {
	length := int64(o.size)
	if chunked {
		length = -1
	}
	var fields []string
	if !c.http2 && o.size%2 == 1 {
		fields = []string{"Expect", "100-continue"}
	}
	err := func() error {
		a, err := c.ask(ctx, i, o, "POST", "/echo", bytes.NewReader(bytesOf(o.seed, o.size)), length, fields...)
		if err != nil {
			return err
		}
		defer a.end()
		if a.StatusCode != 200 {
			return a.unexpected()
		}
		err = readPattern(a.body, o.seed, o.size)
		if sum := a.Trailer.Get("X-Sum"); err == nil && chunked && c.trailed(o) && sum != fmt.Sprintf("%x", o.seed) {
			return fmt.Errorf("%w: trailer %q", errCorrupt, sum)
		}
		return err
	}()
	return c.once(o, "POST /echo", o.judge(err, o.at < o.size), 1)
}

// document is what a rule that reads bodies works on.
type document struct {
	Number            int64  `json:"number"`
	Text              string `json:"text"`
	Reject            bool   `json:"reject"`
	Request, Response string `json:",omitempty"`
}

func (o *op) document(reject bool) (document, []byte) {
	d := document{Number: int64(o.seed >> 1), Text: strings.Repeat("filling ", o.size/64), Reject: reject}
	data, err := stdjson.Marshal(d)
	if err != nil {
		panic(err)
	}
	return d, data
}

func (c *webCaller) json(ctx context.Context, i *instance, o *op) error {
	want, data := o.document(false)
	if o.fault >= upstreamCuts {
		o.at %= len(data)
	}
	err := func() error {
		a, err := c.ask(ctx, i, o, "POST", "/json", bytes.NewReader(data), int64(len(data)), "Content-Type", "application/json")
		if err != nil {
			return err
		}
		defer a.end()
		if a.StatusCode != 200 {
			return a.unexpected()
		}
		body, err := io.ReadAll(a.body)
		if err != nil {
			return err
		}
		var got struct {
			document
			Request  string `json:"request"`
			Response string `json:"response"`
		}
		if err := stdjson.Unmarshal(body, &got); err != nil {
			return fmt.Errorf("%w: %w in %.80q", errCorrupt, err, body)
		}
		set := a.Header.Get("X-Saw")
		if got.document != want || got.Request != set || got.Response != set || a.Header.Get("X-Answer") != set {
			return fmt.Errorf("%w: of no set alone: %q %q %q %q, %.80q", errCorrupt, set, a.Header.Get("X-Answer"), got.Request, got.Response, body)
		}
		return nil
	}()
	return c.once(o, "POST /json", o.judge(err, true), 1)
}

func (c *webCaller) reject(ctx context.Context, i *instance, o *op, reject bool) error {
	_, data := o.document(reject)
	if o.fault >= upstreamCuts {
		o.at %= len(data)
	}
	asked, rejected := uint32(1), false
	err := func() error {
		a, err := c.ask(ctx, i, o, "POST", "/reject", bytes.NewReader(data), int64(len(data)), "Content-Type", "application/json")
		if err != nil {
			return err
		}
		defer a.end()
		if reject && a.StatusCode == 403 && a.Header.Get("X-Sluice-Error") == "reject/request[0].reject; rejected" {
			asked, rejected = 0, true
			_, err := io.Copy(io.Discard, a.body)
			return err
		}
		if a.StatusCode != 200 {
			return a.unexpected()
		}
		body, err := io.ReadAll(a.body)
		if err == nil && !bytes.Equal(body, data) {
			return fmt.Errorf("%w: got %.80q", errCorrupt, body)
		}
		return err
	}()
	if rejected && err == nil {
		return c.once(o, "POST /reject", nil, asked) // the upstream, with its fault, was not asked
	}
	return c.once(o, "POST /reject", o.judge(err, true), asked)
}

func (c *webCaller) breaker(ctx context.Context, i *instance, o *op, fails bool) error {
	const asked, stale = "asked for", `{"stale":true}`
	status := 200
	if fails {
		status = 500
	}
	if o.fault >= upstreamCuts {
		o.at %= len(asked)
	}
	times, fellBack := uint32(1), false
	err := func() error {
		a, err := c.ask(ctx, i, o, "POST", fmt.Sprintf("/breaker?status=%d", status), http.NoBody, 0)
		if err != nil {
			return err
		}
		defer a.end()
		body, err := io.ReadAll(a.body)
		switch {
		case err != nil:
			return err
		case a.StatusCode == 203 && string(body) == stale:
			times, fellBack = 0, true
			return nil
		case a.StatusCode != status || string(body) != asked:
			return fmt.Errorf("status %d, x-sluice-error %q, %q", a.StatusCode, a.Header.Get("X-Sluice-Error"), body)
		}
		return nil
	}()
	if fellBack {
		return c.once(o, "POST /breaker", nil, times)
	}
	return c.once(o, "POST /breaker", o.judge(err, true), times)
}
