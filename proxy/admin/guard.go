package admin

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// checkBrowser refuses what a page of another site could make a browser send:
// a Host that is not this one (DNS rebinding) and an Origin that is not this
// server's own.
func (s *Server) checkBrowser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.hosts[hostname(r.Host)] {
			writeError(w, http.StatusForbidden, "this Host is not served here: use localhost or 127.0.0.1")
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			u, err := url.Parse(origin)
			if err != nil || u.Scheme != "http" || !strings.EqualFold(u.Host, r.Host) {
				writeError(w, http.StatusForbidden, "another site's page may not call this")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host field without its port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// guarded asks for the token where r needs it and the caller came over TCP.
func (s *Server) guarded(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.token && !overSocket(req) && !s.token.allows(req) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			writeError(w, http.StatusUnauthorized, "this needs the token: Authorization: Bearer TOKEN")
			return
		}
		r.handle(w, req)
	})
}

// overSocket reports whether r came over the unix socket, whose mode says that
// its caller may do anything.
func overSocket(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok && at != nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // an error is the caller's going away
}

func writeError(w http.ResponseWriter, status int, msg string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{msg})
}
