package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
)

//go:embed openapi.json
var openapi []byte

// route is one path of the API and how it is answered.
type route struct {
	method, pattern string
	token           bool // needed over TCP
	handle          http.HandlerFunc
}

// routes is the API, path by path.
func (s *Server) routes() []route {
	return []route{
		{method: "GET", pattern: "/{$}", handle: s.index},
		{method: "GET", pattern: "/openapi.json", handle: serveOpenAPI},
		{method: "GET", pattern: "/status", handle: s.status},
		{method: "GET", pattern: "/tap", token: true, handle: s.tap},
		{method: "GET", pattern: "/exchanges/{id}", token: true, handle: s.exchange},
		{method: "GET", pattern: "/routes", handle: s.listRoutes},
		{method: "GET", pattern: "/routes/{name}", handle: s.oneRoute},
		{method: "PUT", pattern: "/routes/{name}", token: true, handle: s.putRoute},
		{method: "DELETE", pattern: "/routes/{name}", token: true, handle: s.deleteRoute},
		{method: "GET", pattern: "/breakers", handle: s.listBreakers},
		{method: "POST", pattern: "/breakers/{name}", token: true, handle: s.setBreaker},
		{method: "POST", pattern: "/explain", token: true, handle: s.explain},
		{method: "GET", pattern: "/config", token: true, handle: s.showConfig},
		{method: "GET", pattern: "/loglevel", handle: s.logLevel},
		{method: "PUT", pattern: "/loglevel", token: true, handle: s.setLogLevel},
		{method: "GET", pattern: "/debug/pprof/", token: true, handle: pprof.Index},
		{method: "GET", pattern: "/debug/pprof/{profile}", token: true, handle: profile},
		{method: "POST", pattern: "/drain", token: true, handle: s.drain},
		{method: "POST", pattern: "/quitquitquit", token: true, handle: s.quit},
	}
}

func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Sluice's admin API, described at /openapi.json. * needs the token over TCP: Authorization: Bearer TOKEN\n\n")
	for _, r := range s.routes() {
		mark := " "
		if r.token {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %-6s %s\n", mark, r.method, strings.TrimSuffix(r.pattern, "{$}"))
	}
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openapi)
}

// notFound answers for a path or method that no route has.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no such path: %s; / lists them", r.URL.Path))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeError(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s takes %s", r.URL.Path, strings.Join(allowed, " and ")))
}

func notPart(w http.ResponseWriter) {
	writeError(w, http.StatusNotFound, "this Sluice has no such part")
}

func (s *Server) tap(w http.ResponseWriter, r *http.Request) {
	if s.config.Tap == nil {
		notPart(w)
		return
	}
	s.config.Tap.ServeTap(w, r)
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if s.config.Tap == nil {
		notPart(w)
		return
	}
	s.config.Tap.ServeExchange(w, r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	if s.config.Status == nil {
		notPart(w)
		return
	}
	status := s.config.Status()
	if s.config.Rules != nil {
		g := s.config.Rules.Load()
		status.Generation, status.Hash, status.Routes = g.Number, g.Hash(), len(g.Routes())
	}
	status.Breakers = map[string]int{}
	if s.config.Breakers != nil {
		for _, b := range s.config.Breakers.List() {
			status.Breakers[b.State]++
		}
	}
	if status.Listeners == nil {
		status.Listeners = []Listener{}
	}
	writeJSON(w, http.StatusOK, status)
}

// RouteList is the answer of /routes.
type RouteList struct {
	Generation uint64  `json:"generation"`
	Hash       string  `json:"hash"`
	Routes     []Route `json:"routes"`
}

// Route is a route of the rules in force.
type Route struct {
	Name     string        `json:"name"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Request  bool          `json:"request"`        // it has steps for requests
	Response bool          `json:"response"`       // it has steps for responses
	Slow     []Slow        `json:"slow,omitempty"` // what of it takes a slower way than most
	Breaker  *BreakerRule  `json:"breaker,omitempty"`
	OnError  rules.OnError `json:"on_error"`
	Limits   Limits        `json:"limits"`
	Shadow   *Shadow       `json:"shadow,omitempty"` // of one in shadow; null if the mode is another
}

// Slow is a part of a route that is no simple program, and why.
type Slow struct {
	Of    string `json:"of"` // request, response, match.where, request[0].when, upstream.breaker.failure
	Why   string `json:"why"`
	Value bool   `json:"value"` // the message is decoded for it; else it only runs as jq
}

// BreakerRule is the upstream.breaker of a route.
type BreakerRule struct {
	Window   string `json:"window"`
	Open     string `json:"open"`
	Probes   int    `json:"probes"`
	Fallback bool   `json:"fallback"`
}

// Limits are the limits of a route.
type Limits struct {
	BodyBytes    int64  `json:"body_bytes"`
	MessageBytes int64  `json:"message_bytes"`
	Steps        int64  `json:"steps"`
	Time         string `json:"time"`
}

func describe(r *rules.Route) Route {
	limits := r.Limits()
	d := Route{
		Name: r.Name(), File: r.Position().File, Line: r.Position().Line,
		Request: r.Request() != nil, Response: r.Response() != nil, OnError: r.OnError(),
		Limits: Limits{int64(limits.Body), int64(limits.Message), limits.Steps, limits.Time.String()},
	}
	for _, s := range r.Slow() {
		d.Slow = append(d.Slow, Slow(s))
	}
	if b := r.Breaker(); b != nil {
		d.Breaker = &BreakerRule{b.Window.String(), b.Open.String(), b.Probes, b.Fallback != nil}
	}
	return d
}

func (s *Server) listRoutes(w http.ResponseWriter, r *http.Request) {
	if s.config.Rules == nil {
		notPart(w)
		return
	}
	g := s.config.Rules.Load()
	list := RouteList{g.Number, g.Hash(), s.describe(r.Context(), g.Routes()...)}
	w.Header().Set("ETag", etag(g.Hash()))
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) oneRoute(w http.ResponseWriter, r *http.Request) {
	if s.config.Rules == nil {
		notPart(w)
		return
	}
	g := s.config.Rules.Load()
	routes := g.Routes()
	i := slices.IndexFunc(routes, func(each *rules.Route) bool { return each.Name() == r.PathValue("name") })
	if i < 0 {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no route %q", r.PathValue("name")))
		return
	}
	w.Header().Set("ETag", etag(g.Hash()))
	writeJSON(w, http.StatusOK, s.describe(r.Context(), routes[i])[0])
}

// BreakerList is the answer of /breakers.
type BreakerList struct {
	Breakers []Breaker `json:"breakers"`
}

func (s *Server) listBreakers(w http.ResponseWriter, _ *http.Request) {
	list := BreakerList{Breakers: []Breaker{}}
	if s.config.Breakers != nil {
		list.Breakers = append(list.Breakers, s.config.Breakers.List()...)
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) setBreaker(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	var body struct{ State string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		writeError(w, http.StatusBadRequest, `the body is {"state": "open"|"close"|"reset"}: `+err.Error())
		return
	}
	switch body.State {
	case "open", "close", "reset":
	default:
		writeError(w, http.StatusBadRequest, fmt.Sprintf("state: %q is none of open, close, reset", body.State))
		return
	}
	if s.config.Breakers == nil || !s.hasBreaker(name) {
		writeError(w, http.StatusNotFound, fmt.Sprintf("no breaker %q: a breaker exists once its route was used", name))
		return
	}
	if err := s.config.Breakers.Set(name, body.State); err != nil {
		writeError(w, http.StatusConflict, err.Error())
		return
	}
	s.config.Log.Info("breaker set by admin", "breaker", name, "to", body.State)
	for _, b := range s.config.Breakers.List() {
		if b.Name == name {
			writeJSON(w, http.StatusOK, b)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent) // gone meanwhile
}

func (s *Server) hasBreaker(name string) bool {
	return slices.ContainsFunc(s.config.Breakers.List(), func(b Breaker) bool { return b.Name == name })
}

func (s *Server) showConfig(w http.ResponseWriter, _ *http.Request) {
	if s.config.Config == nil {
		notPart(w)
		return
	}
	writeJSON(w, http.StatusOK, s.config.Config())
}

// logLevel is the body of /loglevel.
type logLevel struct {
	Level string `json:"level"`
}

func (s *Server) logLevel(w http.ResponseWriter, _ *http.Request) {
	if s.config.Level == nil {
		notPart(w)
		return
	}
	writeJSON(w, http.StatusOK, logLevel{strings.ToLower(s.config.Level.Level().String())})
}

func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request) {
	if s.config.Level == nil {
		notPart(w)
		return
	}
	var body logLevel
	var level slog.Level
	err := json.NewDecoder(r.Body).Decode(&body)
	if err == nil {
		err = level.UnmarshalText([]byte(body.Level))
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, `the body is {"level": "debug"|"info"|"warn"|"error"}: `+err.Error())
		return
	}
	s.config.Level.Set(level)
	s.logLevel(w, r)
}

func profile(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("profile") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r) // it takes the name from the path
	}
}

func (s *Server) drain(w http.ResponseWriter, _ *http.Request) {
	if s.config.Drain == nil {
		notPart(w)
		return
	}
	s.config.Drain()
	writeJSON(w, http.StatusAccepted, struct {
		Draining bool `json:"draining"`
	}{true})
}

func (s *Server) quit(w http.ResponseWriter, _ *http.Request) {
	if s.config.Quit == nil {
		notPart(w)
		return
	}
	writeJSON(w, http.StatusAccepted, struct {
		Quitting bool `json:"quitting"`
	}{true})
	_ = http.NewResponseController(w).Flush() // the answer goes before the process does
	s.config.Quit()
}
