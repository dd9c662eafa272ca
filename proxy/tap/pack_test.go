package tap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/codec"
	"github.com/sluice-proxy/sluice/codec/json"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// filler fills any event at random, by reflection: a field that is added to
// one is filled as well, and has to be packed.
type filler struct {
	*rand.Rand
	routes []*rules.Route
}

func newFiller(t *testing.T, seed uint64) *filler {
	t.Helper()
	var files []rules.File
	for _, name := range []string{"one", "two"} {
		files = append(files, rules.File{Name: name + ".yaml", Text: []byte("match: {direction: inbound, http: /" + name + "}\n")})
	}
	set, problems := rules.Compile(files)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &filler{rand.New(rand.NewPCG(seed, 1)), set.Routes()}
}

func (f *filler) fill(v reflect.Value) {
	if f.known(v) {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if f.IntN(4) == 0 {
			v.SetString(words[f.IntN(len(words))])
			return
		}
		n := f.IntN(12)
		if f.IntN(20) == 0 {
			n = 100 + f.IntN(20_000)
		}
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(f.Uint32())
		}
		v.SetString(string(text))
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(64) * int64(1-2*f.IntN(2)))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.Uint64() >> (64 - min(v.Type().Bits(), 1+f.IntN(64))))
	case reflect.Slice:
		n := f.IntN(4)
		if n == 0 {
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n += f.IntN(2 * lendFrom)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Pointer:
		if f.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		panic("no way to fill a " + v.Type().String())
	}
}

// known fills what is not filled member by member.
func (f *filler) known(v reflect.Value) bool {
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		if f.IntN(5) > 0 {
			*to = time.Unix(f.Int64N(1<<33), f.Int64N(1e9)).UTC()
		}
	case *netip.AddrPort:
		*to = []netip.AddrPort{
			{}, netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fe80::1%eth0]:443"), netip.MustParseAddrPort("[2001:db8::7]:0"),
			netip.MustParseAddrPort("[::ffff:10.0.0.1]:65535"), netip.AddrPortFrom(netip.Addr{}, 7),
		}[f.IntN(6)]
	case *codec.Codec:
		*to = []codec.Codec{nil, json.Codec{}, fieldCodec{"a"}, fieldCodec{"b"}}[f.IntN(4)]
	case *codec.Value:
		*to = []codec.Value{nil, "text", true, map[string]any{"a": []any{1.5, nil}}}[f.IntN(4)]
	case *error:
		*to = []error{nil, errors.New("refused"), errors.New("")}[f.IntN(3)]
	case **rules.Route:
		*to = f.routes[f.IntN(len(f.routes))]
	default:
		return false
	}
	return true
}

// record is a random record, at times with the pointers that are the same.
func (f *filler) record() *proxy.Record {
	e := &proxy.Record{}
	f.fill(reflect.ValueOf(e).Elem())
	if f.IntN(2) == 0 {
		e.Request.Out, e.Response.Out = e.Request.In, e.Response.In
	}
	if e.Call != nil && f.IntN(2) == 0 {
		e.Call.ID, e.Call.Head = e.ID, e.Request.In
		if e.Conn != nil {
			e.Call.Destination = e.Conn.Destination
		}
	}
	if f.IntN(2) == 0 {
		e.GRPCStatus, e.Breaker, e.Answered = "", "", ""
	}
	if h := e.Response.In; h != nil && f.IntN(2) == 0 {
		*h = rules.Head{Status: 100 + f.IntN(900), Fields: h.Fields}
	}
	return e
}

// asShown is e without what is not remembered of it, because nothing shows it.
func asShown(e proxy.Event) proxy.Event {
	flat := func(to **proxy.Error) {
		if *to != nil && (*to).Err != nil {
			c := **to
			c.Err = errors.New(c.Err.Error())
			*to = &c
		}
	}
	switch e := e.(type) {
	case *proxy.Record:
		r := &remembered{Record: *e}
		for _, p := range e.Passed {
			r.passed = append(r.passed, passedRoute{p.Route.Name(), p.Why})
		}
		r.Passed = nil
		if c := e.Conn; c != nil {
			r.Conn = &proxy.Conn{ID: c.ID, Destination: c.Destination, Upstream: c.Upstream}
		}
		flat(&r.Error)
		return r
	case *proxy.Message:
		m := *e
		switch {
		case e.Call == nil:
		case e.Call.Head == nil:
			m.Call = nil
		default:
			h := e.Call.Head
			m.Call = &rules.Request{Service: e.Call.Service, Method: e.Call.Method, Head: &rules.Head{Method: h.Method, Host: h.Host, Path: h.Path, Query: h.Query}}
		}
		return &m
	case *proxy.ConnClosed:
		c := *e
		flat(&c.Error)
		return &c
	}
	return e
}

func (f *filler) event() proxy.Event {
	events := []proxy.Event{new(proxy.Message), new(proxy.ConnOpened), new(proxy.ConnClosed), new(proxy.BreakerChange), new(proxy.Reload)}
	n := f.IntN(2 * len(events))
	if n >= len(events) {
		return f.record()
	}
	f.fill(reflect.ValueOf(events[n]).Elem())
	return events[n]
}

func TestWhatWasPackedUnpacksTheSame(t *testing.T) {
	f := newFiller(t, 1)
	p := packer{words: newLexicon()}
	for range 2000 {
		e := f.event()
		p.reset()
		p.event(e)
		got := packed{string(p.bytes()), p.refs}
		want := asShown(e)
		if event := got.event(); !reflect.DeepEqual(event, want) {
			t.Fatalf("got  %+v\nwant %+v", event, want)
		}
		if r, ok := want.(*remembered); ok {
			unpacked := got.event().(*remembered)
			if (r.Request.In == r.Request.Out) != (unpacked.Request.In == unpacked.Request.Out) {
				t.Fatal("a head that was sent as it came is not the same any more, or the other way round")
			}
		}
	}
}

func TestEveryWordIsPackedIntoAByte(t *testing.T) {
	l := newLexicon()
	for _, word := range words {
		if b := l.put(nil, word); len(b) != 1 {
			t.Errorf("%s takes %d bytes: another word has its slot", word, len(b))
		}
	}
	if len(words) > longWord-0x80 {
		t.Errorf("%d words are too many for a byte", len(words))
	}
}

// The ring keeps a run of events that ends with the last one, whatever their
// sizes, in no more memory than it may.
func TestRingKeepsTheLastInTheirOrderWithinItsMemory(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := newFiller(t, seed)
			most := int64(1) << (12 + f.IntN(10))
			tap := New(Config{Memory: codec.Bytes(most), Events: 1 + f.IntN(300)})
			var all []proxy.Event
			for range 400 {
				e := f.record()
				e.Request.Body.Size, e.Response.Body.Size = f.Int64N(most), f.Int64N(100)
				e.Started, e.Duration = noon, time.Millisecond
				all = append(all, e)
				tap.Observe(e)
				checkRing(t, &tap.ring)
			}
			oldest, next := tap.ring.bounds()
			if next != uint64(len(all)) {
				t.Fatalf("got %d events, want %d", next, len(all))
			}
			var b batch
			for from := oldest; from < next; {
				at, lost := tap.ring.read(from, &b, 1+f.IntN(70))
				if lost > 0 || at == from {
					t.Fatalf("got %d lost and %d events at %d, want the next ones", lost, at-from, from)
				}
				for i := range b.entries {
					if _, id, _, _ := b.at(i).key(); id != all[from].(*proxy.Record).ID {
						t.Fatalf("event %d has the id %q", from, id)
					}
					got := b.at(i).event().(*remembered)
					if want := asShown(all[from]).(*remembered); !reflect.DeepEqual(got.Request.In, want.Request.In) || !reflect.DeepEqual(got.Response.Sent, want.Response.Sent) {
						t.Fatalf("event %d is %+v, want %+v", from, got, want)
					}
					from++
				}
			}
		})
	}
}

// checkRing holds the ring to what it says of itself.
func checkRing(t *testing.T, r *ring) {
	t.Helper()
	held := int64(len(r.free) * r.size)
	at := r.oldest
	for i, c := range r.chunks {
		held += int64(len(c.mem)) + c.weight
		if i == 0 && (c.first > at || c.end() <= at) || i > 0 && c.first != at {
			t.Fatalf("chunk %d has events %d to %d, want %d", i, c.first, c.end(), at)
		}
		at = c.end()
	}
	if held != r.bytes || r.bytes > r.most {
		t.Fatalf("holds %d bytes and says %d; %d are the most", held, r.bytes, r.most)
	}
	if at != r.next || r.next-r.oldest > r.events {
		t.Fatalf("events %d to %d, want up to %d, and %d at most", r.oldest, at, r.next, r.events)
	}
}

// What is remembered for long is the bound, not more with every round.
func TestRingUsesItsMemoryAgain(t *testing.T) {
	tap := New(Config{Memory: 4 * codec.MiB})
	e := usual()
	for range 50_000 {
		tap.Observe(e)
	}
	if n := len(tap.ring.chunks) + len(tap.ring.free); n != 16 {
		t.Errorf("got %d chunks, want 16 of 256 KiB", n)
	}
	oldest, next := tap.ring.bounds()
	if kept := next - oldest; kept < 3000 {
		t.Errorf("keeps %d events of less than 1.2 KiB in 4 MiB", kept)
	}
}

func TestATapThatIsOffRemembersNothing(t *testing.T) {
	tap := New(Config{Memory: -1})
	fill(tap, 0, 10)
	if got := readAll(t, tap, ""); len(got.events) != 0 {
		t.Errorf("got %q", got.events)
	}
	if _, ok := tap.Exchange(t.Context(), "3"); ok {
		t.Error("an exchange is remembered")
	}
}

func TestObservingAUsualExchangeDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for name, e := range map[string]proxy.Event{
		"exchange": usual(), "opened": &proxy.ConnOpened{Conn: *conn()},
		"closed": &proxy.ConnClosed{Conn: *conn(), SNI: "example.org", ALPN: []string{"h2"}},
	} {
		tap := New(Config{})
		tap.Observe(e)
		if n := testing.AllocsPerRun(1000, func() { tap.Observe(e) }); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

// bytes are those of the event in one piece.
func (p *packer) bytes() []byte {
	b := make([]byte, p.size())
	p.copyTo(b)
	return b
}
