package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	mediaload "handoff/media/load" // SIP has its load, too
	"handoff/media/sdp"
	"handoff/metrics"
)

type loadCmd struct {
	Media loadMediaCmd `cmd:"" help:"Send the media of many calls through a relay of this process, and tell what came back."`
}

type loadMediaCmd struct {
	Path      string        `default:"auto" help:"media.path of the relay."`
	Listen    netip.Addr    `default:"127.0.0.1" help:"Address of the relay, and of the peers."`
	Ports     media.Ports   `default:"10000-19999" placeholder:"FIRST-LAST" help:"media.ports of the relay: four are needed for each call."`
	Calls     int           `default:"100" help:"Calls, each of two legs with 50 packets a second."`
	Duration  time.Duration `default:"10s" help:"How long."`
	Arrival   string        `enum:"bursts,spread" default:"bursts" help:"bursts: what is due comes together each millisecond; spread: at equal distances."`
	SRTP      bool          `name:"srtp" help:"The callers speak SRTP, the others plain RTP."`
	Loss      float64       `default:"0" help:"Percent of packets that get lost on the way to the relay."`
	Duplicate float64       `default:"0" help:"Percent that come twice."`
	Reorder   float64       `default:"0" help:"Percent that come behind the next one."`
	Jitter    time.Duration `default:"0s" help:"Up to how much later than it should a packet comes."`
	Seed      uint64        `default:"1" help:"Decides which packets those are."`
}

// Run is a success if all that got to the relay came back as it was.
func (c loadMediaCmd) Run(std streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	relay, err := media.New(media.Config{Listen: c.Listen, Ports: c.Ports, Path: c.Path}, media.Deps{Log: loadLogger()})
	if err != nil {
		return err
	}
	defer relay.Close()
	var wires [2]mediaload.Wire
	for i := range wires {
		if wires[i], err = mediaload.Listen(netip.AddrPortFrom(c.Listen, 0)); err != nil {
			return err
		}
		defer wires[i].Close()
	}
	cfg := c.config()
	if cfg.Calls, err = bridged(relay, c.Calls, wires[0].Local(), wires[1].Local(), c.SRTP); err != nil {
		return err
	}
	cfg.Every = time.Second
	cfg.Progress = func(n mediaload.Counts) {
		fmt.Fprintf(std.err, "%9d sent %9d received\n", n.Sent, n.Received)
	}
	fmt.Fprintf(std.out, "%d calls for %s, %s, through the %s path\n", c.Calls, c.Duration, cfg.Arrival, relay.Path())
	report, err := mediaload.Run(ctx, cfg, wires[0], wires[1])
	if report != nil {
		if err := report.Write(std.out); err != nil {
			return err
		}
	}
	if err == nil && !intact(report) {
		return errSaid
	}
	return err
}

func (c loadMediaCmd) config() mediaload.Config {
	cfg := mediaload.Config{
		Duration: c.Duration, Seed: c.Seed,
		Impair: mediaload.Impairment{Loss: c.Loss / 100, Duplicate: c.Duplicate / 100, Reorder: c.Reorder / 100, Jitter: c.Jitter},
	}
	if c.Arrival == "spread" {
		cfg.Arrival = mediaload.Spread
	}
	return cfg
}

// intact: what got to the relay came back as it was.
func intact(r *mediaload.Report) bool {
	return r.Received > 0 && r.Lost() == 0 && r.Corrupted == 0 && r.Unsent == 0
}

func loadLogger() *zap.Logger {
	cfg := zap.NewDevelopmentConfig()
	cfg.Level = zap.NewAtomicLevelAt(zap.WarnLevel)
	log, err := cfg.Build()
	if err != nil {
		return zap.NewNop()
	}
	return log
}

// bridged sets up calls between peers at two addresses; with sealed the callers, at a, speak SRTP by keys
// that the others know nothing of.
func bridged(relay *media.Relay, calls int, a, b netip.AddrPort, sealed bool) ([]mediaload.Call, error) {
	all := make([]mediaload.Call, 0, calls)
	for i := range calls {
		s := relay.NewSession(fmt.Sprintf("load-%d", i))
		var ends [2]*media.Endpoint
		var call mediaload.Call
		for j, leg := range []metrics.Leg{metrics.LegA, metrics.LegB} {
			e, err := s.Endpoint(leg)
			if err != nil {
				return nil, fmt.Errorf("call %d of %d: %w", i+1, calls, err)
			}
			at := []netip.AddrPort{a, b}[j]
			remote := media.Remote{RTP: at, RTCP: at, Send: true, Receive: true, Clock: 8000}
			peer := mediaload.Leg{Relay: e.Local().RTP}
			if sealed && leg == metrics.LegA {
				peer = secured(peer, i)
				remote.Suite, remote.RemoteKey, remote.LocalKey = peer.Suite, peer.Own, peer.Told
			}
			if err := e.Set(remote); err != nil {
				return nil, err
			}
			ends[j] = e
			if leg == metrics.LegA {
				call.A = peer
			} else {
				call.B = peer
			}
		}
		s.Bridge(ends[0], ends[1])
		all = append(all, call)
	}
	return all, nil
}

// secured gives a leg the keys of a call.
func secured(leg mediaload.Leg, call int) mediaload.Leg {
	leg.Suite, leg.Own, leg.Told = sdp.SHA80, loadKey(call, 0), loadKey(call, 1)
	return leg
}

// loadKey is a key that anybody can tell: it protects nothing but what load sends.
func loadKey(call int, whose byte) sdp.Key {
	var raw [30]byte // key and salt
	binary.BigEndian.PutUint32(raw[:], uint32(call))
	raw[4] = whose
	key, err := sdp.NewKey(sdp.SHA80, base64.StdEncoding.EncodeToString(raw[:]))
	if err != nil {
		panic(err) // of such a length every text is a key
	}
	return key
}
