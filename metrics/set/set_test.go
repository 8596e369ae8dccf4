package set

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"handoff/metrics"
)

func newSet(t *testing.T) (*Set, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	s, err := New(reg, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return s, reg
}

// exercise calls every method once.
func exercise(s *Set) {
	s.Request(metrics.In, "INVITE", metrics.PeerTwilio)
	s.Response(metrics.Out, "INVITE", 200, metrics.PeerTwilio)
	s.Rejected(metrics.RejectSource)
	s.Connections(metrics.PeerWatson, 1)
	s.CertificateExpiry(time.Unix(1_900_000_000, 0))
	s.PeerCertificateExpiry(metrics.PeerWatson, time.Unix(1_700_000_000, 0))
	s.PeerCertificateExpiry(metrics.PeerWatson, time.Unix(1_800_000_000, 0))
	s.WatsonTarget("public.0001.example", true, time.Unix(1, 0))
	s.CallStarted()
	s.CallStarted()
	s.CallSetup("call-1", time.Second)
	s.CallEnded("call-1", metrics.ReasonTransferred, time.Minute)
	s.HeadersHeld(2)
	s.Upgraded(metrics.UpgradeDone)
	s.DescriptorsKept(12)
	s.DescriptorsNotKept(2)
	s.MailboxFull()
	s.JournalLate()
	s.JournalWritten(3, time.Millisecond)
	s.JournalFailed()
	s.JournalDropped()
	s.JournalHealthy(true)
	s.Recovered(metrics.RecoveryGoesOn)
	s.TransferStarted()
	s.TransferStarted()
	s.TransferEnded("call-1", metrics.MethodRefer, metrics.TransferProved, 300*time.Millisecond)
	s.TransferCorrected("call-1", metrics.TransferProved)
	s.TransferContext("call-1", metrics.ContextDelivered)
	s.DeadAir("call-1", 20*time.Millisecond)
	s.Sessions(metrics.PathPortable, 1)
	s.PortsFree(9996)
	s.PortRestShortened()
	s.Packets(metrics.LegA, metrics.In, metrics.PathPortable, 50)
	s.Lost(metrics.LegA, 2)
	s.Jitter(metrics.LegB, .004)
	s.Foreign(metrics.LegB, metrics.ForeignSource, 3)
	s.MOS("call-1", metrics.LegA, 4.4)
	s.ReportedMOS("call-1", metrics.LegA, 4.3)
	s.OneWay("call-1", metrics.LegB, metrics.OneWaySource)
	s.SourceLearnt(metrics.LegA)
}

func TestFamiliesAreThoseOfTheContract(t *testing.T) {
	s, reg := newSet(t)
	exercise(s)
	want := map[string][]string{ // name → labels
		"handoff_build_info":                          {"goversion", "version"},
		"handoff_call_duration_seconds":               nil,
		"handoff_call_setup_seconds":                  nil,
		"handoff_calls_active":                        nil,
		"handoff_calls_total":                         {"reason", "result"},
		"handoff_cdr_dropped_total":                   nil,
		"handoff_cdr_errors_total":                    nil,
		"handoff_cdr_written_total":                   nil,
		"handoff_headers_held_total":                  nil,
		"handoff_journal_dropped_total":               nil,
		"handoff_journal_errors_total":                nil,
		"handoff_journal_healthy":                     nil,
		"handoff_journal_late_total":                  nil,
		"handoff_journal_recovered_total":             {"result"},
		"handoff_upgrades_total":                      {"result"},
		"handoff_descriptors_kept":                    nil,
		"handoff_descriptors_not_kept_total":          nil,
		"handoff_journal_write_seconds":               nil,
		"handoff_journal_written_total":               nil,
		"handoff_log_lost_total":                      nil,
		"handoff_mailbox_full_total":                  nil,
		"handoff_media_port_rest_shortened_total":     nil,
		"handoff_media_ports_free":                    nil,
		"handoff_media_sessions":                      {"path"},
		"handoff_mos":                                 {"leg"},
		"handoff_mos_reported":                        {"leg"},
		"handoff_rtp_one_way_total":                   {"leg", "reason"},
		"handoff_rtp_foreign_packets_total":           {"leg", "reason"},
		"handoff_rtp_jitter_seconds":                  {"leg"},
		"handoff_rtp_lost_total":                      {"leg"},
		"handoff_rtp_packets_total":                   {"direction", "leg", "path"},
		"handoff_rtp_source_learnt_total":             {"leg"},
		"handoff_sip_rejected_total":                  {"reason"},
		"handoff_sip_requests_total":                  {"direction", "method", "peer"},
		"handoff_sip_responses_total":                 {"code", "direction", "method", "peer"},
		"handoff_tls_certificate_expiry_seconds":      nil,
		"handoff_tls_connections":                     {"peer"},
		"handoff_tls_peer_certificate_expiry_seconds": {"peer"},
		"handoff_telemetry_traces_total":              {"result"},
		"handoff_trace_dropped_total":                 nil,
		"handoff_trace_hep_total":                     {"result"},
		"handoff_transfer_context_total":              {"result"},
		"handoff_transfer_dead_air_seconds":           nil,
		"handoff_transfer_seconds":                    {"method"},
		"handoff_transfers_active":                    nil,
		"handoff_transfers_corrected_total":           {"reason", "result"},
		"handoff_transfers_total":                     {"method", "reason", "result"},
		"handoff_watson_target_since_seconds":         {"target"},
		"handoff_watson_target_up":                    {"target"},
		"handoff_webhooks_total":                      {"endpoint", "result"},
	}
	got := families(t, reg)
	for name, labels := range want {
		family, ok := got[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		var names []string
		for _, pair := range family.Metric[0].Label {
			names = append(names, pair.GetName())
		}
		if !slices.Equal(names, labels) {
			t.Errorf("%s has labels %v, want %v", name, names, labels)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && strings.HasPrefix(name, "handoff_") {
			t.Errorf("%s is in no contract", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestClosedLabelsHaveAllTheirSeriesFromTheStart(t *testing.T) {
	_, reg := newSet(t)
	for name, want := range map[string]int{
		"handoff_calls_total":                         len(metrics.Reasons()),
		"handoff_transfers_total":                     len(metrics.Methods()) * len(metrics.TransferReasons()),
		"handoff_transfers_corrected_total":           len(metrics.TransferReasons()),
		"handoff_transfer_seconds":                    len(metrics.Methods()),
		"handoff_transfer_context_total":              len(metrics.Contexts()),
		"handoff_sip_requests_total":                  2 * (len(methods) + 1) * len(metrics.Peers()),
		"handoff_sip_responses_total":                 2 * (len(methods) + 1) * 2, // 200; other codes are no closed list
		"handoff_sip_rejected_total":                  len(metrics.Rejects()),
		"handoff_webhooks_total":                      len(metrics.Webhooks()) * len(metrics.WebhookResults()),
		"handoff_tls_connections":                     len(metrics.Peers()),
		"handoff_tls_peer_certificate_expiry_seconds": 0, // none before one was seen
		"handoff_rtp_packets_total":                   len(metrics.Legs()) * 2 * len(metrics.Paths()),
		"handoff_rtp_lost_total":                      len(metrics.Legs()),
		"handoff_rtp_jitter_seconds":                  len(metrics.Legs()),
		"handoff_rtp_foreign_packets_total":           len(metrics.Legs()) * len(metrics.Foreigns()),
		"handoff_rtp_one_way_total":                   len(metrics.Legs()) * len(metrics.OneWays()),
		"handoff_mos":                                 len(metrics.Legs()),
		"handoff_mos_reported":                        len(metrics.Legs()),
		"handoff_journal_recovered_total":             len(metrics.Recoveries()),
		"handoff_media_sessions":                      len(metrics.Paths()),
		"handoff_upgrades_total":                      len(metrics.Upgrades()),
		"handoff_trace_hep_total":                     len(metrics.Exports()),
		"handoff_telemetry_traces_total":              len(metrics.Exports()),
	} {
		got, err := testutil.GatherAndCount(reg, name)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %d series, want %d", name, got, want)
		}
	}
}

func TestNoSeriesIsAddedByWhatTheNetworkSends(t *testing.T) {
	s, reg := newSet(t)
	for _, method := range []string{"", "invite", "BREW", strings.Repeat("X", 1000)} {
		s.Request(metrics.In, method, metrics.PeerTwilio)
		for _, code := range []int{-1, 0, 99, 299, 666, 700, 1 << 30} {
			s.Response(metrics.In, method, code, metrics.PeerWatson)
		}
	}
	got := families(t, reg)
	if n, want := len(got["handoff_sip_responses_total"].Metric), 2*(len(methods)+1)*2+1; n != want {
		t.Errorf("%d series of responses, want %d", n, want)
	}
	if n, want := len(got["handoff_sip_requests_total"].Metric), 2*(len(methods)+1)*len(metrics.Peers()); n != want {
		t.Errorf("%d series of requests, want %d", n, want)
	}
}

func TestValues(t *testing.T) {
	s, reg := newSet(t)
	exercise(s)
	s.WatsonTarget("public.0001.example", false, time.Unix(2, 0))
	s.Connections(metrics.PeerWatson, -1)
	want := `
# HELP handoff_calls_active Calls between their INVITE and their end.
# TYPE handoff_calls_active gauge
handoff_calls_active 1
# HELP handoff_media_ports_free Port pairs that no call holds, resting ones included.
# TYPE handoff_media_ports_free gauge
handoff_media_ports_free 9996
# HELP handoff_tls_certificate_expiry_seconds When the edge's own certificate expires, in seconds since 1970.
# TYPE handoff_tls_certificate_expiry_seconds gauge
handoff_tls_certificate_expiry_seconds 1.9e+09
# HELP handoff_tls_connections Open TLS connections.
# TYPE handoff_tls_connections gauge
handoff_tls_connections{peer="twilio"} 0
handoff_tls_connections{peer="unknown"} 0
handoff_tls_connections{peer="watson"} 0
# HELP handoff_tls_peer_certificate_expiry_seconds When the certificate that the peer showed on the last connection dialled to it expires, in seconds since 1970.
# TYPE handoff_tls_peer_certificate_expiry_seconds gauge
handoff_tls_peer_certificate_expiry_seconds{peer="watson"} 1.8e+09
# HELP handoff_transfers_active Transfers between Watson's REFER and their outcome.
# TYPE handoff_transfers_active gauge
handoff_transfers_active 1
# HELP handoff_watson_target_up Whether the last that was heard of a Watson target was good; 1 until something is heard.
# TYPE handoff_watson_target_up gauge
handoff_watson_target_up{target="public.0001.example"} 0
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "handoff_calls_active", "handoff_media_ports_free",
		"handoff_tls_certificate_expiry_seconds", "handoff_tls_connections",
		"handoff_tls_peer_certificate_expiry_seconds", "handoff_transfers_active", "handoff_watson_target_up")
	if err != nil {
		t.Error(err)
	}
	for name, labels := range map[string]map[string]string{
		"handoff_calls_total":            {"result": "success", "reason": "transferred"},
		"handoff_transfers_total":        {"method": "refer", "result": "success", "reason": "proved"},
		"handoff_transfer_context_total": {"result": "delivered"},
		"handoff_sip_requests_total":     {"direction": "in", "method": "INVITE", "peer": "twilio"},
		"handoff_sip_responses_total":    {"code": "200", "direction": "out", "method": "INVITE", "peer": "twilio"},
		"handoff_sip_rejected_total":     {"reason": "source"},
	} {
		if got := value(families(t, reg)[name], labels); got != 1 {
			t.Errorf("%s%v is %v, want 1", name, labels, got)
		}
	}
}

// A point on a dashboard leads to a call; a bad second does, and a good one does not.
func TestExemplarsNameTheCall(t *testing.T) {
	s, reg := newSet(t)
	exercise(s)
	s.MOS("call-2", metrics.LegB, 2.1)
	got := families(t, reg)
	calls := map[string]string{} // metric → call of its last exemplar
	for name, family := range got {
		for _, m := range family.Metric {
			all := []*dto.Exemplar{m.GetCounter().GetExemplar()}
			for _, b := range m.GetHistogram().GetBucket() {
				all = append(all, b.Exemplar)
			}
			for _, e := range all {
				if e != nil {
					calls[name] = e.Label[0].GetName() + " " + e.Label[0].GetValue()
				}
			}
		}
	}
	want := map[string]string{
		"handoff_calls_total": "call call-1", "handoff_call_setup_seconds": "call call-1", "handoff_call_duration_seconds": "call call-1",
		"handoff_transfers_total": "call call-1", "handoff_transfer_seconds": "call call-1", "handoff_transfer_context_total": "call call-1",
		"handoff_transfer_dead_air_seconds": "call call-1", "handoff_transfers_corrected_total": "call call-1",
		"handoff_rtp_one_way_total": "call call-1", "handoff_mos": "call call-2",
	}
	if !maps.Equal(calls, want) {
		t.Errorf("got %v\nwant %v", calls, want)
	}
}

func TestHistogramsAreNativeToo(t *testing.T) {
	s, reg := newSet(t)
	exercise(s)
	for name, family := range families(t, reg) {
		if family.GetType() == dto.MetricType_HISTOGRAM && strings.HasPrefix(name, namespace) {
			if h := family.Metric[0].GetHistogram(); h.Schema == nil || len(h.Bucket) == 0 {
				t.Errorf("%s: schema %v and %d classic buckets", name, h.Schema, len(h.Bucket))
			}
		}
	}
}

func TestMetricsAreClean(t *testing.T) {
	s, reg := newSet(t)
	exercise(s)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestTwoEdgesNeedTwoRegistries(t *testing.T) {
	_, reg := newSet(t)
	if _, err := New(reg, "v1.2.3"); err == nil {
		t.Error("the same registry took two sets")
	}
	newSet(t)
}

func families(t *testing.T, reg *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, family := range all {
		byName[family.GetName()] = family
	}
	return byName
}

// value returns the counter with these labels, -1 if there is none.
func value(family *dto.MetricFamily, labels map[string]string) float64 {
	for _, m := range family.Metric {
		same := true
		for _, pair := range m.Label {
			same = same && labels[pair.GetName()] == pair.GetValue()
		}
		if same {
			return m.GetCounter().GetValue()
		}
	}
	return -1
}
