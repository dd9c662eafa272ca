package rules

// Point is a place of a rule file that a case can reach, in one or two ways.
type Point struct {
	Position Position
	Step     string // as reports name it: request[0].jq, match.where, upstream.breaker
	Kind     PointKind
}

// PointKind says what there is to reach.
type PointKind string

// The kinds. A step, an opening and a fallback are reached once; a condition twice: true and false.
const (
	PointStep     PointKind = "step"     // it runs
	PointWhen     PointKind = "when"     // of a step
	PointWhere    PointKind = "where"    // of a match
	PointFailure  PointKind = "failure"  // of a breaker
	PointOpened   PointKind = "opened"   // a breaker opens
	PointFallback PointKind = "fallback" // it answers in place of the upstream
)

// Condition reports whether the point is to be reached in two ways.
func (k PointKind) Condition() bool {
	return k == PointWhen || k == PointWhere || k == PointFailure
}

// Points returns all that cases of the route can reach, in the order of the file.
// What stands in a shared file is a point of every route; its position is one.
func (r *Route) Points() []Point {
	var points []Point
	if w := r.match.where; w != nil {
		points = append(points, Point{w.at, "match.where", PointWhere})
	}
	seen := make(map[Position]bool)
	for _, route := range []*Route{r, r.outbound} {
		if route == nil {
			continue
		}
		for _, steps := range []*Steps{route.request, route.response} {
			points = steps.points(points, seen)
		}
		points = route.trailers.points(points, seen)
	}
	if b := r.breaker; b != nil {
		if b.failure.at.Line > 0 {
			points = append(points, Point{b.failure.at, failurePath, PointFailure})
		}
		points = append(points, Point{b.at, breakerPath, PointOpened})
		if b.Fallback != nil {
			points = append(points, Point{b.fallbackAt, breakerPath + ".fallback", PointFallback})
		}
	}
	return points
}

const breakerPath = "upstream.breaker"

func (s *Steps) points(points []Point, seen map[Position]bool) []Point {
	if s == nil {
		return points
	}
	return pointsOf(s.steps, points, seen)
}

func (t *Trailers) points(points []Point, seen map[Position]bool) []Point {
	if t == nil {
		return points
	}
	return pointsOf(t.steps, points, seen)
}

func pointsOf(steps []step, points []Point, seen map[Position]bool) []Point {
	for i := range steps {
		step := &steps[i]
		if seen[step.at] {
			continue
		}
		seen[step.at] = true
		if step.when != nil {
			points = append(points, Point{step.when.at, step.name, PointWhen})
		}
		points = append(points, Point{step.at, step.name, PointStep})
	}
	return points
}
