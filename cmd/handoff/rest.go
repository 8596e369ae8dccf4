package main

import (
	"context"
	"errors"

	"handoff/configs"
	"handoff/metrics"
	"handoff/refer"
	"handoff/refer/rest"
	"handoff/sip/b2bua/transfer"

	"go.uber.org/zap"
)

// newUpdater returns the way to Twilio's API, nil when that is not configured.
func newUpdater(cfg *configs.Config, log *zap.Logger) (transfer.Updater, error) {
	c := cfg.Twilio.REST
	if c.AccountSID == "" {
		return nil, nil
	}
	secret, err := configs.Secret(c.AuthTokenFile)
	if err != nil {
		return nil, err
	}
	roots, err := configs.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	client, err := rest.New(rest.Config{
		AccountSID: c.AccountSID, Username: c.APIKey, Secret: secret, BaseURL: c.BaseURL, Roots: roots,
	}, rest.Deps{Log: log})
	if err != nil {
		return nil, err
	}
	return &updater{client, log}, nil
}

// updater tells the transfer machine, in its words, what the API client has found out.
type updater struct {
	client *rest.Client
	log    *zap.Logger
}

func (u *updater) Update(ctx context.Context, parent, child, twiml string) refer.Event {
	const method = metrics.MethodREST
	parent, err := u.parent(ctx, parent, child)
	if err != nil {
		if rejected := (rest.Rejected{}); errors.As(err, &rejected) {
			return refer.Rejected{Method: method, Code: rejected.Status}
		}
		return refer.Unsent{Method: method} // nothing but a question has left
	}
	outcome := u.client.Update(ctx, parent, twiml)
	if silent, lost := outcome.(rest.Silent); lost {
		u.log.Warn("call update unanswered", zap.Error(silent.Err))
		outcome = u.client.Resolve(ctx, parent, child)
	}
	return u.event(outcome)
}

func (u *updater) Resolve(ctx context.Context, parent, child string) refer.Event {
	parent, err := u.parent(ctx, parent, child)
	if err != nil {
		return refer.Silent{Method: metrics.MethodREST}
	}
	return u.event(u.client.Resolve(ctx, parent, child))
}

// parent looks the caller's own call up unless it is known.
func (u *updater) parent(ctx context.Context, parent, child string) (string, error) {
	if parent != "" {
		return parent, nil
	}
	parent, err := u.client.Parent(ctx, child)
	if err != nil {
		u.log.Warn("parent call not found", zap.String("twilio_call_sid", child), zap.Error(err))
	}
	return parent, err
}

// event tells an outcome in the machine's words.
func (u *updater) event(outcome rest.Outcome) refer.Event {
	const method = metrics.MethodREST
	switch outcome := outcome.(type) {
	case rest.Accepted:
		return refer.Accepted{Method: method}
	case rest.Rejected:
		u.log.Warn("call update rejected", zap.Int("status", outcome.Status), zap.Int("code", outcome.Code), zap.String("message", outcome.Message))
		return refer.Rejected{Method: method, Code: outcome.Status}
	case rest.Unsent:
		u.log.Warn("call update not sent", zap.Error(outcome.Err))
		return refer.Unsent{Method: method}
	case rest.Undone:
		u.log.Warn("call update undone: leg A is still in progress at Twilio")
		return refer.Disproved{Method: method}
	case rest.Silent:
		u.log.Warn("call update unresolved", zap.Error(outcome.Err))
	}
	return refer.Silent{Method: method}
}
