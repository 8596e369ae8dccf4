package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
)

const (
	// maxAddrs bounds how many addresses of one target are tried, and how many SRV records of it are looked at.
	maxAddrs = 8
	// restWithin is how long an answer that could be done without is waited for.
	restWithin = time.Second
)

// services are what SRV records of a transport are asked for (RFC 3263 §4.1). NAPTR is not asked: the transport is always given, by the
// scheme or the parameter, and without either it is UDP.
var services = [...]question{UDP: {service: "sip", proto: "udp"}, TCP: {service: "sip", proto: "tcp"}, TLS: {service: "sips", proto: "tcp"}}

// LookUp looks hops up in the background, so that the first request to each does not wait for a slow name server, and a good answer is
// known should it die. It does not block.
func (s *Stack) LookUp(hops ...Hop) {
	for _, h := range hops {
		t, err := h.target()
		if err != nil {
			continue
		}
		s.names.expect(t)
		s.spawn(func() { // ends within the timeouts of names, or when Close cancels the context
			if _, err := s.names.locate(t); err != nil && s.ctx.Err() == nil {
				s.deps.Log.Warn("name not resolved yet", zap.String("host", t.host), zap.Error(err))
			}
		})
	}
}

// Found tells whether one of the hops of a peer that LookUp was given is at an address, by what the name servers said last. It asks
// nobody.
func (s *Stack) Found(peer metrics.Peer, at netip.Addr) bool {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	for _, t := range s.names.expected {
		if t.peer == peer && s.names.isAtLocked(t, at.Unmap()) {
			return true
		}
	}
	return false
}

func (n *names) expect(t target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.expected) < maxNames {
		n.expected = append(n.expected, t)
	}
}

func (n *names) isAtLocked(t target, at netip.Addr) bool {
	if ip, ok := t.literal(); ok {
		return ip == at
	}
	srv := services[t.transport]
	srv.host = t.host
	hosts := []string{t.host}
	if records := n.good[srv].records; t.service && len(records) > 0 {
		hosts = nil
		for _, r := range records {
			hosts = append(hosts, r.Target)
		}
	}
	return slices.ContainsFunc(hosts, func(host string) bool { return slices.Contains(n.good[question{host: host}].addrs, at) })
}

// locate returns where a target is, the best address first (RFC 3263 §4.2): a host that is an address there, one with a port at its
// addresses, any other where its SRV records say or, without such, at its addresses and the transport's port. It blocks; the loop of a
// call never gets here.
func (n *names) locate(t target) ([]netip.AddrPort, error) {
	if ip, ok := t.literal(); ok {
		return []netip.AddrPort{netip.AddrPortFrom(ip, t.port)}, nil
	}
	plain := n.ask(question{host: t.host})
	if !t.service {
		own, err := n.await(plain, n.timeout)
		return at(t.port, own.addrs), err
	}
	// Both are asked at once: most hosts have no SRV records, and some name servers never say so.
	what := services[t.transport]
	what.host = t.host
	until := time.Now().Add(n.timeout)
	srv := n.ask(what)
	found, err := n.await(srv, n.patience(srv, plain))
	if len(found.records) > 0 {
		return n.follow(found.records)
	}
	own, ownErr := n.await(plain, time.Until(until))
	if err != nil && ownErr == nil {
		n.log.Info("SRV records not resolved, the host's addresses serve", zap.Stringer("name", what), zap.Error(err))
	}
	return at(t.port, own.addrs), ownErr
}

// patience is how long SRV records that nobody knows yet are waited for: as for any name, but not much longer than for addresses that can
// serve instead. It waits until one of both is answered.
func (n *names) patience(srv, plain *query) time.Duration {
	if _, known := n.known(srv.question); known {
		return 0 // await knows better
	}
	if _, known := n.known(plain.question); known {
		return restWithin
	}
	timer := time.NewTimer(n.timeout)
	defer timer.Stop()
	select {
	case <-srv.done:
	case <-plain.done:
		if plain.err == nil {
			return restWithin
		}
		return n.timeout - time.Since(plain.began)
	case <-timer.C:
	case <-n.ctx.Done():
	}
	return 0
}

var errNoService = errors.New("the SRV record says that there is no such service")

// follow looks the hosts of SRV records up, all at once. One that does not resolve is left out.
func (n *names) follow(records []*net.SRV) ([]netip.AddrPort, error) {
	if len(records) == 1 && records[0].Target == "." { // RFC 2782
		return nil, errNoService
	}
	hosts := make([]*query, len(records))
	for i, r := range records {
		hosts[i] = n.ask(question{host: r.Target})
	}
	each := max(1, maxAddrs/len(records)) // a first one with many must not leave the others none
	until := time.Now().Add(restWithin)
	var all []netip.AddrPort
	var failed error
	for i, r := range records {
		found, err := n.await(hosts[i], time.Until(until))
		if err != nil {
			failed = also(failed, fmt.Errorf("%s: %w", r.Target, err))
		}
		for _, addr := range at(r.Port, found.addrs[:min(len(found.addrs), each)]) {
			if !slices.Contains(all, addr) {
				all = append(all, addr)
			}
		}
	}
	if len(all) == 0 {
		return nil, failed
	}
	return all, nil
}

func at(port uint16, addrs []netip.Addr) []netip.AddrPort {
	all := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		all[i] = netip.AddrPortFrom(addr, port)
	}
	return all
}

// also joins errors in one line, which errors.Join does not.
func also(errs, err error) error {
	if errs == nil {
		return err
	}
	return fmt.Errorf("%w; %w", errs, err)
}
