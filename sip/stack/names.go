package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// freshWithin is how long an answer is waited for when an older one could serve.
	freshWithin = time.Second
	// maxNames bounds what is remembered; a configuration has a handful.
	maxNames = 256
)

// names finds addresses, and knows the last good answer for when the name servers are dead: a host that
// was there an hour ago is most likely there. Every dial asks anew, so that a change is seen at once.
type names struct {
	resolver Resolver // nil: the system's
	timeout  time.Duration
	log      *zap.Logger

	mu   sync.Mutex
	good map[string][]netip.Addr
}

// lookup blocks; it is never called by the loop of a call.
func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	var resolver Resolver = net.DefaultResolver
	if n.resolver != nil {
		resolver = n.resolver
	}
	known, timeout := n.known(host), n.timeout
	if known != nil {
		timeout = min(timeout, freshWithin)
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addrs, err := resolver.LookupNetIP(asking, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	switch {
	case err == nil:
		addrs = addrs[:min(len(addrs), maxAddrs)]
		n.keep(host, addrs)
		return addrs, nil
	case known != nil && ctx.Err() == nil:
		n.log.Warn("name not resolved, the last good answer serves", zap.String("host", host), zap.Error(err))
		return known, nil
	}
	return nil, err
}

func (n *names) known(host string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.good[host]
}

func (n *names) keep(host string, addrs []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.good[host]; there || len(n.good) < maxNames {
		n.good[host] = slices.Clone(addrs)
	}
}
