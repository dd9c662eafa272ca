package resilience

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// The bounds of what limiters remember: callers choose keys.
const (
	maxLimiters = 10_000
	maxKeys     = 10_000 // of one limiter
	longKey     = 64     // bytes; of longer keys a hash is kept
)

// Limiters keeps rate limits by name. The zero Limiters is empty.
type Limiters struct {
	mu     sync.Mutex // guards what follows
	byName map[string]*Limiter
	keys   int // of each; 0: maxKeys
}

// Get returns the limit of that name, where one thing may happen in an interval,
// and burst at once. One that exists keeps its state if spec is the same. When
// there are too many, the one that was asked for least lately is forgotten.
func (g *Limiters) Get(name, spec string, interval time.Duration, burst int) *Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.byName[name]
	if l == nil || l.spec != spec {
		if l == nil && len(g.byName) >= maxLimiters {
			g.forget()
		}
		if g.byName == nil {
			g.byName = make(map[string]*Limiter)
		}
		l = newLimiter(spec, interval, burst, g.keys)
		g.byName[name] = l
	}
	l.asked = time.Now()
	return l
}

func (g *Limiters) forget() {
	oldest := ""
	for name, l := range g.byName {
		if oldest == "" || l.asked.Before(g.byName[oldest].asked) {
			oldest = name
		}
	}
	delete(g.byName, oldest)
}

// Limiter is a rate limit: a bucket of tokens for each key, which holds burst of
// them and gets one in each interval. It is safe for concurrent use.
type Limiter struct {
	spec     string
	interval time.Duration
	slack    time.Duration // how far ahead of time the burst may be
	most     int
	asked    time.Time // guarded by Limiters.mu

	mu    sync.Mutex // guards what follows
	start time.Time  // of times in entries
	byKey map[string]*list.Element
	used  list.List // of *bucket, the one used last in front
}

// bucket is one of a key. Instead of tokens it has the time at which it is full
// again, since the limiter's start: the same in one number.
type bucket struct {
	key  string
	full time.Duration
}

func newLimiter(spec string, interval time.Duration, burst, keys int) *Limiter {
	if keys == 0 {
		keys = maxKeys
	}
	return &Limiter{spec: spec, interval: interval, slack: time.Duration(burst-1) * interval, most: keys, byKey: make(map[string]*list.Element)}
}

// Allow takes a token of key's bucket. If there is none, wait is the time until
// there will be one. Of too many keys those that were not used longest are
// forgotten, and have full buckets then.
func (l *Limiter) Allow(key string, now time.Time) (wait time.Duration, ok bool) {
	if len(key) > longKey {
		sum := sha256.Sum256([]byte(key))
		key = "#" + string(sum[:])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.start.IsZero() {
		l.start = now
	}
	at := now.Sub(l.start)
	b := l.bucket(key, at)
	full := max(b.full, at)
	if early := full - at - l.slack; early > 0 {
		return early, false
	}
	b.full = full + l.interval
	return 0, true
}

// bucket returns that of key, and forgets those at the end of the list that
// are full.
func (l *Limiter) bucket(key string, at time.Duration) *bucket {
	if e := l.byKey[key]; e != nil {
		l.used.MoveToFront(e)
		return e.Value.(*bucket)
	}
	for range 2 {
		last := l.used.Back()
		if last == nil || last.Value.(*bucket).full > at && l.used.Len() < l.most {
			break
		}
		delete(l.byKey, l.used.Remove(last).(*bucket).key)
	}
	b := &bucket{key: key}
	l.byKey[key] = l.used.PushFront(b)
	return b
}
