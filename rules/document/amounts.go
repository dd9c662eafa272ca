package document

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may happen.
type Rate struct {
	Count int64 // at least 1
	Per   time.Duration
}

var (
	rateText    = regexp.MustCompile(`^(1000000|[1-9][0-9]{0,5})/(s|m|h)$`)
	percentText = regexp.MustCompile(`^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%$`)
)

// RateOf takes a rate such as 100/s, 10/m or 1000/h.
func RateOf() Type[Rate] {
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	return Type[Rate]{Shape{Kind: "rate"}, func(n *Node) (Rate, bool) {
		if n.Kind != Scalar {
			_, ok := n.wrongType("a rate")
			return Rate{}, ok
		}
		m := rateText.FindStringSubmatch(n.Text)
		if m == nil {
			n.reportAmount("a rate", "/s", "such as 100/s, 10/m, 1000/h; at most 1000000")
			return Rate{}, false
		}
		count, err := strconv.ParseInt(m[1], 10, 64)
		return Rate{count, units[m[2]]}, err == nil
	}}
}

// Percent takes a share such as 10% or 0.5%, as a number from 0 to 1.
func Percent() Type[float64] {
	return Type[float64]{Shape{Kind: "percent"}, func(n *Node) (float64, bool) {
		if n.Kind != Scalar {
			_, ok := n.wrongType("a percentage")
			return 0, ok
		}
		share, err := strconv.ParseFloat(strings.TrimSuffix(n.Text, "%"), 64)
		if !percentText.MatchString(n.Text) || err != nil {
			n.reportAmount("a percentage", "%", "such as 10%, 0.5%")
			return 0, false
		}
		return share / 100, true
	}}
}

// reportAmount reports a text that is no amount, or a number that lacks its unit.
func (n *Node) reportAmount(what, unit, hint string) {
	if n.what() == "a number" {
		n.Report(CodeBadValue, "write "+n.Text+unit, "%s needs its unit", what)
		return
	}
	n.Report(CodeBadValue, hint, "%q is not %s", n.Text, what)
}
