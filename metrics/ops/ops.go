// Package ops is the operator's HTTP listener: /metrics, /healthz, /readyz, /debug/pprof, and the
// API and the page that it is given. Other listeners of the edge have the same socket and limits by Serve.
//
// It owns the listening socket, its limits and the two probes. It does not own what is measured
// nor what readiness means: both are given to it. New may be called from any goroutine and
// returns a listener that serves; Close waits until it does not. It implements no RFC but HTTP's,
// through net/http, and bearer tokens (RFC 6750 §2.1). It belongs on a loopback or management address.
package ops

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"
)

// Config is where to listen. Port 0 lets the system choose.
type Config struct {
	Listen netip.AddrPort
	TLS    *tls.Config // nil: plain HTTP
	// Token is what all requests of New's but those to the two probes and the page must show; empty: none need.
	Token string
	// Inherited is the descriptor of a listener that the process before has bound, and that is the server's from
	// then on; 0 for none.
	Inherited int
	// Waits takes no connection until Resume.
	Waits bool
}

// Deps are what the listener shows.
type Deps struct {
	Log      *zap.Logger
	Gatherer prometheus.Gatherer
	// Ready returns nil while the edge takes calls, else why it does not. It is called by any
	// number of goroutines at once, until Close returns, and must not block.
	Ready func() error
	// Details are further lines of /readyz, whatever Ready says; may be nil.
	Details func() []string
	// API serves /api/; it judges methods itself. May be nil.
	API http.Handler
	// Console serves /console and what is below, also to who shows no token: it must hold no data. May be nil.
	Console http.Handler
}

// Server serves until Close.
type Server struct {
	http     *http.Server
	listener net.Listener
	gate     *gate
	idlers   *idlers
	served   chan struct{} // closed when the accept loop has ended
}

const (
	// connections bounds who may be connected at once; the next wait in the kernel's queue.
	connections    = 256
	maxHeaderBytes = 16 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	// writeTimeout does not bound a CPU profile: net/http/pprof extends it by the seconds asked for.
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
)

// New serves the operator.
func New(cfg Config, deps Deps) (*Server, error) {
	return Serve(cfg, ownSite(guarded(cfg.Token, deps, handler(deps))), deps.Log)
}

// Serve opens the socket and serves h within the same limits.
func Serve(cfg Config, h http.Handler, log *zap.Logger) (*Server, error) {
	gate, err := openGate(cfg)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	complaints := stdlog.New(&seldom{zap.NewStdLog(log).Writer(), rate.NewLimiter(1, 10)}, "", 0)
	listener := netutil.LimitListener(newCrowd(gate, complaints), connections)
	if cfg.TLS != nil {
		listener = tls.NewListener(listener, cfg.TLS)
	}
	s := &Server{
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          complaints,
		},
		listener: listener,
		gate:     gate,
		served:   make(chan struct{}),
	}
	s.idlers = &idlers{http: s.http}
	s.http.ConnState = s.idlers.changed
	go s.serve(log) // ends when Close closes the listener
	return s, nil
}

// seldom lets a line a second through: anybody who reaches the listener can make it complain.
type seldom struct {
	io.Writer
	limit *rate.Limiter
}

func (s *seldom) Write(line []byte) (int, error) {
	if !s.limit.Allow() {
		return len(line), nil
	}
	return s.Writer.Write(line)
}

func (s *Server) serve(log *zap.Logger) {
	defer close(s.served)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("HTTP listener ended", zap.Error(err))
	}
}

// Addr returns the address in use.
func (s *Server) Addr() netip.AddrPort {
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Pause takes no new connection until Resume: who connects waits in the system. Connections that stand are
// closed behind their next answer.
func (s *Server) Pause() {
	s.gate.shut()
	s.idlers.pause(true)
}

// Resume goes on.
func (s *Server) Resume() {
	s.idlers.pause(false)
	s.gate.open()
}

// Socket lends give the descriptor of the listener until it returns.
func (s *Server) Socket(give func(descriptor int) error) error { return s.gate.lend(give) }

// Close stops listening and lets the requests that run finish until ctx ends; then it cuts them
// off and returns the reason.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.served
	return err
}
