package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// RouteEdit is the answer to a PUT or DELETE of /routes/{name}, and to one that
// was refused for problems.
type RouteEdit struct {
	Error      string    `json:"error,omitempty"`
	Route      string    `json:"route"`
	File       string    `json:"file,omitempty"` // that was written or removed
	Generation uint64    `json:"generation,omitempty"`
	Hash       string    `json:"hash,omitempty"` // of the rules in force, also as ETag
	Routes     int       `json:"routes"`
	Problems   []Problem `json:"problems"` // of all files; warnings if it was done
}

// Problem is a problem of a rule file.
type Problem struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"` // in characters, from one
	EndColumn int    `json:"end_column"`
	Severity  string `json:"severity"` // error, warning
	Code      string `json:"code"`
	Route     string `json:"route,omitempty"`
	Path      string `json:"path,omitempty"` // request[0].jq
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
	Source    string `json:"source,omitempty"` // the line
}

// ProblemsOf is problems for machines, never nil.
func ProblemsOf(problems []rules.Problem) []Problem {
	list := make([]Problem, 0, len(problems))
	for i := range problems {
		p := &problems[i]
		severity := "error"
		if p.Severity == rules.Warning {
			severity = "warning"
		}
		list = append(list, Problem{
			p.File, p.Line, p.Column, p.EndColumn, severity, p.Code, p.Route, p.Path, p.Message, p.Hint, p.Source,
		})
	}
	return list
}

func (s *Server) putRoute(w http.ResponseWriter, r *http.Request) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		writeError(w, http.StatusUnsupportedMediaType, "the body is the rule file's text as it is, without a coding")
		return
	}
	text, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a rule file has at most %d bytes", large.Limit))
		return
	case err != nil:
		writeError(w, http.StatusBadRequest, "read the body: "+err.Error())
		return
	}
	s.editRoute(w, r, text)
}

func (s *Server) deleteRoute(w http.ResponseWriter, r *http.Request) { s.editRoute(w, r, nil) }

// editRoute answers once the change is in force, or with why it was not made.
func (s *Server) editRoute(w http.ResponseWriter, r *http.Request, text []byte) {
	if s.config.Files == nil {
		writeError(w, http.StatusNotFound, "this Sluice has no rules directory")
		return
	}
	edit := watch.Edit{Route: r.PathValue("name"), Text: text}
	if err := conditions(r.Header, &edit); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	done, err := s.config.Files.Edit(r.Context(), edit)
	answer := RouteEdit{
		Route: edit.Route, File: done.File, Generation: done.Generation, Hash: done.Hash, Routes: done.Routes,
		Problems: ProblemsOf(done.Problems),
	}
	if err != nil {
		answer.Error = err.Error()
		if errors.Is(err, watch.ErrProblems) && !errors.Is(err, watch.ErrNotLive) {
			answer.Error += ", so nothing was written"
		}
		s.config.Log.Warn("route not changed by admin", "route", edit.Route, "method", r.Method, "error", err.Error())
		writeJSON(w, editStatus(err), answer)
		return
	}
	s.config.Log.Info("route changed by admin", "route", edit.Route, "method", r.Method, "file", done.File, "generation", done.Generation)
	status := http.StatusOK
	if done.Created {
		status = http.StatusCreated
	}
	w.Header().Set("ETag", etag(done.Hash))
	writeJSON(w, status, answer)
}

func editStatus(err error) int {
	for _, s := range []struct {
		err    error
		status int
	}{
		{watch.ErrName, http.StatusBadRequest},
		{watch.ErrNoRoute, http.StatusNotFound},
		{watch.ErrNoMatch, http.StatusPreconditionFailed},
		{watch.ErrReadOnly, http.StatusConflict},
		{watch.ErrNotLive, http.StatusServiceUnavailable},
		{watch.ErrProblems, http.StatusUnprocessableEntity},
		{context.Canceled, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// etag names the rules as a whole: whoever changes a route says by it which
// others he saw beside it.
func etag(hash string) string { return `"` + hash + `"` }

// conditions reads If-Match and If-None-Match (RFC 9110, 13.1).
func conditions(h http.Header, e *watch.Edit) error {
	if match := h.Values("If-Match"); len(match) > 0 {
		hash, quoted := strings.CutPrefix(strings.TrimSpace(match[0]), `"`)
		hash, closed := strings.CutSuffix(hash, `"`)
		if len(match) > 1 || !quoted || !closed || hash == "" || strings.Contains(hash, `"`) {
			return errors.New(`If-Match takes one ETag of /routes, such as "0123456789ab" with its quotes`)
		}
		e.IfMatch = hash
	}
	if none := h.Values("If-None-Match"); len(none) > 0 {
		if len(none) > 1 || strings.TrimSpace(none[0]) != "*" || e.Text == nil {
			return errors.New("If-None-Match takes *, of a PUT that must not replace a route")
		}
		e.Create = true
	}
	return nil
}
