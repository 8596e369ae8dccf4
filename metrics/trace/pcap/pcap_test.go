package pcap

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
	"handoff/metrics/trace"
)

// sipMessage is a request or response of a call named id, bytes long at least.
func sipMessage(start, id string, bytes int) []byte {
	head := start + "\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n" +
		"Call-ID: " + id + "\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
	for len(head) < bytes-20 {
		head += "X-Long: " + strings.Repeat("x", min(900, bytes-20-len(head))) + "\r\n"
	}
	return []byte(head + "Content-Length: 0\r\n\r\n")
}

var noon = time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)

// read lets tshark read a file by a filter, and returns a line of fields for each packet.
func read(t *testing.T, messages []trace.Message, media []trace.Packet, filter string, args ...string) (rows []string) {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is missing")
		}
		t.Skip("tshark is not installed")
	}
	name := filepath.Join(t.TempDir(), "call.pcapng")
	var file bytes.Buffer
	if err := Begin(&file)(messages, media...); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-r", name, "-Y", filter, "-T", "fields", "-E", "separator=|", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}, args...)
	cmd := exec.Command(tshark, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, &said)
	}
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.TrimSuffix(line, "\n"))
	}
	return rows
}

// dissect returns the fields of what tshark takes for SIP, and wants it to find every checksum right.
func dissect(t *testing.T, messages []trace.Message, fields ...string) (rows [][]string) {
	t.Helper()
	const good = "1"
	args := []string{"-e", "udp.checksum.status", "-e", "ip.checksum.status", "-e", "ip.version"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	for _, line := range read(t, messages, nil, "sip", args...) {
		row := strings.Split(line, "|")
		if row[0] != good || row[1] != good && row[2] == "4" {
			t.Errorf("checksums: %q", row[:2])
		}
		rows = append(rows, row[3:])
	}
	return rows
}

func TestTsharkReadsWhatIsWritten(t *testing.T) {
	const v4, v6 = "192.0.2.1:5061", "[2001:db8::1]:5061"
	messages := []trace.Message{
		{Time: noon.Add(time.Second), Direction: metrics.Out, Peer: metrics.PeerTwilio, Transport: "tls", Local: v4, Remote: "203.0.113.9:40123", Raw: sipMessage("SIP/2.0 200 OK", "one@a", 0)},
		{Time: noon, Direction: metrics.In, Peer: metrics.PeerTwilio, Transport: "tls", Local: v4, Remote: "203.0.113.9:40123", Raw: sipMessage("INVITE sip:b@example.com SIP/2.0", "one@a", 0)},
		{Time: noon.Add(2 * time.Second), Direction: metrics.Out, Peer: metrics.PeerWatson, Transport: "tcp", Local: v6, Remote: "[2001:db8::2]:5060", Raw: sipMessage("BYE sip:b@example.com SIP/2.0", "two@b", 0)},
		{Time: noon.Add(3 * time.Second), Direction: metrics.In, Peer: metrics.PeerUnknown, Transport: "udp", Local: "192.0.2.1:5060", Remote: "203.0.113.9:5060", Raw: sipMessage("INVITE sip:b@example.com SIP/2.0", "long@c", 5000)},
		{Time: noon.Add(4 * time.Second), Direction: metrics.In, Peer: metrics.PeerTwilio, Transport: "tls", Local: "[::ffff:192.0.2.1]:5061", Remote: "203.0.113.9:40123", Raw: sipMessage("ACK sip:b@example.com SIP/2.0", "one@a", 0)},
		{Time: noon.Add(5 * time.Second), Direction: metrics.Out, Peer: metrics.PeerTwilio, Transport: "tls", Local: v4, Remote: v6, Raw: sipMessage("OPTIONS sip:b@example.com SIP/2.0", "families@d", 0)},
		{Time: noon.Add(6 * time.Second), Direction: metrics.Out, Peer: metrics.PeerTwilio, Transport: "tls", Local: v4, Raw: sipMessage("INFO sip:b@example.com SIP/2.0", "nowhere@e", 0)},
	}
	got := dissect(t, messages, "frame.time_epoch", "sip.Method", "sip.Status-Code", "sip.Call-ID", "udp.srcport", "udp.dstport", "frame.comment", "frame.packet_flags_direction")
	want := []string{
		"0 INVITE  one@a 40123 5061 from twilio over tls, shown as UDP 0x00000001",
		"1  200 one@a 5061 40123 to twilio over tls, shown as UDP 0x00000002",
		"2 BYE  two@b 5061 5060 to watson over tcp, shown as UDP 0x00000002",
		"3 INVITE  long@c 5060 5060 from unknown over udp 0x00000001",
		"4 ACK  one@a 40123 5061 from twilio over tls, shown as UDP 0x00000001",
		"5 OPTIONS  families@d 5061 5061 to twilio over tls, shown as UDP 0x00000002",
		"6 INFO  nowhere@e 5061 0 to twilio over tls, shown as UDP 0x00000002",
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages of %d: %q", len(got), len(want), got)
	}
	for i, row := range got {
		if at := fmt.Sprintf("%d.%09d", noon.Unix()+int64(i), noon.Nanosecond()); row[0] != at {
			t.Errorf("message %d came at %s, not %s", i, row[0], at)
		}
		if line := strconv.Itoa(i) + " " + strings.Join(row[1:], " "); line != want[i] {
			t.Errorf("got  %s\nwant %s", line, want[i])
		}
	}
}

// Headers of media stand between the messages, as packets that were cut off behind them.
func TestHeadersOfMediaAreRead(t *testing.T) {
	rtp := []byte{0x80, 0x80, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3}
	media := []trace.Packet{
		{Time: noon.Add(time.Second), Leg: "a", Direction: metrics.In, Local: netip.MustParseAddrPort("192.0.2.1:10000"), Remote: netip.MustParseAddrPort("203.0.113.9:4000"), Header: rtp, Size: 172},
		{Time: noon.Add(3 * time.Second), Leg: "b", Direction: metrics.Out, Local: netip.MustParseAddrPort("[2001:db8::1]:10002"), Remote: netip.MustParseAddrPort("[2001:db8::2]:4000"), Header: rtp, Size: 182},
	}
	messages := []trace.Message{
		{Time: noon, Local: "192.0.2.1:5060", Remote: "203.0.113.9:5060", Raw: sipMessage("INVITE sip:b@example.com SIP/2.0", "one", 0)},
		{Time: noon.Add(2 * time.Second), Local: "192.0.2.1:5060", Remote: "203.0.113.9:5060", Raw: sipMessage("BYE sip:b@example.com SIP/2.0", "one", 0)},
	}
	got := read(t, messages, media, "", "-d", "udp.port==10000,rtp", "-d", "udp.port==10002,rtp",
		"-e", "frame.time_relative", "-e", "sip.Method", "-e", "rtp.seq", "-e", "udp.srcport", "-e", "udp.length", "-e", "frame.comment")
	want := []string{
		"0.000000000|INVITE||5060|" + strconv.Itoa(8+len(messages[0].Raw)) + "|from unknown over , shown as UDP", "1.000000000||7|4000|180|leg a, the header only",
		"2.000000000|BYE||5060|" + strconv.Itoa(8+len(messages[1].Raw)) + "|from unknown over , shown as UDP", "3.000000000||7|10002|190|leg b, the header only",
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets: %q", len(got), got)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// The longest message that a peer may send is longer than a datagram.
func TestWhatIsLongerThanADatagramIsCut(t *testing.T) {
	for _, end := range []string{"192.0.2.1:5060", "[2001:db8::1]:5060"} {
		got := dissect(t, []trace.Message{
			{Time: noon, Direction: metrics.In, Transport: "tcp", Local: end, Remote: end, Raw: sipMessage("INVITE sip:b@example.com SIP/2.0", "long", 65535)},
		}, "sip.Call-ID", "frame.comment")
		if len(got) != 1 || got[0][0] != "long" || got[0][1] != "from unknown over tcp, shown as UDP, cut" {
			t.Errorf("got %q", got)
		}
	}
}

// What goes in comes out, byte for byte, without a program to read it.
func TestAMessageStandsThereAsItIs(t *testing.T) {
	raw := sipMessage("INVITE sip:b@example.com SIP/2.0", "one", 3000)
	var file bytes.Buffer
	if err := Begin(&file)([]trace.Message{{Time: noon, Transport: "tls", Local: "192.0.2.1:5061", Remote: "192.0.2.2:5061", Raw: raw}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file.Bytes(), raw) || file.Len()%4 != 0 {
		t.Errorf("%d bytes without the message", file.Len())
	}
}

func TestAnOddChecksumIsWrittenAsOnes(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:5060")
	for n := range 0x10000 {
		frame := datagram(from, from, []byte{byte(n >> 8), byte(n)}, 2)
		if frame[26] == 0 && frame[27] == 0 {
			t.Fatalf("payload %#x has no checksum", n)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAWriterThatFailsIsToldOf(t *testing.T) {
	raw := sipMessage("INVITE sip:b@example.com SIP/2.0", "one", 20000)
	if err := Begin(full{})([]trace.Message{{Raw: raw}, {Raw: raw}}); err == nil || err.Error() != "no space left" {
		t.Errorf("got %v", err)
	}
}
