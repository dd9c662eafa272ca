package rules

// Slow is a part of a route that takes a slower way than most, and why.
type Slow struct {
	Of  string // request, response, match.where, request[0].when, upstream.breaker.failure
	Why string // in a few words, such as "uses reduce"
	// Value says that the message has to be decoded; otherwise the part only runs
	// as jq.
	Value bool
}

// Slow lists the parts of the route that are no simple programs. All others run on
// the bytes of a message, or on what stands around it, without jq.
func (r *Route) Slow() []Slow {
	var found []Slow
	judged := func(of string, j *judge, value bool) {
		if j != nil && j.why != "" {
			found = append(found, Slow{of, j.why, value})
		}
	}
	judged("match.where", r.match.where, false)
	steps := func(of string, s *Steps) {
		if s == nil {
			return
		}
		reads := s.needs.Body || s.needs.Edits
		if s.why != "" && reads {
			found = append(found, Slow{of, s.why, true})
		}
		for i := range s.steps {
			if step := &s.steps[i]; step.judge != nil && (step.head != nil || !reads) && !step.when.reads("$body") {
				judged(step.when.path, step.judge, false)
			}
		}
	}
	steps("request", r.request)
	if f := r.fault; f != nil && !f.ReadsBody() {
		judged(faultWhenPath, f.when, false)
	}
	if b := r.breaker; b != nil {
		judged(failurePath, b.failure, b.failureReadsBody)
		judged(tripPath, b.trip, false)
	}
	steps("response", r.response)
	return found
}
