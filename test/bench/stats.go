package main

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/test/bench/internal/traffic"
)

// samples are what the rounds of one proxy in one case gave.
type samples []traffic.Result

// values are a figure of each round, ascending.
func (s samples) values(of func(traffic.Result) float64) []float64 {
	values := make([]float64, len(s))
	for i, r := range s {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values
}

// median is that of a figure; NaN of no samples.
func (s samples) median(of func(traffic.Result) float64) float64 {
	return quantile(s.values(of), .5)
}

// quantile of ascending values, between two of them in proportion.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	at := q * float64(len(values)-1)
	low := int(at)
	if low == len(values)-1 {
		return values[low]
	}
	return values[low] + (at-float64(low))*(values[low+1]-values[low])
}

// failed is the first error of the rounds.
func (s samples) failed() string {
	for _, r := range s {
		if r.Errors > 0 {
			return r.Error
		}
	}
	return ""
}

func p50(r traffic.Result) float64  { return float64(r.P50) / float64(time.Millisecond) }
func p99(r traffic.Result) float64  { return float64(r.P99) / float64(time.Millisecond) }
func rss(r traffic.Result) float64  { return float64(r.RSS) / (1 << 20) }
func peak(r traffic.Result) float64 { return float64(r.Peak) / (1 << 20) }

// rate is units a second.
func rate(r traffic.Result) float64 { return r.Count / r.Elapsed.Seconds() }

// busy is the share of its processor that the proxy used, in percent.
func busy(r traffic.Result) float64 { return 100 * float64(r.CPU) / float64(r.Elapsed) }

// others is the share of the proxy's processor that others had, in percent.
func others(r traffic.Result) float64 {
	if r.Elapsed == 0 {
		return 0
	}
	return 100 * float64(r.Others) / float64(r.Elapsed)
}

// disturbance is the median of others over all runs.
func disturbance(outcomes []outcome) float64 {
	var all samples
	for _, o := range outcomes {
		for _, s := range o.By {
			all = append(all, s...)
		}
	}
	return all.median(others)
}
