package b2bua

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/media/sdp"
	"handoff/metrics"
)

// ear is a socket of a peer.
type ear struct {
	*net.UDPConn
	t *testing.T
}

func newEar(t *testing.T) ear {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return ear{c, t}
}

func (e ear) port() uint16 { return e.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

// packet is RTP of a sequence number, and report a receiver report.
func packet(sequence byte) []byte {
	return append([]byte{0x80, 0, 0, sequence, 0, 0, sequence, 0, 1, 2, 3, 4}, make([]byte, 160)...)
}

func report() []byte { return []byte{0x80, 201, 0, 1, 1, 2, 3, 4} }

func (e ear) send(b []byte, to netip.AddrPort) {
	e.t.Helper()
	if _, err := e.WriteToUDPAddrPort(b, to); err != nil {
		e.t.Fatal(err)
	}
}

// hears wants just this next.
func (e ear) hears(want []byte) {
	e.t.Helper()
	got := make([]byte, 2048)
	_ = e.SetReadDeadline(time.Now().Add(patience))
	n, err := e.Read(got)
	if err != nil || !bytes.Equal(got[:n], want) {
		e.t.Errorf("heard %d bytes, %x, %v", n, got[:min(n, 12)], err)
	}
}

// wants is what a body of the edge says of the audio.
func wants(t *testing.T, body []byte) sdp.Audio {
	t.Helper()
	d, err := sdp.Parse(body)
	if err != nil {
		t.Fatalf("%v:\n%s", err, body)
	}
	return d.Audio()
}

// at is a description of a peer whose RTP comes to an ear, with further lines.
func at(e ear, lines ...string) string {
	return moved(fmt.Sprint(e.port())) + strings.Join(lines, "\r\n") + strings.Repeat("\r\n", min(1, len(lines)))
}

// Media go where a description says, in whichever of its ways, and after each change of it; lines that are none of the
// edge's business change nothing.
func TestMediaGoWhereADescriptionSays(t *testing.T) {
	const nowhere = "c=IN IP4 0.0.0.0"
	held := func(body string) string { return strings.Replace(body, "c=IN IP4 127.0.0.1", nowhere, 1) }
	tests := []struct {
		name   string
		caller func(x ear) string // what the caller offers
		change func(r *rig, a, b *dialogue, x, y ear) (newX, newY ear)
	}{
		{"the address of the m-line and not the session's", func(x ear) string {
			body := strings.Replace(at(x), "c=IN IP4 127.0.0.1", "c=IN IP4 192.0.2.66", 1)
			return strings.Replace(body, "a=rtpmap", "c=IN IP4 127.0.0.1\r\na=rtpmap", 1)
		}, nil},
		{"among lines of bundles, sources and bandwidth", func(x ear) string {
			body := strings.Replace(at(x, "a=mid:0", "a=ssrc:16909060 cname:x", "a=msid:x y", "a=rtcp-fb:* nack", "a=extmap:1 urn:x"), "t=0 0", "b=AS:64\r\nt=0 0\r\na=group:BUNDLE 0", 1)
			return strings.Replace(body, "a=rtpmap", "b=TIAS:64000\r\na=rtpmap", 1)
		}, nil},
		{"Watson is back from 0.0.0.0 at another port", nil, func(r *rig, _, b *dialogue, x, y ear) (ear, ear) {
			y2 := newEar(r.t)
			for _, body := range []string{held(at(y)), at(y2)} {
				if code := r.request(b, "INVITE", "", body).final(); code != 200 {
					r.t.Errorf("Watson heard %d", code)
				}
				r.ack(b, "")
			}
			if n := r.count("INVITE twilio"); n > 0 {
				r.t.Errorf("%d of Watson's holds reached Twilio", n)
			}
			return x, y2
		}},
		{"the caller is back from 0.0.0.0 at another port", nil, func(r *rig, a, _ *dialogue, x, y ear) (ear, ear) {
			x2 := newEar(r.t)
			for _, body := range []string{held(at(x)), at(x2)} {
				tx := r.request(a, "INVITE", "", body)
				r.next(sipmsg.INVITE).answer(200, at(y))
				if code := tx.final(); code != 200 {
					r.t.Errorf("the caller heard %d", code)
				}
				r.ack(a, "")
			}
			return x2, y
		}},
		{"the caller is back from inactive of the whole session", nil, func(r *rig, a, _ *dialogue, x, y ear) (ear, ear) {
			inactive := strings.Replace(strings.Replace(at(x), "a=sendrecv\r\n", "", 1), "t=0 0", "t=0 0\r\na=inactive", 1)
			for i, body := range []string{inactive, at(x)} {
				tx := r.request(a, "INVITE", "", body)
				out := r.next(sipmsg.INVITE)
				if got := wants(r.t, out.req.Body()).Direction; got != []sdp.Direction{sdp.Inactive, sdp.SendRecv}[i] {
					r.t.Errorf("Watson is offered %s", got)
				}
				out.answer(200, at(y))
				if code := tx.final(); code != 200 {
					r.t.Errorf("the caller heard %d", code)
				}
				r.ack(a, "")
			}
			return x, y
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.wire.quiet = true
			x, y := newEar(t), newEar(t)
			offer := at(x)
			if tt.caller != nil {
				offer = tt.caller(x)
			}
			a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
			tx := r.request(a, "INVITE", "", offer)
			a.to = "e1"
			out := r.next(sipmsg.INVITE)
			for _, line := range []string{"b=", "a=group", "a=mid", "a=ssrc", "a=msid", "a=rtcp-fb", "a=extmap"} {
				if bytes.Contains(out.req.Body(), []byte(line)) {
					t.Errorf("Watson is offered\n%s", out.req.Body())
				}
			}
			out.answer(200, at(y))
			if code := tx.final(); code != 200 {
				t.Fatalf("the caller heard %d", code)
			}
			r.ack(a, "")
			toA, toB := wants(t, tx.body).RTP, wants(t, out.req.Body()).RTP
			if tt.change != nil {
				x, y = tt.change(r, a, r.watson(out), x, y)
			}
			x.send(packet(1), toA)
			y.hears(packet(1))
			y.send(packet(2), toB)
			x.hears(packet(2))
			r.request(a, "BYE", "", "")
			r.over()
		})
	}
}

// Reports go where a=rtcp says, wherever that is (RFC 3605), and come from there; without it behind RTP.
func TestReportsGoWhereADescriptionSays(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	x, y, reports := newEar(t), newEar(t), newEar(t)
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", at(x, fmt.Sprintf("a=rtcp:%d IN IP4 127.0.0.1", reports.port())))
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	if strings.Contains(string(out.req.Body()), fmt.Sprint(reports.port())) {
		t.Errorf("Watson is offered\n%s", out.req.Body())
	}
	out.answer(200, at(y, fmt.Sprintf("a=rtcp:%d", y.port()), "a=rtcp-mux")) // which nobody has offered: it means nothing
	if code := tx.final(); code != 200 || bytes.Contains(tx.body, []byte("rtcp-mux")) {
		t.Fatalf("the caller heard %d\n%s", code, tx.body)
	}
	r.ack(a, "")
	toA, toB := wants(t, tx.body), wants(t, out.req.Body())
	reports.send(report(), toA.RTCP)
	y.hears(report())
	y.send(report(), toB.RTCP)
	reports.hears(report())
	y.send(packet(1), toB.RTP)
	x.hears(packet(1))
	r.request(a, "BYE", "", "")
	r.over()
}

// The first audio stream that can be used is taken, and all others are refused in their places, whatever they are.
func TestAnAudioStreamThatCanNotBeUsedIsPassedOver(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	x, y := newEar(t), newEar(t)
	offer := strings.Replace(at(x), "m=audio", "m=audio 40100 RTP/SAVPF 0\r\nm=image 40102 udptl t38\r\nm=smell 40104 AIR/9 x\r\nm=audio", 1)
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", offer)
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	out.answer(200, at(y))
	if code := tx.final(); code != 200 {
		t.Fatalf("the caller heard %d", code)
	}
	if got := streams(tx.body); strings.Join(got, ", ") != "audio off, image off, smell off, audio" {
		t.Errorf("the caller is answered %q", got)
	}
	r.ack(a, "")
	fax := strings.Replace(offerSDP, "m=audio 40000 RTP/AVP 0", "m=image 40102 udptl t38", 1)
	if code := r.request(a, "INVITE", "", fax).final(); code != 488 {
		t.Errorf("offering fax alone he heard %d", code)
	}
	y.send(packet(1), wants(t, out.req.Body()).RTP)
	x.hears(packet(1))
	r.request(a, "BYE", "", "")
	r.over()
}
