package http2

import (
	"testing"

	"pgregory.net/rapid"
)

func TestWindowOverflowIsAnError(t *testing.T) {
	a := allowed{left: 65535}
	if err := a.open(MaxWindow - 65535); err != nil {
		t.Errorf("up to the maximum: %v", err)
	}
	if err := a.open(1); err == nil {
		t.Error("one beyond the maximum was taken")
	}
	if err := a.shift(65535, 65536); err == nil {
		t.Error("a larger initial window overflowed unnoticed")
	}
	if a.left != MaxWindow {
		t.Errorf("got %d after errors, want no change", a.left)
	}
}

func TestShrunkInitialWindowIsNegative(t *testing.T) {
	conn, stream := allowed{left: 1 << 20}, allowed{left: 100}
	stream.sent(60)
	if err := stream.shift(100, 10); err != nil || stream.left != -50 {
		t.Fatalf("got %d, %v, want -50", stream.left, err)
	}
	if n := room(conn, stream, 1000); n != 0 {
		t.Errorf("room for %d bytes in a negative window", n)
	}
	if err := stream.open(70); err != nil || room(conn, stream, 1000) != 20 {
		t.Errorf("got room for %d, %v, want 20", room(conn, stream, 1000), err)
	}
}

func TestMoreThanGrantedIsAnError(t *testing.T) {
	g := newGranted(100)
	if err := g.arrived(100); err != nil {
		t.Errorf("all that was granted: %v", err)
	}
	if g.arrived(1) == nil {
		t.Error("one byte more was taken")
	}
}

func TestCreditComesInBatches(t *testing.T) {
	g := newGranted(streamGrant)
	if err := g.arrived(streamGrant); err != nil {
		t.Fatal(err)
	}
	updates, total := 0, uint32(0)
	for range streamGrant {
		if n := g.consumed(1); n > 0 {
			updates++
			total += n
		}
	}
	if updates > 3 || total < streamGrant/2 {
		t.Errorf("%d updates gave %d bytes back, want about two for all", updates, total)
	}
}

// model is a sender, a relay between two windows, and a receiver: each has its
// own view of the windows, and the views meet only in the messages between them.
type model struct {
	sender struct { // what the sender believes
		conn    int64
		streams []int64
	}
	in struct { // what we granted it
		conn    granted
		streams []granted
	}
	queued []int  // in the relay, to go to the receiver
	source []int  // bytes of the sender that wait to be consumed with the last of queued
	ended  []bool // reset
	out    struct {
		conn    allowed
		streams []allowed
		initial int64
	}
	receiver struct { // what the receiver granted, by its own count
		conn    int64
		streams []int64
		initial int64
	}
}

// TestLedgerHoldsAgainstRandomPeers checks that we never send more than was
// granted, never take more than we granted, lose no credit, and do not come to
// a stand while the receiver goes on opening.
func TestLedgerHoldsAgainstRandomPeers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "streams")
		m := newModel(n, rapid.Int64Range(0, 1<<18).Draw(t, "initial"))
		pick := func() int { return rapid.IntRange(0, n-1).Draw(t, "stream") }
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				m.send(t, pick(), rapid.IntRange(0, 1<<14).Draw(t, "n"), rapid.Float64Range(0, 3).Draw(t, "growth"))
			},
			"pump":  func(t *rapid.T) { m.pump(t, pick(), rapid.IntRange(1, 1<<16).Draw(t, "n")) },
			"open":  func(t *rapid.T) { m.open(t, pick(), rapid.Int64Range(1, 1<<17).Draw(t, "n")) },
			"reset": func(t *rapid.T) { m.reset(pick()) },
			"settings": func(t *rapid.T) {
				m.settings(t, rapid.Int64Range(0, 1<<18).Draw(t, "initial"))
			},
			"": func(t *rapid.T) { m.check(t) },
		})
		m.finish(t)
	})
}

func newModel(n int, initial int64) *model {
	m := &model{queued: make([]int, n), source: make([]int, n), ended: make([]bool, n)}
	m.sender.conn, m.in.conn = connGrant, newGranted(connGrant)
	m.out.conn, m.receiver.conn = allowed{streamGrant}, streamGrant
	m.out.initial, m.receiver.initial = initial, initial
	for range n {
		m.sender.streams = append(m.sender.streams, streamGrant)
		m.in.streams = append(m.in.streams, newGranted(streamGrant))
		m.out.streams = append(m.out.streams, allowed{initial})
		m.receiver.streams = append(m.receiver.streams, initial)
	}
	return m
}

// send lets the sender send as much as it believes it may, of which a rule makes
// growth times as much: nothing if it is swallowed.
func (m *model) send(t *rapid.T, s, n int, growth float64) {
	n = int(min(int64(n), m.sender.conn, m.sender.streams[s]))
	if n <= 0 || m.ended[s] {
		return
	}
	m.sender.conn -= int64(n)
	m.sender.streams[s] -= int64(n)
	if m.in.conn.arrived(n) != nil || m.in.streams[s].arrived(n) != nil {
		t.Fatalf("the sender kept to what it was told, and %d bytes were refused", n)
	}
	if m.sender.conn == 0 && m.in.conn.arrived(1) == nil || m.sender.streams[s] == 0 && m.in.streams[s].arrived(1) == nil {
		t.Fatal("more was taken than the sender was granted")
	}
	out := int(float64(n) * growth)
	if out == 0 && m.queued[s] == 0 {
		m.give(s, n)
		return
	}
	m.queued[s] += out
	m.source[s] += n
}

// give returns n bytes of credit to the sender, who learns of whole updates only.
func (m *model) give(s, n int) {
	m.sender.conn += int64(m.in.conn.consumed(n))
	if !m.ended[s] {
		m.sender.streams[s] += int64(m.in.streams[s].consumed(n))
	}
}

// pump sends of what waits as much as there is room for, at most n.
func (m *model) pump(t *rapid.T, s, n int) {
	n = room(m.out.conn, m.out.streams[s], min(n, m.queued[s]))
	m.out.conn.sent(n)
	m.out.streams[s].sent(n)
	m.queued[s] -= n
	m.receiver.conn -= int64(n)
	m.receiver.streams[s] -= int64(n)
	if n > 0 && (m.receiver.conn < 0 || m.receiver.streams[s] < 0) {
		t.Fatalf("%d bytes were sent beyond what the receiver granted", n)
	}
	if left := min(m.source[s], m.queued[s]); left < m.source[s] {
		m.give(s, m.source[s]-left)
		m.source[s] = left
	}
}

func (m *model) open(t *rapid.T, s int, n int64) {
	if m.receiver.conn+n <= MaxWindow {
		m.receiver.conn += n
		if err := m.out.conn.open(uint32(n)); err != nil {
			t.Fatal(err)
		}
	}
	m.receiver.streams[s] += n
	if err := m.out.streams[s].open(uint32(n)); err != nil {
		t.Fatal(err)
	}
}

func (m *model) settings(t *rapid.T, initial int64) {
	for s := range m.out.streams {
		m.receiver.streams[s] += initial - m.receiver.initial
		if err := m.out.streams[s].shift(m.out.initial, initial); err != nil {
			t.Fatal(err)
		}
	}
	m.receiver.initial, m.out.initial = initial, initial
}

// reset drops what waits: the connection's credit for it must not be lost.
func (m *model) reset(s int) {
	m.ended[s] = true
	m.give(s, m.source[s])
	m.queued[s], m.source[s] = 0, 0
}

func (m *model) check(t *rapid.T) {
	held := int64(0)
	for s := range m.source {
		held += int64(m.source[s])
	}
	if m.in.conn.held() != held {
		t.Fatalf("the ledger says that %d bytes are held, %d are", m.in.conn.held(), held)
	}
	if held > connGrant {
		t.Fatalf("%d bytes are held", held)
	}
}

// finish goes on opening until nothing waits. Then the sender must have its
// windows back, but for what is not worth an update.
func (m *model) finish(t *rapid.T) {
	for s := range m.queued {
		for round := 0; m.queued[s] > 0; round++ {
			if round > 1000 {
				t.Fatalf("%d bytes wait although the receiver goes on opening", m.queued[s])
			}
			m.open(t, s, 1<<16)
			m.pump(t, s, 1<<16)
		}
	}
	if got := m.sender.conn + m.in.conn.owed; got != connGrant || m.sender.conn <= connGrant/2 {
		t.Fatalf("the sender has %d in all, and is owed %d", m.sender.conn, m.in.conn.owed)
	}
	for s, g := range m.in.streams {
		if !m.ended[s] && (m.sender.streams[s]+g.owed != streamGrant || m.sender.streams[s] <= streamGrant/2) {
			t.Fatalf("the sender has %d on stream %d, and is owed %d", m.sender.streams[s], s, g.owed)
		}
	}
}
