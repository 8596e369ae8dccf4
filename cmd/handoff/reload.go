package main

import (
	"slices"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/control"
)

// follow lets the edge go on by another configuration, as far as it can. Calls under way keep what they began under. On an
// error nothing has changed.
func (e *edge) follow(next *configs.Config) (control.Reloaded, error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	cfg, changed, stay, err := e.running.Follow(next)
	if err != nil {
		return control.Reloaded{}, err
	}
	now, err := newRules(cfg, e.clear, e.wire, e.log)
	if err != nil {
		return control.Reloaded{}, err
	}
	if e.webhooks != nil {
		hooks, err := e.newHooks(cfg, now.policy)
		if err != nil {
			return control.Reloaded{}, err
		}
		defer e.hooks.Store(&hooks) // with the rest
	}
	if err := now.engine.Trunk.Validate(); err != nil {
		return control.Reloaded{}, err
	}
	if watched := []string{"watson.targets", "watson.health", "watson.tls.server_name"}; slices.ContainsFunc(changed, func(key string) bool { return slices.Contains(watched, key) }) {
		e.watch(cfg, now)
	}
	now.with.Health = health{e.prober.Load()}
	if err := e.engine.Reload(now.engine, now.with); err != nil {
		return control.Reloaded{}, err
	}
	e.wire.admitted.Store(&now)
	e.wire.lookUp(now.trunks, now.engine.Domain)
	if e.level != (zap.AtomicLevel{}) {
		e.level.SetLevel(cfg.Log.Level)
	}
	e.running = cfg
	return control.Reloaded{Changed: changed, Restart: stay}, nil
}
