package tap

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// Query says which events a reader wants. The zero Query is everything that is
// remembered.
type Query struct {
	where  []*filter
	route  string
	since  time.Time
	limit  int // 0 for none
	follow bool
}

// ParseQuery reads the parameters where (any number, all must hold), route,
// since (a duration back from now, or a time in RFC 3339), limit and follow. Its
// error is a [*QueryError].
func ParseQuery(form url.Values, now time.Time) (*Query, error) {
	q := &Query{route: form.Get("route")}
	for name, values := range form {
		switch name {
		case "where":
			for _, program := range values {
				f, err := compileWhere(program)
				if err != nil {
					return nil, err
				}
				q.where = append(q.where, f)
			}
			continue
		case "route", "since", "limit", "follow":
		default:
			return nil, &QueryError{Param: name, Msg: "unknown parameter; there are where, route, since, limit and follow"}
		}
		if len(values) != 1 {
			return nil, &QueryError{Param: name, Msg: "given more than once"}
		}
		var err error
		switch value := values[0]; name {
		case "since":
			q.since, err = parseSince(value, now)
		case "limit":
			q.limit, err = parseLimit(value)
		case "follow":
			q.follow, err = parseFollow(value)
		}
		if err != nil {
			return nil, &QueryError{Param: name, Value: values[0], Msg: err.Error()}
		}
	}
	return q, nil
}

func parseSince(value string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(value); err == nil {
		if d < 0 {
			d = -d
		}
		return now.Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return at, fmt.Errorf("%q is neither a duration like 5m nor a time like 2026-01-02T15:04:05Z", value)
	}
	return at, nil
}

func parseLimit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a number from 1 up", value)
	}
	return n, nil
}

func parseFollow(value string) (bool, error) {
	if value == "" {
		return true, nil
	}
	follow, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", value)
	}
	return follow, nil
}

// Sink takes what a reader gets. An error of either method ends the reading.
type Sink interface {
	// Event takes one event: its type and its JSON text, without a line end,
	// which the sink may keep.
	Event(kind string, text []byte) error
	// Idle says that nothing more is there for now.
	Idle() error
	// Ping is called now and then while nothing comes.
	Ping() error
}

// pingEvery is how often a silent stream says that it lives, so that proxies
// in between and browsers keep it.
const pingEvery = 15 * time.Second

// Read gives to what q wants: of the past the newest limit events, oldest
// first, then, if q follows, what comes, until limit events are given, to errs,
// or ctx ends. A reader that lost events gets {"type":"dropped","count":n}; a
// where that failed is told once as {"type":"where_error"}, and the event
// counts as one that does not match. The error is to's or ctx's.
func (t *Tap) Read(ctx context.Context, q *Query, to Sink) error {
	wake, stop := t.ring.subscribe()
	defer stop()
	c := cursor{tap: t, query: q, to: to}
	from, next := t.ring.bounds()
	if q.limit > 0 {
		from = c.newest(ctx, from, next)
	}
	c.from = from
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		done, err := c.advance(ctx, next)
		if done || err != nil {
			return err
		}
		if err := to.Idle(); err != nil || !q.follow {
			return err
		}
		select {
		case <-wake:
		case <-ping.C:
			if err := to.Ping(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		_, next = t.ring.bounds()
	}
}

// batchMost is how many events are copied out under one lock.
const batchMost = 64

// cursor is one reader's place in the ring.
type cursor struct {
	tap    *Tap
	query  *Query
	to     Sink
	from   uint64
	given  int
	failed bool // a where_error was told
	buf    batch
}

// advance gives what is wanted of the events before next.
func (c *cursor) advance(ctx context.Context, next uint64) (done bool, err error) {
	for c.from < next {
		from, lost := c.tap.ring.read(c.from, &c.buf, batchMost)
		c.from = from
		if lost > 0 {
			c.tap.dropped.Add(lost)
			if err := c.tell("dropped", object{{"type", "dropped"}, {"count", lost}}); err != nil {
				return false, err
			}
		}
		for i := range c.buf.entries {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			given, err := c.give(ctx, c.buf.at(i))
			if err != nil {
				return false, err
			}
			if given {
				c.given++
			}
			if c.query.limit > 0 && c.given >= c.query.limit {
				return true, c.to.Idle()
			}
		}
	}
	return false, nil
}

// newest returns the number of the oldest of the newest limit events before
// next that are wanted. It looks from the end backwards, so that a small limit
// renders few.
func (c *cursor) newest(ctx context.Context, oldest, next uint64) uint64 {
	for found := 0; next > oldest && ctx.Err() == nil; next-- {
		if _, lost := c.tap.ring.read(next-1, &c.buf, 1); lost > 0 || len(c.buf.entries) == 0 {
			break // forgotten meanwhile
		}
		if o, _ := c.wanted(ctx, c.buf.at(0)); o != nil {
			if found++; found == c.query.limit {
				return next - 1
			}
		}
	}
	return next
}

func (c *cursor) give(ctx context.Context, e packed) (bool, error) {
	o, whereErr := c.wanted(ctx, e)
	if whereErr != nil && !c.failed {
		c.failed = true
		if err := c.tell("where_error", object{{"type", "where_error"}, {"error", whereErr.Error()}}); err != nil {
			return false, err
		}
	}
	if o == nil {
		return false, nil
	}
	kind, _ := o.get("type").(string)
	return true, c.tell(kind, o)
}

func (c *cursor) tell(kind string, o object) error {
	return c.to.Event(kind, appendJSON(nil, o))
}

// wanted renders e, nil if it is not wanted.
func (c *cursor) wanted(ctx context.Context, e packed) (object, error) {
	_, _, route, at := e.key()
	if c.query.route != "" && route != c.query.route || at.Before(c.query.since) {
		return nil, nil
	}
	o := c.tap.render.event(ctx, e.event())
	if len(c.query.where) == 0 {
		return o, nil
	}
	v := valueOf(o)
	for _, f := range c.query.where {
		ok, err := f.matches(ctx, v)
		if !ok {
			return nil, err
		}
	}
	return o, nil
}

// Exchange returns the JSON of the exchange id, with the routes that competed
// under "candidates" while that is known, with the messages of its stream
// that are remembered under "messages", and with what a route in shadow would have done under "shadow"; false if it is not remembered.
func (t *Tap) Exchange(ctx context.Context, id string) ([]byte, bool) {
	var record proxy.Event
	var messages, shadows []object
	var buf batch
	from, end := t.ring.bounds()
	for from < end {
		from, _ = t.ring.read(from, &buf, batchMost)
		if len(buf.entries) == 0 {
			break
		}
		for i := range buf.entries {
			e := buf.at(i)
			switch kind, of, _, _ := e.key(); {
			case of != id:
			case kind == kindRecord:
				record = e.event()
			case kind == kindMessage:
				messages = append(messages, t.render.event(ctx, e.event()))
			case kind == kindRef:
				shadows = append(shadows, t.render.event(ctx, e.event()))
			}
		}
	}
	if record == nil {
		return nil, false
	}
	o := t.render.event(ctx, record)
	if e, ok := record.(*remembered); ok && t.config.Candidates != nil {
		if list := t.config.Candidates(ctx, &e.Record); list != nil {
			o.add("candidates", t.render.candidates(list))
		}
	}
	if len(messages) > 0 {
		o.add("messages", messages)
	}
	if len(shadows) > 0 {
		o.add("shadow", shadows[0])
	}
	return appendJSON(nil, o), true
}

// routeOfBreaker is the part of route@host:port before the last @: a host has
// none.
func routeOfBreaker(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '@' {
			return name[:i]
		}
	}
	return name
}
