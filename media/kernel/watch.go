//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// settle is how long changes of the network are collected before they are looked at.
	settle = 50 * time.Millisecond
	// unhurried is how many times as long as looking takes there is a pause behind it, so that a
	// restless network costs a tenth of a core at most.
	unhurried = 9
	// refreshes is how often a deadline is pushed while it runs.
	refreshes = 30
)

// watch keeps the slots alive, and right when the network changes.
func (p *Path) watch() error {
	groups := []uint{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	}
	if p.cfg.Hook == HookXDP { // tc leaves neighbours to the kernel
		groups = append(groups, unix.RTNLGRP_NEIGH)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, func() error { socket.Close(); return nil })
	changed := make(chan struct{}, 1)
	p.background.Go(func() { p.hear(socket, changed) }) // ends when the socket is closed
	p.background.Go(func() { p.tend(changed) })         // ends when p.stop is closed
	return nil
}

// hear tells of every message, whatever it says: what matters is that something changed. So it does of
// every error, for what was not read (ENOBUFS) has changed too.
func (p *Path) hear(socket *nl.NetlinkSocket, changed chan<- struct{}) {
	for {
		_, _, err := socket.Receive()
		select {
		case <-p.stop:
			return
		default:
		}
		select {
		case changed <- struct{}{}:
		default: // it is yet to be looked at
		}
		if err != nil {
			p.cfg.Log.Warn("changes of the network were missed", zap.Error(err))
			select {
			case <-p.stop:
			case <-time.After(settle): // so that an error that stays does not spin
			}
		}
	}
}

func (p *Path) tend(changed <-chan struct{}) {
	alive := time.NewTicker(p.cfg.Deadline / refreshes)
	defer alive.Stop()
	pause := settle
	for {
		select {
		case <-p.stop:
			return
		case <-alive.C:
			p.refresh()
		case <-changed:
			select {
			case <-p.stop:
				return
			case <-time.After(pause):
			}
			began := time.Now()
			p.network.forget()
			p.reroute()
			pause = max(settle, unhurried*time.Since(began))
		}
	}
}

func (p *Path) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	deadline := p.deadline()
	for port := range p.started {
		p.slot(port).refresh(deadline)
	}
}

// reroute sends what is under way by the routes of now. A slot whose way has none any more is off:
// its packets go up, and its owner may try to start it again.
func (p *Path) reroute() {
	for port, way := range p.ways() {
		h, err := p.network.hopOf(way, p.has)
		if err != nil {
			p.cfg.Log.Warn("media leaves the kernel", zap.Uint16("port", port), zap.Error(err))
		}
		p.move(port, way, h, err == nil)
	}
}

func (p *Path) ways() map[uint16]Way {
	p.mu.Lock()
	defer p.mu.Unlock()
	ways := make(map[uint16]Way, len(p.started))
	for port, own := range p.started {
		ways[port] = own.way
	}
	return ways
}

// move gives a slot another hop, if it is still on the same way. Between off and on packets go up.
func (p *Path) move(port uint16, way Way, h hop, usable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.started[port]
	if p.closed || own == nil || own.way != way || usable && own.hop == h {
		return
	}
	s := p.slot(port)
	if !s.turnOff() || !usable {
		return // off it stays: userspace has the stream
	}
	s.setHop(h)
	own.hop = h
	s.turnOn()
	p.cfg.Log.Debug("media takes another route", zap.Uint16("port", port), zap.String("hop", fmt.Sprint(h.next)))
}
