// Package otel tells an OpenTelemetry collector of each call that ended, as a trace.
//
// It owns how a cdr.Record becomes spans, the queue before the collector and the requests to it: OTLP over HTTP, in protobuf
// (the OpenTelemetry Protocol Specification 1.x). It keeps nothing of a call while that goes on and takes no context from outside: a
// trace begins with the call, whatever an INVITE says. Numbers of callers are in no span, a session key is there as the hash
// that the log has. Write may be called from any goroutine and never blocks: what finds no room is dropped and counted.
package otel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/spool"
)

// Config tells where the collector is.
type Config struct {
	// Endpoint is its URL, below which it takes traces at /v1/traces.
	Endpoint string
	// Headers go with each request, such as the collector's key.
	Headers map[string]string
	// Roots may sign for it; nil: the system's.
	Roots *x509.CertPool
	// Node and Version are this edge's.
	Node, Version string
}

// Observer counts calls. Its methods do not block.
type Observer interface {
	Telemetry(metrics.Export)
}

// Deps are the Exporter's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
}

const (
	// room is how many calls wait for the collector, and batch how many go out in one request.
	room, batch = 2048, 64
	// gatherTime is how long the first of a batch waits for others.
	gatherTime = time.Second
	// requestTime bounds a request, tries is how often it is made, and waitTime is between two unless the collector says
	// how long, up to maxWait.
	requestTime = 5 * time.Second
	tries       = 3
	waitTime    = time.Second
	maxWait     = 10 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 10
)

// Exporter sends to one collector.
type Exporter struct {
	cfg    Config
	deps   Deps
	client *http.Client
	calls  *spool.Spool[[]*tracepb.Span] // the spans of one each

	failing bool // owned by run
}

// New returns an Exporter; that the collector can't be reached is found out later and refuses nothing.
func New(cfg Config, deps Deps) *Exporter {
	e := &Exporter{
		cfg: cfg, deps: deps, calls: spool.New[[]*tracepb.Span](room),
		client: &http.Client{
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cfg.Roots}, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for the collector alone
		},
	}
	e.calls.Start(e.run)
	return e
}

// Write takes a call that ended.
func (e *Exporter) Write(r cdr.Record) {
	if !e.calls.Put(Spans(r)) {
		e.deps.Observer.Telemetry(metrics.ExportDropped)
	}
}

// Close sends what waits until ctx is over, and counts the rest as failed.
func (e *Exporter) Close(ctx context.Context) {
	e.calls.Close(ctx)
	<-e.calls.Done() // a request ends when nobody waits for it
	e.client.CloseIdleConnections()
}

func (e *Exporter) run() {
	for first := range e.calls.Queue() {
		e.export(e.gather(first))
	}
}

// gather adds to a call those that end soon after it.
func (e *Exporter) gather(first []*tracepb.Span) (calls int, all []*tracepb.Span) {
	calls, all = 1, first
	enough := time.NewTimer(gatherTime)
	defer enough.Stop()
	ending := e.calls.Ending().Done()
	for calls < batch {
		select {
		case spans, open := <-e.calls.Queue():
			if !open {
				return calls, all
			}
			calls, all = calls+1, append(all, spans...)
		case <-enough.C:
			return calls, all
		case <-ending:
			ending = nil // the queue is closed, or about to be: take what is there
		}
	}
	return calls, all
}

// export sends calls and counts what became of them.
func (e *Exporter) export(calls int, spans []*tracepb.Span) {
	body, err := proto.Marshal(request(e.cfg, spans))
	if err == nil {
		err = e.send(body)
	}
	became := metrics.ExportSent
	if err != nil {
		became = metrics.ExportFailed
	}
	for range calls {
		e.deps.Observer.Telemetry(became)
	}
	switch {
	case err != nil && !e.failing:
		e.deps.Log.Warn("traces are not sent", zap.String("endpoint", e.cfg.Endpoint), zap.Error(err))
	case err == nil && e.failing:
		e.deps.Log.Info("traces are sent again", zap.String("endpoint", e.cfg.Endpoint))
	}
	e.failing = err != nil
}

// send makes a request, and once more where that may help.
func (e *Exporter) send(body []byte) error {
	for try := 1; ; try++ {
		wait, err := e.post(body)
		if err == nil || wait == 0 || try == tries || e.calls.Ending().Err() != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-e.calls.Ending().Done():
		}
	}
}

// errRefused is an answer other than 2xx.
var errRefused = errors.New("the collector answers")

// post makes a request; behind an error it tells when another may help, 0 if none will.
func (e *Exporter) post(body []byte) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(e.calls.Over(), requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(e.cfg.Endpoint, "/")+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for name, value := range e.cfg.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "handoff")
	res, err := e.client.Do(req)
	if err != nil {
		return waitTime, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection can be used again
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // those that OTLP allows to try again
		wait = waitTime
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
			wait = min(time.Duration(seconds)*time.Second, maxWait)
		}
	}
	if res.StatusCode/100 != 2 {
		return wait, fmt.Errorf("%w %s", errRefused, res.Status)
	}
	return 0, nil
}
