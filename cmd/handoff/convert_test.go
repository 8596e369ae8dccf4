package main

import (
	"testing"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/leg"
	"handoff/sip/simulator"
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
