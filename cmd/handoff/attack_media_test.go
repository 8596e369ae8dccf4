//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// attacksOnMedia come at the media ports.
var attacksOnMedia = []attack{
	{row: "S4", name: "RTP bleed: two sockets spray RTP, RTCP and STUN over the whole range before, during and after calls", play: bleed},
	{row: "S5", name: "injected packets that go on where the call's own are, from outside and from the peers' addresses", play: inject},
	{row: "S5", name: "ICMP errors that are forged, about the packets of a call", play: forgeICMP},
	{row: "S6", name: "forged and replayed SRTP and SRTCP from the true address and port", play: forgeMedia},
	{row: "I4", name: "malformed RTP, RTCP, STUN and DTLS from the true address and port", play: oddMedia},
}

// mediaWorld is a way in which media can pass.
type mediaWorld struct {
	path               configs.MediaPath
	secure, terminated bool
}

func (w mediaWorld) String() string {
	switch {
	case w.terminated:
		return fmt.Sprintf("%s, keys of the edge's own", w.path)
	case w.secure:
		return fmt.Sprintf("%s, keys that pass", w.path)
	}
	return fmt.Sprintf("%s, plain", w.path)
}

// inEachWorld plays on every path that this machine has, with and without SRTP.
func inEachWorld(t *testing.T, play func(*scene, mediaWorld)) (worlds int) {
	paths := []configs.MediaPath{configs.MediaPathPortable}
	if os.Geteuid() == 0 {
		paths = append(paths, configs.MediaPathUserspace, configs.MediaPathKernel)
	} else {
		t.Log("userspace and kernel are not tried: they take root")
	}
	t.Run("in each world", func(t *testing.T) { // returns when all of them are over
		for _, path := range paths {
			for _, w := range []mediaWorld{{path, false, false}, {path, true, false}, {path, true, true}} {
				worlds++
				t.Run(w.String(), func(t *testing.T) {
					if !*attackFull {
						t.Parallel()
					}
					cfg := stageConfig{Domain: true}
					if !w.secure {
						cfg = plain("tcp")
					}
					cfg.Set = both(orNothing(cfg.Set), func(c *configs.Config) {
						c.Media.Path = w.path
						if w.terminated {
							c.Media.SRTPKeys = configs.SRTPKeysTerminate
						}
						if *attackFull { // all of the default range
							c.Media.Ports = configs.PortRange{First: 20000, Last: 29999}
						}
					})
					play(newAttacked(t, cfg), w)
				})
			}
		}
	})
	return worlds
}

func orNothing(f func(*configs.Config)) func(*configs.Config) {
	if f == nil {
		return func(*configs.Config) {}
	}
	return f
}

// rtpOf writes a packet as a stranger may guess it, rtcpOf and stun what else he may try.
func rtpOf(ssrc uint32, sequence uint16) []byte {
	b := make([]byte, 12+160, 12+160+10)
	b[0], b[1] = 0x80, 0
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], uint32(sequence)*160)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func rtcpOf(ssrc uint32) []byte {
	b := make([]byte, 8)
	b[0], b[1], b[3] = 0x80, 201, 1
	binary.BigEndian.PutUint32(b[4:], ssrc)
	return b
}

var stun = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)

// bleed sprays, and counts what comes back and what gets through.
func bleed(t *testing.T) string {
	var sent, heard, refused, calls atomic.Uint64
	worlds := inEachWorld(t, func(sc *scene, w mediaWorld) {
		ports := sc.edge.running.Media.Ports
		at := standing()
		from := []*stranger{newStranger(sc.t, at.Outside), newStranger(sc.t, at.Another)}
		spray := func(s *stranger, round int, stop <-chan struct{}) bool { // once over the range
			for port := int(ports.First); port <= int(ports.Last); port++ {
				to := netip.AddrPortFrom(at.Edge, uint16(port))
				for _, raw := range [][]byte{rtpOf(7, uint16(round)), rtcpOf(7), stun} {
					s.say(raw, to)
				}
				select {
				case <-stop:
					return false
				case <-time.After(500 * time.Microsecond): // no flood: each is to be read
				}
			}
			return true
		}
		over := func() { // the range, by both
			var both sync.WaitGroup
			for _, s := range from {
				both.Go(func() { spray(s, 0, nil) })
			}
			both.Wait()
		}
		over()
		stop := make(chan struct{})
		var spraying sync.WaitGroup
		for _, s := range from {
			spraying.Go(func() { // ends when stopped
				for round := 1; spray(s, round, stop); round++ {
				}
			})
		}
		for range sized(2, 3) {
			caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond})
			phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
			sc.must(hearMore(sc.ctx, phones, sized[uint64](25, 150)))
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.unharmed(w, phones...)
			calls.Add(1)
		}
		close(stop)
		spraying.Wait()
		over()
		for _, s := range from {
			sent.Add(s.sent.Load())
			heard.Add(s.heard.Load())
			refused.Add(s.refused.Load())
			if n := s.refused.Load(); n > 0 && w.path != configs.MediaPathPortable {
				sc.t.Errorf("%d ICMP errors", n)
			}
		}
		sc.clean()
	})
	if n := heard.Load(); n > 0 {
		t.Errorf("%d packets came back", n)
	}
	note := ""
	if refused.Load() > 0 {
		note = "; on the portable path the system answers by ICMP where no call is"
	}
	return fmt.Sprintf("%d packets at %d calls in %d kinds of media path: 0 back, 0 through, 0 of the calls' own lost%s", sent.Load(), calls.Load(), worlds, note)
}

// unharmed fails if phones have heard anything but each other, or not all of that.
func (sc *scene) unharmed(w mediaWorld, phones ...*phone.Phone) {
	sc.t.Helper()
	for i, p := range phones {
		if s := p.Stats(); s.Lost+s.Other+s.Damaged+s.Undecryptable+s.Foreign+s.Malformed+s.BadReports > 0 || len(s.Voices) != 1 {
			sc.t.Errorf("%s: phone %d heard %+v", w, i, s)
		}
	}
}

// dropped is how many packets at a leg's ports the edge says that it has dropped, over all calls that are over.
func (sc *scene) dropped(leg, reason string) (n int) {
	sc.t.Helper()
	line := regexp.MustCompile(`(?m)^handoff_rtp_foreign_packets_total\{leg="` + leg + `",reason="` + reason + `"\} (\S+)$`).FindStringSubmatch(sc.get("/metrics"))
	if line == nil {
		sc.t.Fatalf("%s of leg %s is not counted", reason, leg)
	}
	value, err := strconv.ParseFloat(line[1], 64)
	sc.must(err)
	return int(value)
}

// drops wants at least n to be counted at each leg of a call that is over: which the edge does behind its last word.
func (sc *scene) drops(w mediaWorld, reason string, n int) {
	sc.t.Helper()
	for _, leg := range []string{"a", "b"} {
		sc.until(fmt.Sprintf("%s: at leg %s %d are counted as %s", w, leg, n, reason), func() bool { return sc.dropped(leg, reason) >= n })
	}
}

// follow writes the packet that would come n behind one, with a voice of its own or, of SRTP, rubbish.
func follow(said []byte, n int, secure bool) []byte {
	b := bytes.Clone(said)
	binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])+uint16(n))
	binary.BigEndian.PutUint32(b[4:], binary.BigEndian.Uint32(b[4:])+uint32(160*n))
	for i := 12; secure && i < len(b); i++ {
		b[i] ^= byte(37 * (i + n))
	}
	if !secure && len(b) >= 24 { // what a phone takes for the name of a voice, and its number
		binary.BigEndian.PutUint32(b[16:], 0xdead)
		binary.BigEndian.PutUint32(b[20:], uint32(n))
	}
	return b
}

// inject sends what would pass if its source did not count.
func inject(t *testing.T) string {
	var sent atomic.Uint64
	worlds := inEachWorld(t, func(sc *scene, w mediaWorld) {
		caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond})
		phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
		sc.must(hearMore(sc.ctx, phones, 10))
		var from []*stranger
		here := standing()
		for _, at := range []netip.Addr{here.Outside, here.Twilio, here.Watson} { // the peers' addresses, at another port
			from = append(from, newStranger(sc.t, at))
		}
		for n := range sized(50, 1000) {
			for _, p := range phones {
				rtp, rtcp := p.Far()
				said := p.Said()
				for _, s := range from {
					s.say(follow(said, 1+n%3, w.secure), rtp)
					s.say(said, rtp) // and what the peer has just sent
					s.say(rtcpOf(binary.BigEndian.Uint32(said[8:])), rtcp)
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		sc.must(hearMore(sc.ctx, phones, 10))
		for _, s := range from {
			sent.Add(s.sent.Load())
			if n := s.heard.Load(); n > 0 {
				sc.t.Errorf("%d packets came back", n)
			}
		}
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.unharmed(w, phones...)
		for i, p := range phones {
			if s := p.Stats(); s.Doubled > 0 {
				sc.t.Errorf("%s: phone %d heard %+v", w, i, s)
			}
		}
		sc.drops(w, "source", sized(50, 1000)) // of nine times as many; a full socket is not the edge's
		sc.clean()
	})
	return fmt.Sprintf("%d packets in %d kinds of media path: 0 through, 0 back, 0 of the call's own lost", sent.Load(), worlds)
}

// forgeMedia sends in the peers' names from their own sockets, as who can write their address into his packets does.
func forgeMedia(t *testing.T) string {
	const forgeries, replays, reports = 400, 50, 50
	var passed, worlds atomic.Int64
	inEachWorld(t, func(sc *scene, w mediaWorld) {
		if !w.secure {
			return
		}
		worlds.Add(1)
		caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond, Refer: twilio.Refer{Status: 603}})
		phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
		sc.must(hearMore(sc.ctx, phones, 10))
		for n := range forgeries {
			for _, p := range phones {
				said := p.Said()
				jump := []int{1, 2, 100, 2000, 20000, 32768, 40000, 65000}[n%8] // far ahead, and around the roll-over
				sc.must(p.Send(follow(said, jump, true), false))
				if n < replays {
					sc.must(p.Send(said, false))
				}
				if n < reports {
					report := append(rtcpOf(binary.BigEndian.Uint32(said[8:])), make([]byte, 14)...)
					report[12], report[15] = 0x80, byte(n) // an index, which says that it is encrypted
					sc.must(p.Send(report, true))
				}
			}
			time.Sleep(time.Millisecond)
		}
		sc.must(hearMore(sc.ctx, phones, 25))
		for i, p := range phones {
			s := p.Stats()
			if s.Lost+s.Damaged+s.Other+s.Foreign+s.Malformed > 0 || len(s.Voices) != 1 {
				sc.t.Errorf("%s: phone %d heard %+v", w, i, s)
			}
			if s.Doubled > 0 {
				sc.t.Errorf("%s: phone %d heard %d packets twice", w, i, s.Doubled)
			}
			if w.terminated && s.Undecryptable+s.BadReports > 0 {
				sc.t.Errorf("%s: the edge let through what phone %d heard: %+v", w, i, s)
			}
			if !w.terminated && s.Undecryptable != forgeries+replays {
				sc.t.Errorf("%s: phone %d has rejected %d of %d: %+v", w, i, s.Undecryptable, forgeries+replays, s)
			}
			passed.Add(int64(s.Undecryptable))
		}
		if w.terminated {
			defer sc.drops(w, "auth", forgeries+replays)
		}
		// The edge follows the streams itself from now on, whatever it was told of their numbers.
		sc.twilio.Domain().Receive(twilio.Reception{})
		transferred := make(chan error, 1)
		go func() { // ends with the transfer
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			transferred <- err
		}()
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		sc.must(agent.AwaitAnswer(sc.ctx))
		sc.hear(caller.Phone(), agent.Phone())
		sc.must(<-transferred)
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.clean()
	})
	return fmt.Sprintf("%d forged, %d replayed and %d reports each way in %d kinds of media path: 0 heard, none twice; terminated, none leaves the edge; passed, the endpoint refuses %d; every call lives, and is transferred",
		forgeries, replays, reports, worlds.Load(), passed.Load())
}

// oddMedia sends what is no RTP, or bad RTP, between the packets of a call.
func oddMedia(t *testing.T) string {
	odd := oddDatagrams()
	worlds := inEachWorld(t, func(sc *scene, w mediaWorld) {
		caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond})
		phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
		sc.must(hearMore(sc.ctx, phones, 10))
		for range sized(1, 20) {
			for _, raw := range odd {
				for _, p := range phones {
					sc.must(p.Send(raw, false))
					sc.must(p.Send(raw, true))
				}
				time.Sleep(time.Millisecond)
			}
		}
		sc.must(hearMore(sc.ctx, phones, 25))
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		for i, p := range phones {
			s := p.Stats()
			if s.Lost+s.Damaged+s.Doubled+s.Foreign > 0 || len(s.Voices) != 1 {
				sc.t.Errorf("%s: phone %d heard %+v", w, i, s)
			}
			if w.terminated && s.Undecryptable+s.Malformed+s.Other+s.BadReports > 0 {
				sc.t.Errorf("%s: the edge let through what phone %d heard: %+v", w, i, s)
			}
		}
		sc.drops(w, "malformed", 40)
		sc.clean()
	})
	return fmt.Sprintf("%d kinds, on both ports of both legs, in %d kinds of media path: 0 of the call's own lost or spoilt, the call lives", len(odd), worlds)
}

// oddDatagrams are what a media port may meet that is not good.
func oddDatagrams() [][]byte {
	const ssrc = 0x0dd
	rtp := func(change func([]byte) []byte) []byte { return change(rtpOf(ssrc, 1)) }
	first := func(values ...byte) (all [][]byte) {
		for _, v := range values {
			all = append(all, rtp(func(b []byte) []byte { b[0] = v; return b }))
		}
		return all
	}
	second := func(values ...byte) (all [][]byte) {
		for _, v := range values {
			all = append(all, rtp(func(b []byte) []byte { b[1] = v; return b }))
		}
		return all
	}
	control := func(first, kind byte, words uint16, payload ...byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{first, kind}, words), payload...)
	}
	var all [][]byte
	for _, n := range []int{1, 2, 4, 7, 8, 11, 12} { // cut short
		all = append(all, rtpOf(ssrc, 1)[:n])
	}
	all = append(all, []byte{})
	all = append(all, first(0x00, 0x40, 0xc0, 0xff, 0x8f, 0x90, 0x9f, 0xa0, 0xbf)...)        // versions, sources, extension, padding
	all = append(all, second(1, 63, 64, 72, 76, 95, 96, 127, 0x80|72, 0x80|95, 0x80|127)...) // payload types
	all = append(all,
		rtp(func(b []byte) []byte { b[0], b[len(b)-1] = 0xa0, 255; return b }),         // more padding than packet
		rtp(func(b []byte) []byte { b[0], b[len(b)-1] = 0xa0, 0; return b }),           // padding of nothing
		rtp(func(b []byte) []byte { b[0], b[14], b[15] = 0x90, 0xff, 0xff; return b }), // an extension of 256 kB
		rtp(func(b []byte) []byte { b[0], b[12], b[13] = 0x90, 0xbe, 0xde; return b }), // of one byte each, rubbish
		rtp(func(b []byte) []byte { copy(b[8:], []byte{0, 0, 0, 0}); return b }),       // SSRC 0
		rtp(func(b []byte) []byte { return append(b, make([]byte, 1200)...) }),
		rtp(func(b []byte) []byte { return append(b, make([]byte, 1875)...) }), // 2047
		rtp(func(b []byte) []byte { return append(b, make([]byte, 1876)...) }), // 2048
		rtp(func(b []byte) []byte { return append(b, make([]byte, 9000)...) }),
		rtp(func(b []byte) []byte { return append(b, make([]byte, 60000)...) }),
		bytes.Repeat([]byte{0x80}, 172), bytes.Repeat([]byte{0xff}, 172), make([]byte, 172), make([]byte, 1),
	)
	for _, kind := range []byte{192, 193, 194, 195, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208, 223} { // a header that lies
		all = append(all, control(0x80, kind, 0xffff, 0, 0, 0x0d, 0xd0))
	}
	all = append(all,
		control(0x80, 200, 1, 0, 0, 0, 1),                                           // a sender report without one
		control(0x9f, 201, 1, 0, 0, 0, 1),                                           // 31 blocks that are not there
		control(0x81, 203, 1, 0, 0, 0, 1),                                           // BYE
		control(0x9f, 203, 1, 0, 0, 0, 1),                                           // BYE of 31, who are not there
		control(0x81, 202, 2, 0, 0, 0, 1, 1, 255, 'x', 'x'),                         // a name longer than its packet
		control(0xa0, 201, 1, 0, 0, 0, 1),                                           // padding of what is not there
		append(rtcpOf(1), control(0x80, 77, 1, 0, 0, 0, 1)...),                      // a compound with something else
		append(rtcpOf(1), 0x80), append(rtcpOf(1), bytes.Repeat(rtcpOf(2), 200)...), // cut off, and long
		control(0x80, 207, 2, 0, 0, 0, 1, 4, 0, 0xff, 0xff), // an extended report that lies
		stun, stun[:7], append(bytes.Clone(stun), 0, 6, 0xff, 0xff), // binding requests
		append([]byte{1, 1, 0, 0}, stun[4:]...), append([]byte{0, 0x11, 0, 0}, stun[4:]...), append([]byte{0, 1, 0, 0}, make([]byte, 16)...),
		append([]byte{0x40, 0, 0, 4}, 1, 2, 3, 4), // TURN
		append([]byte{22, 0xfe, 0xfd}, make([]byte, 60)...), append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 1),
		append([]byte{20, 0xfe, 0xfd}, make([]byte, 11)...), append([]byte{21, 0xfe, 0xfd}, make([]byte, 12)...), append([]byte{23, 0xfe, 0xfd}, make([]byte, 60)...),
		append([]byte{16, 0}, []byte("ZRTP 1.10 Hello")...),
		[]byte("\r\n\r\n"), []byte("OPTIONS sip:edge SIP/2.0\r\n\r\n"), []byte("GET / HTTP/1.1\r\n\r\n"),
	)
	return all
}
