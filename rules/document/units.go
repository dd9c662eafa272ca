package document

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/codec"
)

// Duration takes a positive duration such as 800ms or 1m30s.
func Duration() Type[time.Duration] {
	return Type[time.Duration]{Shape{Kind: "duration"}, func(n *Node) (time.Duration, bool) {
		if n.Kind != Scalar {
			_, ok := n.wrongType("a duration")
			return 0, ok
		}
		d, err := time.ParseDuration(n.Text)
		switch {
		case err != nil && n.what() == "a number":
			n.Report(CodeWrongType, "write "+n.Text+"s or "+n.Text+"ms", "a duration needs its unit")
		case err != nil:
			n.reportDuration()
		case d <= 0:
			n.Report(CodeBadValue, "", "a duration has to be more than zero")
		}
		return d, err == nil && d > 0
	}}
}

// timeUnits are what people write, and how time.ParseDuration wants it; "" if it
// has no such unit.
var timeUnits = map[string]string{
	"ns": "ns", "us": "us", "µs": "us", "μs": "us", "ms": "ms", "s": "s", "m": "m", "h": "h",
	"msec": "ms", "msecs": "ms", "millis": "ms", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
	"min": "m", "mins": "m", "minute": "m", "minutes": "m", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
	"d": "", "day": "", "days": "", "w": "", "week": "", "weeks": "",
}

var durationPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]*)?)([ \t]*)([^0-9. \t]*)`)

// reportDuration marks the first part of a text that is no duration.
func (n *Node) reportDuration() {
	for at := 0; at < len(n.Text); {
		m := durationPart.FindStringSubmatch(n.Text[at:])
		if m == nil {
			break
		}
		number, blank, unit := m[1], m[2], m[3]
		from, to := at+len(number), at+len(m[0])
		right, known := timeUnits[unit]
		switch {
		case unit == "" && blank == "":
			n.ReportAt(at, to, CodeBadValue, "write "+number+"s or "+number+"ms", "a duration needs its unit")
			return
		case known && right == "":
			n.ReportAt(from, to, CodeBadValue, "the longest unit is h: a day is 24h", "%q is no unit of time", unit)
			return
		case known && blank != "":
			n.ReportAt(from, to, CodeBadValue, "write "+number+right, "a blank before the unit")
			return
		case known && right != unit && unit != "µs" && unit != "μs":
			n.ReportAt(from, to, CodeBadValue, "write "+number+right, "%q is no unit of time", unit)
			return
		case !known:
			n.ReportAt(from, max(to, from+1), CodeBadValue, "one of ms, s, m, h", "%q is no unit of time", unit)
			return
		}
		at = to
	}
	n.Report(CodeBadValue, "such as 800ms, 2s, 1m30s", "%q is no duration", n.Text)
}

var sizeText = regexp.MustCompile(`^([0-9]+)(B|KiB|MiB|GiB)$`)

var sizePart = regexp.MustCompile(`^([0-9]+)([ \t]*)([A-Za-z]+)$`)

// Size takes a size such as 512KiB.
func Size() Type[codec.Bytes] {
	units := map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	return Type[codec.Bytes]{Shape{Kind: "size"}, func(n *Node) (codec.Bytes, bool) {
		if n.Kind != Scalar {
			_, ok := n.wrongType("a size")
			return 0, ok
		}
		m := sizeText.FindStringSubmatch(n.Text)
		if m == nil {
			n.reportSize()
			return 0, false
		}
		count, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || count == 0 || count > math.MaxInt64/units[m[2]] {
			n.Report(CodeBadValue, "", "%s is not a possible size", n.Text)
			return 0, false
		}
		return codec.Bytes(count * units[m[2]]), true
	}}
}

// reportSize marks the unit of a text that is no size, if the rest would be.
func (n *Node) reportSize() {
	if n.what() == "a number" {
		n.Report(CodeBadValue, "write "+n.Text+"B, or KiB, MiB, GiB", "%q is no size", n.Text)
		return
	}
	if m := sizePart.FindStringSubmatch(n.Text); m != nil {
		for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
			// 8MB, 8 MiB, 8M and 8mib all mean 8MiB.
			if strings.EqualFold(m[3], unit) || strings.EqualFold(m[3], unit[:1]) || strings.EqualFold(m[3], unit[:1]+"B") {
				n.ReportAt(len(m[1]), len(n.Text), CodeBadValue, "write "+m[1]+unit, "%q is no size", n.Text)
				return
			}
		}
	}
	n.Report(CodeBadValue, "such as 512KiB, 8MiB", "%q is no size", n.Text)
}
