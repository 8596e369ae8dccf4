//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	simwire "handoff/sip/simulator/wire"
)

// attacksByMessages come from addresses that may speak: messages that are none, and too much of everything.
var attacksByMessages = []attack{
	{row: "I2", name: "the messages of RFC 4475 and RFC 5118", play: torture},
	{row: "I3", name: "malformed SIP, SDP and TCP beside a call", alone: true, play: malformed},
	{row: "I5", name: "answers of Watson's that are none", play: hostileAnswersOfWatson},
	{row: "L5", name: "twice the configured load", alone: true, play: overload},
	{row: "S3", name: "INVITEs and their CANCELs from Twilio's address, 200 a second", alone: true, play: cancelFlood},
	{row: "S10", name: "connections over which nothing comes", alone: true, play: halfOpen},
	{row: "S11", name: "old TLS, plain text and garbage on the TLS port; framing", alone: true, play: framing},
	{row: "S12", name: "enumeration of users and versions", play: enumeration},
}

// hostileAnswersOfWatson lets Watson answer an INVITE as nobody should. The caller hears a final answer, Twilio nothing that is
// malformed or Watson's, and the next call is as any other.
func hostileAnswersOfWatson(t *testing.T) string {
	const at = 6 // edges: each waits 3.5 s for the first word of a Watson that says nothing one can read
	all := hostileAnswers()
	t.Run("answers", func(t *testing.T) {
		for part := range at {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				x := newCrossing(t)
				for i := part; i < len(all); i += at {
					final := x.play(forAnswer, all[i].text, 10*time.Second)
					if final == nil || all[i].class > 0 && final.Status()/100 != all[i].class {
						t.Errorf("%s: the caller heard %v, want %dxx", all[i].name, final, all[i].class)
					}
				}
				if final := x.play(forAnswer, crlf(answerHead, goodSDP), 10*time.Second); final == nil || final.Status() != 200 {
					t.Errorf("afterwards a caller heard %v", final)
				}
			})
		}
	})
	return fmt.Sprintf("%d kinds: the caller hears a final answer to each, Twilio nothing malformed and nothing of Watson's", len(all))
}

// malformed sends what a deterministic mutator makes of good messages, by datagram and by connections that end as they like.
func malformed(t *testing.T) string {
	n := sized(250, 1045)
	b := newBeside(t, "limits: invites_per_second: 10000\nlimits: per_source: 10000\n")
	from := newStranger(t, twilioAddr)
	end := b.peer(twilioAddr)
	fence, err := end.Dial(b.ctx, simwire.UDP, b.at["udp"], "")
	b.must(err)
	good := seedMessages()
	rng := rand.New(rand.NewPCG(4475, 5118))
	for i := range n {
		me := netip.MustParseAddrPort("127.0.0.2:5060")
		raw := []byte(filled(good[i%len(good)], fmt.Sprintf("SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bKbad%d", i), fmt.Sprintf("<sip:+1500@sip.twilio.com>;tag=%d", i),
			"<sip:+18885557777@127.0.0.1>", fmt.Sprintf("bad-%d", i), "1", me))
		for range 1 + rng.IntN(3) {
			raw = mutated(rng, raw)
		}
		if i%3 == 2 {
			b.overTCP(rng, raw)
		} else {
			from.say(raw[:min(len(raw), 60000)], b.at["udp"])
		}
		if i%20 == 19 {
			d := simwire.Dialog{CallID: fmt.Sprintf("fence-%d", i), Local: "<sip:f@h>;tag=f", Remote: "<sip:edge@127.0.0.1>", Target: "sip:edge@127.0.0.1"}
			_, err := end.Do(b.ctx, fence, d.Request("OPTIONS"))
			b.must(err)
		}
	}
	grown := b.grown(80)
	took := b.unmoved()
	return fmt.Sprintf("%d messages: the process lives, the call beside them lost 0 packets, Watson saw nothing malformed, the next call was answered in %s; memory +%d MB", n, took.Round(time.Millisecond), grown)
}

// seedMessages are those of the fuzzer that go to the edge.
func seedMessages() (all []string) {
	by := seeds()
	for _, at := range []place{forInvite, forCallerSays, forWatsonSays, forAnswer, forReoffer} {
		all = append(all, by[at]...)
	}
	for i := range all {
		all[i] = strings.Replace(all[i], goodSDP, savpSDP, 1)
	}
	return all
}

// overTCP writes in pieces over a connection of its own, and ends that somehow.
func (b *beside) overTCP(rng *rand.Rand, raw []byte) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(twilioAddr, 0))}
	conn, err := dialer.DialContext(b.ctx, "tcp", b.at["tcp"].String())
	b.must(err)
	defer conn.Close()
	for len(raw) > 0 {
		piece := 1 + rng.IntN(len(raw))
		if _, err := conn.Write(raw[:piece]); err != nil {
			return // the edge has had enough
		}
		raw = raw[piece:]
	}
	switch rng.IntN(3) {
	case 0:
		_ = conn.(*net.TCPConn).SetLinger(0)
	case 1:
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// mutated changes one thing about a message.
func mutated(rng *rand.Rand, raw []byte) []byte {
	lines := bytes.SplitAfter(raw, []byte("\r\n"))
	i, at := rng.IntN(len(lines)), rng.IntN(len(raw)+1)
	long := strings.Repeat(string(rune('A'+rng.IntN(50))), 1<<(4+rng.IntN(11)))
	odd := []string{"\x00", "\r", "\n", "\r\n", "\r\n\r\n", "\t", "\"", "<", ">", ";", ",", "%", "%00", "%0d%0a", "\xff\xfe", "X-Evil: 1\r\n", ":", "99999999999999999999", "-1", "\r\nContent-Length: 2000000000\r\n", "()<>@,;:\\\"/[]?={} \t"}
	insert := func(what string) []byte { return slices.Concat(raw[:at], []byte(what), raw[at:]) }
	switch rng.IntN(12) {
	case 0:
		return raw[:at]
	case 1:
		return slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...), []byte("\r\n"))
	case 2:
		return slices.Concat(slices.Concat(lines[:i+1]...), bytes.Repeat(lines[i], 1+rng.IntN(300)), slices.Concat(lines[i+1:]...))
	case 3:
		lines[i], lines[rng.IntN(len(lines))] = lines[rng.IntN(len(lines))], lines[i]
		return slices.Concat(lines...)
	case 4:
		return bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	case 5:
		return regexp.MustCompile(`\d+`).ReplaceAllFunc(raw, func(d []byte) []byte {
			if rng.IntN(8) == 0 {
				return []byte(odd[17+rng.IntN(2)])
			}
			return d
		})
	case 6:
		return insert(long)
	case 7:
		return bytes.Replace(raw, []byte(": "), []byte([]string{" : ", ":\r\n ", "", ":\t"}[rng.IntN(4)]), 1+rng.IntN(4))
	case 8:
		changed := bytes.Clone(raw)
		for range 1 + rng.IntN(8) {
			if len(changed) > 0 {
				changed[rng.IntN(len(changed))] ^= byte(1 << rng.IntN(8))
			}
		}
		return changed
	case 9:
		return slices.Concat(raw, raw)
	default:
		return insert(odd[rng.IntN(len(odd))])
	}
}
