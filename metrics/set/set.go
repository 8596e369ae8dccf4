// Package set counts what the edge does, as Prometheus metrics.
//
// It owns the names, help texts, labels and buckets of every handoff_ metric. It does not decide
// when something is counted: the packages that know declare small Observer interfaces, which *Set
// satisfies. Its methods may be called from any goroutine and do not block. It implements no RFC.
//
// Labels come from the closed vocabularies of package metrics, so that every series of them exists
// from the start and a rate has no gap at its first event. Never is a Call-ID, number or address a label; which call it
// was stands in the exemplars (OpenMetrics).
package set

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Set is the metrics of one edge.
type Set struct {
	sip         sipMetrics
	calls       callMetrics
	transfers   transferMetrics
	media       mediaMetrics
	journal     journalMetrics
	cdr         cdrMetrics
	webhooks    *prometheus.CounterVec
	upgrades    *prometheus.CounterVec
	traces      prometheus.Counter
	hep         *prometheus.CounterVec
	telemetry   *prometheus.CounterVec
	descriptors descriptorMetrics
	logLost     prometheus.Counter
}

// New registers all metrics, with those of the Go runtime and the process, in reg.
func New(reg prometheus.Registerer, version string) (*Set, error) {
	f := &factory{reg: reg}
	s := &Set{
		sip:         newSIPMetrics(f),
		calls:       newCallMetrics(f),
		transfers:   newTransferMetrics(f),
		media:       newMediaMetrics(f),
		journal:     newJournalMetrics(f),
		cdr:         newCDRMetrics(f),
		webhooks:    newWebhookMetrics(f),
		upgrades:    newUpgradeMetrics(f),
		traces:      newTraceMetrics(f),
		hep:         newExportMetrics(f, "trace_hep_total", "Packets for the Homer collector: SIP messages and RTCP reports."),
		telemetry:   newExportMetrics(f, "telemetry_traces_total", "Calls that ended, as traces for the OpenTelemetry collector."),
		descriptors: newDescriptorMetrics(f),
		logLost:     f.counter("log_lost_total", "Lines of the log that are lost: nobody reads it."),
	}
	f.gauges("build_info", "Always 1; the labels tell what runs.", "version", "goversion").
		WithLabelValues(version, runtime.Version()).Set(1)
	f.register(collectors.NewGoCollector())
	f.register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if f.err != nil {
		return nil, f.err
	}
	return s, nil
}

const namespace = "handoff"

// factory makes and registers metrics and keeps what went wrong.
type factory struct {
	reg prometheus.Registerer
	err error
}

func (f *factory) register(c prometheus.Collector) {
	f.err = errors.Join(f.err, f.reg.Register(c))
}

func (f *factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	f.register(c)
	return c
}

func (f *factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.register(c)
	return c
}

func (f *factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	f.register(g)
	return g
}

func (f *factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.register(g)
	return g
}

func (f *factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(histogramOpts(name, help, buckets))
	f.register(h)
	return h
}

func (f *factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(histogramOpts(name, help, buckets), labels)
	f.register(h)
	return h
}

// histogramOpts make a histogram that is classic, with these buckets, and native for who scrapes that: buckets at most a
// tenth wider than the one before, of which there are at most 100 until they are made coarser.
func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// exemplar names a call beside a value, so that a point on a dashboard leads to its log, CDR and trace. A call's name is
// no label: there are as many as calls.
func exemplar(call string) prometheus.Labels { return prometheus.Labels{"call": call} }

func increase(c prometheus.Counter, call string) {
	c.(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar(call))
}

func observe(o prometheus.Observer, value float64, call string) {
	o.(prometheus.ExemplarObserver).ObserveWithExemplar(value, exemplar(call))
}

// LogLost counts a line of the log for which there was no room.
func (s *Set) LogLost() { s.logLost.Inc() }
