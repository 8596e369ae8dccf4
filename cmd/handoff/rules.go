package main

import (
	"go.uber.org/zap"

	"handoff/configs"
	"handoff/media/tone"
	"handoff/refer"
	"handoff/sip/b2bua"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// rules are what a running edge can change: everything that calls begin under.
type rules struct {
	trunks trunk.Config
	byName bool // what Watson's targets resolve to speaks for Watson
	policy refer.Policy
	engine b2bua.Config
	// with has no Health: that is the edge's.
	with b2bua.Changeable
}

// newRules reads a configuration and the files that it names. clear is edgeDeps.Clear.
func newRules(cfg *configs.Config, clear []uri.URI, w *wire, log *zap.Logger) (r rules, err error) {
	if r.trunks, err = trunkConfig(cfg); err != nil {
		return r, err
	}
	if clear != nil {
		r.trunks.Targets, r.trunks.Clear = clear, true
	}
	r.byName = cfg.Watson.SourcesDefault()
	if r.policy, err = refer.NewPolicy(cfg.Transfer.Intercept); err != nil {
		return r, err
	}
	r.policy.Pass = cfg.Transfer.Unmatched == configs.UnmatchedPass
	if r.with.Updater, err = newUpdater(cfg, log); err != nil {
		return r, err
	}
	watson, err := credentials(append(hostsOf(r.trunks.Targets...), r.trunks.RedirectHosts...), cfg.Watson.Auth.Realm, cfg.Watson.Auth.Username, cfg.Watson.Auth.PasswordFile)
	if err != nil {
		return r, err
	}
	domain, err := sipDomain(cfg)
	if err != nil {
		return r, err
	}
	if r.with.Hold, err = clip(cfg.Transfer.HoldAudio, tone.Comfort); err != nil {
		return r, err
	}
	if r.with.Failure, err = clip(cfg.Transfer.FailureAudio, tone.Reorder); err != nil {
		return r, err
	}
	r.engine = b2bua.Config{
		Trunk:      r.trunks,
		Contact:    w.contact,
		TwilioSRTP: policies[cfg.Twilio.SRTP],
		WatsonSRTP: policies[cfg.Watson.SRTP],

		WatsonCredentials:     watson,
		WatsonSessionInterval: cfg.Watson.SessionExpires,
		TerminateSRTP:         cfg.Media.SRTPKeys == configs.SRTPKeysTerminate,
		Domain:                domain,
		Transfer: b2bua.TransferConfig{
			Policy:       r.policy,
			Carry:        carry(cfg),
			Methods:      cfg.Transfer.Methods,
			Timeout:      cfg.Transfer.Timeout,
			Total:        cfg.Transfer.Total,
			AfterSilence: cfg.Transfer.AfterSilence == configs.AfterSilenceNext,
			HangupHeader: cfg.Transfer.HangupHeader,
		},
		OptionsEvery: cfg.SIP.Keepalive.Options,
		MediaTimeout: cfg.Media.Timeout,
		MaxDuration:  cfg.Limits.Duration,
		Limits: b2bua.Limits{
			Calls: cfg.Limits.Calls, InvitesPerSecond: cfg.Limits.InvitesPerSecond, PerSource: cfg.Limits.PerSource, SDP: cfg.Limits.SDPBytes,
		},
	}
	return r, nil
}
