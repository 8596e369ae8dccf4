package main

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// homer is a collector over UDP that reads HEPv3 by itself and keeps it all.
type homer struct {
	conn net.PacketConn
	sip  []trace.Message // as the edge saw them
	rtcp []rtcpReport
	raw  strings.Builder

	calls map[string]int // SIP messages by correlation id
}

// rtcpReport is what a report says, and whose it is.
type rtcpReport struct {
	belongs  string
	from, to netip.AddrPort
	said     struct {
		Sender_information struct{ Packets, Octets uint64 }
		Report_blocks      []struct{ Source_ssrc uint32 }
	}
}

func newHomer(t *testing.T) *homer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20)
	return &homer{conn: conn, calls: make(map[string]int)}
}

// to lets a stage's edge send to it.
func (h *homer) to(cfg stageConfig) stageConfig {
	set := func(c *configs.Config) {
		c.Trace.HEP = configs.HEP{Server: configs.Collector{Transport: configs.UDP, Addr: h.conn.LocalAddr().String()}, ID: 42}
	}
	if cfg.Set != nil {
		set = both(cfg.Set, set)
	}
	cfg.Set = set
	return cfg
}

// read takes what has come, until for a while nothing does.
func (h *homer) read(t *testing.T, edge netip.Addr) {
	t.Helper()
	buf := make([]byte, 1<<16)
	for {
		_ = h.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, _, err := h.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		h.raw.Write(buf[:n])
		h.take(t, chunksOf(t, buf[:n]), edge)
	}
}

// chunksOf are the values of a packet by their types.
func chunksOf(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	if string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("no HEP3: %q", b)
	}
	chunks := make(map[uint16][]byte)
	for b = b[6:]; len(b) > 0; {
		length := binary.BigEndian.Uint16(b[4:])
		chunks[binary.BigEndian.Uint16(b[2:])] = slices.Clone(b[6:length])
		b = b[length:]
	}
	return chunks
}

func (h *homer) take(t *testing.T, chunks map[uint16][]byte, edge netip.Addr) {
	t.Helper()
	end := func(address, port uint16) netip.AddrPort {
		ip, _ := netip.AddrFromSlice(chunks[address])
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(chunks[port]))
	}
	from, to := end(3, 7), end(4, 8)
	if id := binary.BigEndian.Uint32(chunks[12]); id != 42 || chunks[14] != nil || string(chunks[19]) != "stage" {
		t.Errorf("agent %d %q, password %q", id, chunks[19], chunks[14])
	}
	switch chunks[11][0] {
	case 1:
		m := trace.Message{
			Time:      time.Unix(int64(binary.BigEndian.Uint32(chunks[9])), int64(binary.BigEndian.Uint32(chunks[10]))*1000),
			Direction: metrics.Out, Local: from.String(), Remote: to.String(), Raw: chunks[15],
		}
		if to.Addr() == edge {
			m.Direction, m.Local, m.Remote = metrics.In, m.Remote, m.Local
		}
		h.calls[string(chunks[17])]++
		h.sip = append(h.sip, m)
	case 5:
		r := rtcpReport{belongs: string(chunks[17]), from: from, to: to}
		if err := json.Unmarshal(chunks[15], &r.said); err != nil || len(r.said.Report_blocks) != 1 {
			t.Errorf("%s: %v", chunks[15], err)
		}
		h.rtcp = append(h.rtcp, r)
	default:
		t.Errorf("a packet of type %d", chunks[11][0])
	}
}

// toldAs tells of messages what a collector can know.
func toldAs(messages []trace.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%s %s %s %s\n%s", m.Time.UTC().Truncate(time.Microsecond), m.Direction, m.Local, m.Remote, trace.Mask(m.Raw)))
	}
	slices.Sort(all)
	return all
}

// handedOver plays a whole transfer and returns the call's id and the secrets that were used.
func (sc *scene) handedOver() (id string, secrets []string) {
	sc.t.Helper()
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
	sc.must(err)
	sc.told(outcome, 100, 200)
	sc.over(caller, assistant)
	secrets = []string{testKey, strings.ReplaceAll(testKey, ":", "%3A")}
	for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} {
		for _, params := range p.Keys() {
			key, _, _ := strings.Cut(strings.TrimPrefix(params, "inline:"), "|")
			secrets = append(secrets, key)
		}
	}
	if len(secrets) < 4 {
		sc.t.Errorf("%d secrets are known", len(secrets))
	}
	var ended struct{ Calls []cdr.Record }
	sc.must(json.Unmarshal([]byte(sc.get("/api/v1/calls/ended")), &ended))
	if len(ended.Calls) != 1 {
		sc.t.Fatalf("calls that ended: %+v", ended)
	}
	return ended.Calls[0].Call, secrets
}

// TestHomerSeesTheWholeCall plays a transfer: the collector has every message that passed, with its time and ends, and no
// secret.
func TestHomerSeesTheWholeCall(t *testing.T) {
	t.Parallel()
	h := newHomer(t)
	sc := newScene(t, h.to(stageConfig{}))
	id, secrets := sc.handedOver()
	h.read(t, loopback)

	seen := sc.recorder.Messages()
	sc.counted(fmt.Sprintf(`handoff_trace_hep_total{result="sent"} %d`, len(h.sip)+len(h.rtcp)))
	if h.calls[id] != len(seen) {
		t.Errorf("messages of calls: %v, expected %d of %s", h.calls, len(seen), id)
	}
	got, want := toldAs(h.sip), toldAs(seen)
	if !slices.Equal(got, want) {
		t.Errorf("%d messages came of %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	whose := make(map[string]metrics.Peer)
	for _, m := range seen {
		whose[m.Remote] = m.Peer
	}
	for i, m := range h.sip {
		h.sip[i].Peer, h.sip[i].Transport = whose[m.Remote], "tls"
	}
	slices.SortStableFunc(h.sip, func(a, b trace.Message) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	if ladder := trace.Normalise(h.sip); !strings.Contains(ladder, "REFER") {
		t.Errorf("the ladder is\n%s", ladder)
	}
	for _, secret := range secrets {
		if strings.Contains(h.raw.String(), secret) {
			t.Errorf("%s has left", secret)
		}
	}
	sc.clean()
}

// TestHomerSeesWhatPeersReport has both phones report by RTCP.
func TestHomerSeesWhatPeersReport(t *testing.T) {
	t.Parallel()
	ownKeys := stageConfig{Set: func(c *configs.Config) { c.Media.SRTPKeys = configs.SRTPKeysTerminate }}
	for name, cfg := range map[string]stageConfig{"SRTP that passes": {}, "keys of the edge's own": ownKeys, "plain RTP": plain("tcp")} {
		t.Run(name, func(t *testing.T) {
			h := newHomer(t)
			sc := newScene(t, h.to(reports(cfg)))
			caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond})
			sc.until("both are known to have reported", func() bool {
				page := sc.get("/metrics")
				return strings.Contains(page, `handoff_mos_reported_count{leg="a"}`) && !strings.Contains(page, `handoff_mos_reported_count{leg="a"} 0`) &&
					!strings.Contains(page, `handoff_mos_reported_count{leg="b"} 0`)
			})
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			h.read(t, loopback)
			whose := make(map[string]int)
			for _, r := range h.rtcp {
				whose[r.belongs]++
				if r.said.Sender_information.Packets == 0 || r.said.Report_blocks[0].Source_ssrc == 0 || r.from.Port() == 0 || r.to.Addr() != loopback {
					t.Errorf("got %+v", r)
				}
			}
			if len(whose) != 2 || whose[""] > 0 {
				t.Errorf("reports of %v", whose)
			}
		})
	}
}
