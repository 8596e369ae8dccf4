package ops

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// gate is a listener that can be shut for a while: what comes meanwhile waits in the system, for whoever
// listens at the same socket or until it is opened again.
type gate struct {
	*net.TCPListener

	mu      sync.Mutex
	way     chan struct{} // closed while the gate is open
	closing bool
}

func openGate(cfg Config) (*gate, error) {
	ln, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	g := &gate{TCPListener: ln, way: make(chan struct{})}
	if !cfg.Waits {
		g.open()
	}
	return g, nil
}

func listen(cfg Config) (*net.TCPListener, error) {
	if cfg.Inherited == 0 {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(cfg.Listen))
	}
	file := os.NewFile(uintptr(cfg.Inherited), "http")
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("inherited: %w", err)
	}
	if tcp, ok := ln.(*net.TCPListener); ok {
		return tcp, nil
	}
	return nil, errors.Join(errors.New("what was inherited is no TCP socket"), ln.Close())
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		way := g.way
		g.mu.Unlock()
		<-way // open, or closed for good
		conn, err := g.TCPListener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
	}
}

// shut makes the gate wait; whoever is in Accept just then gets no connection more.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.way:
	default:
		return // it is shut
	}
	if !g.closing {
		g.way = make(chan struct{})
		_ = g.SetDeadline(time.Unix(1, 0))
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.way:
	default:
		_ = g.SetDeadline(time.Time{})
		close(g.way)
	}
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	err := g.TCPListener.Close()
	g.open() // who waits learns of it
	return err
}

func (g *gate) lend(give func(descriptor int) error) error {
	raw, err := g.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = give(int(fd)) })
	return errors.Join(err, failed)
}
