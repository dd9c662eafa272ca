package pattern

// The parts of a pattern that can keep it from matching a request.
const (
	MissedPath   = "path"
	MissedHost   = "host"
	MissedMethod = "method"
)

// Misses names the part of p that keeps it from matching a request, as [Index]
// finds it: the path before the host, the host before the method. It is "" if p
// matches. The arguments are those of [Index.Find].
func (p *Pattern) Misses(method, host, path string) string {
	bare := Pattern{segments: p.segments}
	switch {
	case !bare.matches(method, host, path):
		return MissedPath
	case !(&Pattern{host: p.host, segments: p.segments}).matches(method, host, path):
		return MissedHost
	case !p.matches(method, host, path):
		return MissedMethod
	}
	return ""
}

// matches asks an index of p alone, so that there is one way to match.
func (p *Pattern) matches(method, host, path string) bool {
	var x Index
	x.Add(p, 0)
	return len(x.Find(nil, method, host, path)) > 0
}
