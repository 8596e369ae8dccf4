package main

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/leg"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
)

func TestOnlyWatsonSeesTheClientCertificate(t *testing.T) {
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.WriteIssued(t.TempDir(), "client", "edge.example.com")
	if err != nil {
		t.Fatal(err)
	}
	cfg := configs.Default()
	none, err := clientCertificates(cfg, zap.NewNop())
	if err != nil || len(none) != 0 {
		t.Fatalf("without configuration %v, %v", none, err)
	}
	cfg.Watson.TLS = configs.KeyPair{Certificate: cert, Key: key}
	w := &wire{}
	if w.client, err = clientCertificates(cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	for _, peer := range metrics.Peers() {
		if got, want := w.hop(leg.Destination{Peer: peer}).Certificate != nil, peer == metrics.PeerWatson; got != want {
			t.Errorf("%s sees it: %t", peer, got)
		}
	}
	cfg.Watson.TLS.Key += ".none"
	if _, err := clientCertificates(cfg, zap.NewNop()); err == nil {
		t.Error("a missing file did not stop the start")
	}
}

// What the operator needs is in the line of the failed target, and the caller's side hears nothing of it.
func TestLogTellsWhyATargetWasNotTrusted(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	sc := newScene(t, stageConfig{Log: zap.New(core), Set: func(c *configs.Config) { c.Watson.ServerName = "voip.example.com" }})
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	sc.over(caller, nil)
	sc.clean() // Watson's name would be a violation
	var lines []string
	for _, entry := range logs.All() {
		lines = append(lines, fmt.Sprint(entry.Message, ": ", entry.ContextMap()["error"]))
	}
	want := "certificate is for " + zoneName + ", want voip.example.com"
	if all := strings.Join(lines, "\n"); !strings.Contains(all, want) {
		t.Errorf("no %q in\n%s", want, all)
	}
}

func TestExpiryOfWatsonsCertificateIsShown(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	caller, assistant := sc.place(twilio.Options{})
	if page := sc.get("/metrics"); !strings.Contains(page, `handoff_tls_peer_certificate_expiry_seconds{peer="watson"} `) {
		t.Error("no expiry of Watson's certificate")
	}
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
}
