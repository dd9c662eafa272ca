// Package admin is the API by which people and tools look at a running Sluice
// and steer it: plain HTTP and JSON, described at /openapi.json.
//
// It is served on a unix socket, which only its owner can open, and on loopback
// TCP, where every user of the host and every page in a browser can knock: there
// Host and Origin are checked, and what reveals or changes needs a token.
// Liveness, readiness and metrics are a handler of their own, [NewHealth], for
// the network.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/rules"
	"github.com/sluice-proxy/sluice/rules/watch"
)

// Tap answers for what passed; see package tap.
type Tap interface {
	ServeTap(w http.ResponseWriter, r *http.Request)
	ServeExchange(w http.ResponseWriter, r *http.Request) // its id is the path value "id"
}

// Rules are the rules in force, such as a [*rules.Live].
type Rules interface{ Load() *rules.Generation }

// Files are the rule files, such as a [*watch.Watcher].
type Files interface {
	Edit(ctx context.Context, e watch.Edit) (watch.Edited, error)
}

// Breakers are the circuit breakers that exist.
type Breakers interface {
	List() []Breaker               // by name
	Set(name, action string) error // open, close or reset
}

// Breaker is a circuit breaker at one instant.
type Breaker struct {
	Name              string    `json:"name"`  // route@host:port
	State             string    `json:"state"` // closed, half_open, open, forced_open
	Since             time.Time `json:"since"`
	RetryAfterSeconds float64   `json:"retry_after_seconds,omitempty"` // of an open one
	Counts            Counts    `json:"counts"`
}

// Counts are the finished exchanges of a breaker's window.
type Counts struct {
	Requests            uint32 `json:"requests"`
	Successes           uint32 `json:"successes"`
	Failures            uint32 `json:"failures"`
	ConsecutiveFailures uint32 `json:"consecutive_failures"`
}

// Config is what a [Server] is made of. A nil part answers 404 for its paths,
// but Log may be nil.
type Config struct {
	Listen string // of TCP, on loopback: "127.0.0.1:15000"; empty for none
	Socket string // path of the unix socket; empty for none

	// TokenFile holds the token that TCP asks for. Empty: one is made at
	// start, beside the socket, and removed at the end.
	TokenFile string

	Tap      Tap
	Rules    Rules
	Breakers Breakers
	Files    Files // nil: the rules are not a directory's
	// Explain answers a question as JSON; see tap.Config.Explanation. Its error is
	// of the question.
	Explain func(ctx context.Context, q proxy.Question) ([]byte, error)
	// Shadows are what the routes in shadow would have done, by name.
	Shadows func(ctx context.Context) map[string]Shadow
	Status  func() Status  // what is known beside rules and breakers
	Config  func() any     // what is configured, to be shown as JSON, without secrets
	Level   *slog.LevelVar // of the process's log
	Drain   func()         // begin to drain, and return at once
	Quit    func()         // begin to end the process, and return at once
	Log     *slog.Logger
}

// Status is a running Sluice at a glance.
type Status struct {
	PID           int        `json:"pid"`
	Version       string     `json:"version"`
	Started       time.Time  `json:"started"`
	UptimeSeconds float64    `json:"uptime_seconds"`
	Ready         bool       `json:"ready"`
	Reason        string     `json:"reason,omitempty"` // why it is not ready
	Draining      bool       `json:"draining"`
	Connections   int        `json:"connections"`
	Listeners     []Listener `json:"listeners"`
	Command       []string   `json:"command,omitempty"` // of exec

	Generation uint64         `json:"generation"`
	Hash       string         `json:"hash"`
	Routes     int            `json:"routes"`
	Reload     *Reload        `json:"reload,omitempty"` // nil: the rules are not a directory's
	Breakers   map[string]int `json:"breakers"`         // how many are in each state
}

// Reload is the last time that rule files were read.
type Reload struct {
	Since      time.Time `json:"since"`          // when the rules in force went live
	Time       time.Time `json:"time"`           // when the files were read
	Result     string    `json:"result"`         // live; refused: they have problems; unreadable
	Read       string    `json:"read,omitempty"` // hash of what was read, that in force if it is live
	Generation uint64    `json:"generation"`     // in force after it
	Problems   int       `json:"problems"`       // warnings among them
	At         string    `json:"at,omitempty"`   // file:line:column and code of the first
}

// Listener is a place where Sluice takes connections.
type Listener struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Direction string `json:"direction"`
	Upstream  string `json:"upstream,omitempty"`
}

// Server serves the admin API. Make one with [New].
type Server struct {
	config Config
	mux    *http.ServeMux
	token  *token // nil without TCP
	hosts  map[string]bool

	tcp, unix *http.Server // nil where not served
	tcpAt     net.Listener
	unixAt    *socket
}

// New checks c, makes the token if it has to, and opens the listeners: from
// then on callers wait for [Server.Serve].
func New(c Config) (_ *Server, err error) {
	if c.Listen == "" && c.Socket == "" {
		return nil, errors.New("admin: neither listen nor socket is set")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, mux: http.NewServeMux()}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	for _, r := range s.routes() {
		s.mux.Handle(r.method+" "+r.pattern, s.guarded(r))
	}
	s.mux.HandleFunc("/", s.notFound)
	if c.Socket != "" {
		if s.unixAt, err = listenSocket(c.Socket); err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
		s.unix = newServer(s.mux, c.Log)
	}
	if c.Listen != "" {
		if err := s.listenTCP(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) listenTCP() (err error) {
	c := s.config
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return fmt.Errorf("admin.listen: %s is not loopback: the admin API is for this host alone", c.Listen)
	}
	switch {
	case c.TokenFile != "":
		s.token, err = readToken(c.TokenFile)
	case c.Socket != "":
		s.token, err = makeToken(tokenBeside(c.Socket))
	default:
		return errors.New("admin.listen: the token needs a place: set admin.token_file or admin.socket")
	}
	if err != nil {
		return fmt.Errorf("admin.token_file: %w", err)
	}
	if s.tcpAt, err = net.Listen("tcp", c.Listen); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	s.hosts = map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, host: true}
	s.tcp = newServer(s.checkBrowser(s.mux), c.Log)
	return nil
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, 1<<20),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    60 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Addr returns the TCP address that is served, nil if none is.
func (s *Server) Addr() net.Addr {
	if s.tcpAt == nil {
		return nil
	}
	return s.tcpAt.Addr()
}

// Serve answers until ctx ends, and then ends what is under way: a tap that
// somebody follows would never end by itself. It removes the socket and the
// token that New made. Its error is a listener's.
func (s *Server) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	// Whoever follows the tap sees a clean end.
	following, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	serve := func(server *http.Server, l net.Listener) {
		defer wg.Done()
		server.BaseContext = func(net.Listener) context.Context { return following }
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			errs <- fmt.Errorf("admin: %w", err)
		}
	}
	if s.tcp != nil {
		wg.Add(1)
		go serve(s.tcp, s.tcpAt)
	}
	if s.unix != nil {
		wg.Add(1)
		go serve(s.unix, s.unixAt)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	end()
	s.shutdown()
	wg.Wait()
	return err
}

// shutdown gives answers that are being written, such as that to quitquitquit,
// a moment, and then cuts what is left.
func (s *Server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer cancel()
	for _, server := range []*http.Server{s.tcp, s.unix} {
		if server == nil {
			continue
		}
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // it has told its listener already
		}
	}
	s.release()
}

// Close gives back what [New] opened and made, for a Server that is not
// served. After Serve it does nothing.
func (s *Server) Close() error {
	s.release()
	return nil
}

// release gives back what New took, as far as it came.
func (s *Server) release() {
	if s.tcpAt != nil {
		_ = s.tcpAt.Close()
	}
	if s.unixAt != nil {
		_ = s.unixAt.Close()
	}
	if s.token != nil && s.token.made != "" {
		_ = os.Remove(s.token.made)
	}
}
