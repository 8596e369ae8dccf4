package b2bua

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/media"
	"handoff/metrics"
)

// streams are the m-lines of a body, up to the format.
func streams(body []byte) (all []string) {
	for line := range strings.SplitSeq(string(body), "\r\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(line, "m=") {
			off := ""
			if f[1] == "0" {
				off = " off"
			}
			all = append(all, strings.TrimPrefix(f[0], "m=")+off)
		}
	}
	return all
}

const (
	video = "m=video 40002 RTP/AVP 31\r\n"
	chat  = "m=message 40004 TCP/MSRP *\r\n"
)

// A stream that one side offers besides the audio is refused to it in its place; the other side never hears of
// it, and the number of m-lines never shrinks (RFC 3264 §6, §8).
func TestEachLegHasItsStreams(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", strings.Replace(offerSDP, "m=audio", chat+"m=audio", 1)+video)
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	if got := streams(out.req.Body()); !slices.Equal(got, []string{"audio"}) {
		t.Errorf("Watson is offered %q", got)
	}
	out.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		t.Fatalf("the caller heard %d", code)
	}
	if got := streams(tx.body); !slices.Equal(got, []string{"message off", "audio", "video off"}) {
		t.Errorf("the caller is answered %q", got)
	}
	r.ack(a, "")
	b := r.watson(out)

	tx = r.request(b, "INVITE", "", offerSDP+video)
	if code := tx.final(); code != 200 || !slices.Equal(streams(tx.body), []string{"audio", "video off"}) {
		t.Errorf("Watson heard %d with %q", code, streams(tx.body))
	}
	r.ack(b, "")
	if r.count("INVITE twilio") > 0 {
		t.Error("Watson's video reached Twilio")
	}

	tx = r.request(a, "INVITE", "", moved("42000"))
	out = r.next(sipmsg.INVITE)
	if got := streams(out.req.Body()); !slices.Equal(got, []string{"audio", "video off"}) {
		t.Errorf("Watson is offered %q", got)
	}
	out.answer(200, offerSDP+"m=video 0 RTP/AVP 31\r\n")
	if code := tx.final(); code != 200 || !slices.Equal(streams(tx.body), []string{"audio"}) {
		t.Errorf("the caller heard %d with %q", code, streams(tx.body))
	}
	r.request(a, "BYE", "", "")
	r.over()
}

func TestACallerWithIPv6(t *testing.T) {
	r := newRigWith(t, media.Config{PublicIPv6: netip.IPv6Loopback()})
	r.wire.quiet = true
	six := strings.ReplaceAll(offerSDP, "IP4 127.0.0.1", "IP6 ::1")
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", six)
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	if !strings.Contains(string(out.req.Body()), "c=IN IP4 127.0.0.1\r\n") {
		t.Errorf("Watson is offered\n%s", out.req.Body())
	}
	out.answer(200, offerSDP)
	if code := tx.final(); code != 200 || !strings.Contains(string(tx.body), "c=IN IP6 ::1\r\n") {
		t.Errorf("the caller heard %d\n%s", code, tx.body)
	}
	r.ack(a, "")
	if code := r.request(a, "INVITE", "", offerSDP).final(); code != 488 {
		t.Errorf("moved to IPv4, he heard %d", code)
	}
	r.request(a, "BYE", "", "")
	r.over()
}
