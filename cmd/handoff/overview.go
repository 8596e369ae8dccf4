package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/control"
)

// overview tells the edge on one page, out of what is measured anyway and what /readyz knows.
func (e *edge) overview(from prometheus.Gatherer, started time.Time) control.Overview {
	cfg := e.configuration()
	o := control.Overview{
		Node: cfg.Node, Version: buildVersion(), Started: started.UTC(), Calls: e.engine.Calls(), Limit: cfg.Limits.Calls,
		Targets: []control.Target{}, Flows: []control.Flows{}, Certificates: []control.Certificate{}, Paths: []control.Path{},
	}
	err := e.readiness()
	if o.Ready = err == nil; err != nil {
		o.Why = err.Error()
	}
	for _, s := range e.prober.Load().States() {
		o.Targets = append(o.Targets, control.Target{Target: s.Name, Up: s.Up, Since: s.Since.UTC(), Error: s.Why})
	}
	all := gathered(from)
	for _, peer := range metrics.Peers() {
		name := peer.String()
		if n := int(all.value("handoff_tls_connections", name)); n > 0 || peer != metrics.PeerUnknown {
			o.Flows = append(o.Flows, control.Flows{Peer: name, Connections: n})
		}
		if at := all.value("handoff_tls_peer_certificate_expiry_seconds", name); at != 0 {
			o.Certificates = append(o.Certificates, control.Certificate{Whose: name, Name: certificateName(cfg, peer), Expires: time.Unix(int64(at), 0).UTC()})
		}
	}
	if at := all.value("handoff_tls_certificate_expiry_seconds"); at != 0 {
		ours := control.Certificate{Whose: "ours", Name: cfg.SIP.Public, Expires: time.Unix(int64(at), 0).UTC()}
		o.Certificates = append([]control.Certificate{ours}, o.Certificates...)
	}
	for _, path := range metrics.Paths() {
		o.Paths = append(o.Paths, control.Path{Path: path.String(), Sessions: int(all.value("handoff_media_sessions", path.String()))})
	}
	o.PortsFree = int(all.value("handoff_media_ports_free"))
	o.Rejected = all.counts("handoff_sip_rejected_total")
	o.Transfers = all.counts("handoff_transfers_total")
	o.Ended = all.counts("handoff_calls_total")
	return o
}

// certificateName is the name that a peer's certificate was wanted to have, as far as that is one.
func certificateName(cfg *configs.Config, peer metrics.Peer) string {
	if peer == metrics.PeerWatson {
		return cfg.Watson.ServerName
	}
	return ""
}

// series are what was gathered, by name.
type series map[string][]gauged

// gauged is one series: its labels by name, and in the order of these their values.
type gauged struct {
	labels map[string]string
	values []string
	value  float64
}

func gathered(from prometheus.Gatherer) series {
	families, _ := from.Gather() // what could not be gathered is not told of
	all := make(series, len(families))
	for _, f := range families {
		for _, m := range f.GetMetric() {
			one := gauged{labels: make(map[string]string), value: m.GetGauge().GetValue() + m.GetCounter().GetValue()}
			for _, l := range m.GetLabel() {
				one.labels[l.GetName()] = l.GetValue()
				one.values = append(one.values, l.GetValue())
			}
			all[f.GetName()] = append(all[f.GetName()], one)
		}
	}
	return all
}

// value is that of the series with these label values, 0 for none.
func (s series) value(name string, labels ...string) float64 {
	for _, m := range s[name] {
		if slices.Equal(m.values, labels) {
			return m.value
		}
	}
	return 0
}

// counts are those above zero, the most frequent first.
func (s series) counts(name string) []control.Count {
	all := []control.Count{}
	for _, m := range s[name] {
		if m.value > 0 {
			all = append(all, control.Count{Method: m.labels["method"], Result: m.labels["result"], Reason: m.labels["reason"], Count: int(m.value)})
		}
	}
	slices.SortStableFunc(all, func(a, b control.Count) int { return cmp.Compare(b.Count, a.Count) })
	return all
}
