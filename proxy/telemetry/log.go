package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
)

// Exchanges says which exchanges are logged.
type Exchanges string

// The choices of log.exchanges in sluice.yaml.
const (
	ExchangesOff    Exchanges = "off"
	ExchangesErrors Exchanges = "errors" // those that failed or that Sluice answered for want of an upstream; the default
	ExchangesAll    Exchanges = "all"
)

// Log is a [proxy.Observer] that writes one line for an exchange or spliced
// connection, and always one for a breaker's change of state and for a reload.
// The logger must not block: have it write to a [Writer].
type Log struct {
	log       *slog.Logger
	exchanges Exchanges
}

var _ proxy.Observer = (*Log)(nil)

// NewLog returns a Log. The empty choice means errors.
func NewLog(to *slog.Logger, exchanges Exchanges) (*Log, error) {
	switch exchanges {
	case "":
		exchanges = ExchangesErrors
	case ExchangesOff, ExchangesErrors, ExchangesAll:
	default:
		return nil, fmt.Errorf("log.exchanges: %q is none of off, errors, all", exchanges)
	}
	return &Log{log: to, exchanges: exchanges}, nil
}

// Observe implements [proxy.Observer].
func (l *Log) Observe(e proxy.Event) {
	switch e := e.(type) {
	case *proxy.Record:
		l.exchange(e)
	case *proxy.ConnClosed:
		l.conn(e)
	case *proxy.BreakerChange:
		l.breaker(e)
	case *proxy.Reload:
		l.reload(e)
	}
}

func (l *Log) exchange(e *proxy.Record) {
	failed := failed(e)
	if l.exchanges == ExchangesOff || l.exchanges == ExchangesErrors && !failed {
		return
	}
	level := slog.LevelInfo
	if failed {
		level = slog.LevelWarn
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	q := e.Call
	attrs := append(make([]slog.Attr, 0, 20),
		slog.String(KeyExchange, e.ID), slog.String(KeyDirection, string(q.Direction)), slog.String(KeyProtocol, string(e.Protocol)),
		slog.String(KeyMethod, q.Head.Method), slog.String(KeyHost, q.Head.Host), slog.String(KeyPath, q.Head.Path),
		slog.Int(KeyStatus, e.Status), slog.Float64(KeyDuration, millis(e.Duration)), slog.Any(KeyPeer, q.Peer),
	)
	attrs = appendIf(attrs, KeyGRPCStatus, string(e.GRPCStatus))
	attrs = appendIf(attrs, KeyRoute, e.Route)
	attrs = appendIf(attrs, KeyAnswered, e.Answered)
	attrs = appendIf(attrs, KeyBreaker, e.Breaker)
	l.log.LogAttrs(context.Background(), level, "exchange", appendFailure(attrs, e.Error)...)
}

// failed reports whether errors means this exchange.
func failed(e *proxy.Record) bool {
	if e.Error != nil || e.Status == 0 || e.Status >= 500 || e.Answered == "breaker" || e.Answered == "error" {
		return true
	}
	switch e.GRPCStatus {
	case "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "DATA_LOSS":
		return true
	}
	return false
}

// conn logs what no exchange tells of: raw and TLS connections, and those that
// ended before they were either.
func (l *Log) conn(e *proxy.ConnClosed) {
	if e.Lane == proxy.LaneExchange || e.Lane == proxy.LaneRelay || l.exchanges == ExchangesOff || l.exchanges == ExchangesErrors && e.Error == nil {
		return
	}
	level := slog.LevelInfo
	if e.Error != nil {
		level = slog.LevelWarn
	}
	attrs := append(make([]slog.Attr, 0, 12),
		slog.String(KeyConn, e.ID), slog.String(KeyDirection, string(e.Direction)), slog.String(KeyListener, e.Listener),
		slog.String(KeyProtocol, string(e.Protocol)), slog.String(KeyLane, string(e.Lane)), slog.Any(KeyPeer, e.Peer),
	)
	if e.Destination.IsValid() {
		attrs = append(attrs, slog.Any(KeyDestination, e.Destination))
	} else {
		attrs = appendIf(attrs, KeyDestination, e.Upstream)
	}
	attrs = append(attrs, slog.Float64(KeyDuration, millis(e.Duration)))
	l.log.LogAttrs(context.Background(), level, "conn", appendFailure(attrs, e.Error)...)
}

func (l *Log) breaker(e *proxy.BreakerChange) {
	level := slog.LevelWarn
	if e.To == "closed" {
		level = slog.LevelInfo
	}
	l.log.LogAttrs(context.Background(), level, "breaker",
		slog.String(KeyBreaker, e.Name), slog.String(KeyFrom, e.From), slog.String(KeyTo, e.To),
		slog.Uint64(KeyRequests, uint64(e.Counts.Requests)), slog.Uint64(KeyFailures, uint64(e.Counts.Failures)))
}

func (l *Log) reload(e *proxy.Reload) {
	attrs := []slog.Attr{
		slog.Uint64(KeyGeneration, e.Generation), slog.String(KeyHash, e.Hash), slog.Int(KeyRoutes, e.Routes), slog.Int(KeyProblems, len(e.Problems)),
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String(KeyError, e.Err.Error()))
	}
	if !e.Live {
		attrs = appendIf(attrs, KeyRead, e.Read)
	}
	if p := worst(e.Problems); p != nil {
		attrs = append(attrs, slog.String(KeyProblem, fmt.Sprintf("%s:%d:%d: %s [%s]", p.File, p.Line, p.Column, p.Message, p.Code)))
	}
	if e.Live {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "rules live", attrs...)
		return
	}
	l.log.LogAttrs(context.Background(), slog.LevelError, "rules refused", attrs...)
}

// millis is d in milliseconds, to the microsecond, as in the tap.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// worst is the first error, else the first warning.
func worst(problems []rules.Problem) *rules.Problem {
	for i := range problems {
		if problems[i].Severity == rules.Error {
			return &problems[i]
		}
	}
	if len(problems) > 0 {
		return &problems[0]
	}
	return nil
}

func appendIf(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}

func appendFailure(attrs []slog.Attr, e *proxy.Error) []slog.Attr {
	if e == nil {
		return attrs
	}
	attrs = append(attrs, slog.String(KeyOrigin, string(e.Origin)), slog.String(KeyReason, e.Reason))
	attrs = appendIf(attrs, KeyStep, e.Step)
	if e.Err != nil {
		attrs = append(attrs, slog.String(KeyError, e.Err.Error()))
	}
	return attrs
}
