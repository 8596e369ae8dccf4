//go:build linux

package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"handoff/configs"
	"handoff/metrics"
)

// TestBaresipTalksToBaresip has a TLS caller with SDES SRTP that sings 440 Hz and a Watson of the same
// kind that echoes what it hears: with keys that pass, and with keys of the edge's own, where Watson takes
// AES-GCM and the caller, who offered it, HMAC-SHA1.
//
// baresip 1.0.0 takes an INVITE to a sips: URI and answers with Contact sip:…;transport=tls, but it
// sends nothing to a Contact that is a sips: URI, as the edge's must be there (RFC 3261 §8.1.1.8): such
// a Watson can't hang up. SIPp's does.
func TestBaresipTalksToBaresip(t *testing.T) {
	modules := requiresBaresip(t)
	t.Parallel()
	for name, tt := range map[string]struct {
		keys           configs.SRTPKeys
		caller, watson string // suites
	}{
		"keys pass":              {configs.SRTPKeysPass, "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
		"keys of the edge's own": {configs.SRTPKeysTerminate, "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			talkOverBaresip(t, modules, tt.keys, tt.caller, tt.watson)
		})
	}
}

func talkOverBaresip(t *testing.T, modules string, keys configs.SRTPKeys, callersSuite, watsonsSuite string) {
	port := freePorts(t)
	s := newChangedSurroundings(t, func(c *configs.Config) { c.Media.SRTPKeys = keys }, fmt.Sprintf("sips:%s:%d", softphoneIP, port+1))
	watson := s.baresip("watson", softphone{modules: modules, port: port, user: "+18885557777", answers: "auto",
		audio: "audio_source aubridge,echo\naudio_player aubridge,echo"})
	watson.says("baresip is ready")
	caller := s.baresip("caller", softphone{modules: modules, port: freePorts(t), user: "+15005550001", answers: "manual",
		audio: "audio_source ausine,440\nausrc_srate 48000\nausrc_channels 2\naudio_player aubridge,ear"},
		"-e", "/dial sip:+18885557777@"+s.Edge+":5061")

	const packets = 100 // two seconds
	s.eventually(func() string {
		m := s.metrics()
		carried := func(direction, leg string) string {
			n := 0.0 // by whichever path
			for _, path := range metrics.Paths() {
				n += m[fmt.Sprintf("handoff_rtp_packets_total{direction=%q,leg=%q,path=%q}", direction, leg, path)]
			}
			if n < packets {
				return fmt.Sprintf("%v packets went %s at leg %s, want at least %d", n, direction, leg, packets)
			}
			return ""
		}
		return cmp.Or(
			carried("in", "a"),
			carried("out", "b"),
			carried("in", "b"),
			carried("out", "a"),
		)
	})
	s.must(caller.cmd.Process.Signal(syscall.SIGINT)) // makes it say BYE
	s.succeed(caller)
	s.quiet()
	s.ended(1, "success caller_hangup")
	for _, p := range []*program{watson, caller} {
		p.relayed(packets)
		p.heardTone(440)
	}
	watson.says("SRTP is Enabled (cryptosuite=" + watsonsSuite)
	caller.says("SRTP is Enabled (cryptosuite=" + callersSuite)
}

// softphoneIP is where baresips are: whatever their SDP says, their RTP comes from the address that
// the kernel chooses on loopback, and the edge takes media from exactly the announced one.
const softphoneIP = "127.0.0.1"

// softphone is how one baresip differs from the other.
type softphone struct {
	modules string
	port    uint16 // UDP and TCP; TLS is on the next one
	user    string
	answers string // auto or manual
	audio   string // lines of its configuration
}

// baresip starts one with SDES SRTP or nothing. It writes what it says and hears to WAV files.
func (s *surroundings) baresip(name string, phone softphone, args ...string) *program {
	s.Helper()
	dir := filepath.Join(s.dir, "baresip-"+name)
	s.must(os.Mkdir(dir, 0o755))
	certificate, key, err := s.authority.WriteIssued(dir, "own", watsonName)
	s.must(err)
	s.join(filepath.Join(dir, "certificate-and-key.pem"), certificate, key)
	s.write(dir, "contacts", "")
	s.write(dir, "accounts", fmt.Sprintf("<sip:%s@%s;transport=tls>;regint=0;answermode=%s;mediaenc=srtp-mand;audio_codecs=PCMU/8000/1\n",
		phone.user, softphoneIP, phone.answers))
	s.write(dir, "config", fmt.Sprintf(`
poll_method epoll
net_interface %[1]s
sip_listen %[1]s:%[2]d
sip_certificate %[3]s/certificate-and-key.pem
sip_cafile %[4]s/ca.pem
statmode_default off
rtp_stats yes
snd_path %[3]s
%[5]s
module_path %[6]s
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
module srtp.so
module_tmp account.so
module_app menu.so
`, softphoneIP, phone.port, dir, s.dir, phone.audio, phone.modules))
	args = append([]string{"-4", "-v", "-s", "-f", dir, "-t", strconv.Itoa(int(processLimit.Seconds()))}, args...)
	return s.run("baresip "+name, dir, nil, "baresip", args...)
}

// says waits until the program has written text.
func (p *program) says(text string) {
	p.Helper()
	p.eventually(func() string {
		if strings.Contains(p.output.String(), text) {
			return ""
		}
		return fmt.Sprintf("%s has not said %q", p.name, text)
	})
}

var (
	packetsLine = regexp.MustCompile(`packets: +(\d+) +(\d+)`)
	errorsLine  = regexp.MustCompile(`errors: +(\d+) +(\d+)`)
)

// relayed checks baresip's own statistics: packets sent and received, each at least so many, none of
// them with an error, which is what a packet that SRTP does not verify would be.
func (p *program) relayed(packets int) {
	p.Helper()
	p.eventually(func() string {
		if errorsLine.FindString(p.output.String()) == "" {
			return p.name + " has written no statistics"
		}
		return ""
	})
	counts := packetsLine.FindStringSubmatch(p.output.String())
	if counts == nil {
		p.Fatalf("%s has written no statistics of packets", p.name)
	}
	for i, what := range []string{"sent", "received"} {
		if n, _ := strconv.Atoi(counts[i+1]); n < packets {
			p.Errorf("%s %s %d packets, want at least %d", p.name, what, n, packets)
		}
	}
	if counts := errorsLine.FindStringSubmatch(p.output.String()); counts[1] != "0" || counts[2] != "0" {
		p.Errorf("%s counted errors: %s", p.name, counts[0])
	}
}

// heardTone checks that what the program heard last is a tone of about hz. A gap, which a busy machine
// makes, doesn't count: it is the median period that tells.
func (p *program) heardTone(hz float64) {
	p.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "dump-*-dec.wav"))
	p.must(err)
	if len(files) != 1 {
		p.Fatalf("%s wrote %d WAV files of what it heard, want 1", p.name, len(files))
	}
	wav, err := os.ReadFile(files[0])
	p.must(err)
	const rate, header = 8000, 44
	last := wav[max(header, len(wav)-2*rate)&^1:] // a second of 16 bits
	var (
		periods      []float64 // in samples
		crossed      float64   // where, between samples
		peak, before float64
	)
	for i := 0; i+2 <= len(last); i += 2 {
		sample := float64(int16(binary.LittleEndian.Uint16(last[i:])))
		if before < 0 && sample >= 0 {
			at := float64(i/2) - sample/(sample-before)
			periods, crossed = append(periods, at-crossed), at
		}
		peak, before = max(peak, math.Abs(sample)), sample
	}
	if len(periods) < int(hz/4) || peak < 1000 {
		p.Fatalf("%s heard %d periods with a peak of %.0f in the last second", p.name, len(periods), peak)
	}
	slices.Sort(periods)
	if got := rate / periods[len(periods)/2]; math.Abs(got-hz) > hz/20 {
		p.Errorf("%s heard %.0f Hz, want %.0f Hz", p.name, got, hz)
	}
}

func (s *surroundings) write(dir, name, text string) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// join writes several files into one: baresip wants certificate and key together.
func (s *surroundings) join(to string, from ...string) {
	s.Helper()
	var all []byte
	for _, name := range from {
		text, err := os.ReadFile(name)
		s.must(err)
		all = append(all, text...)
	}
	s.must(os.WriteFile(to, all, 0o600))
}

// requiresBaresip returns where its modules are.
func requiresBaresip(t *testing.T) string {
	t.Helper()
	requires(t, "baresip", "baresip")
	for _, pattern := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules", "/usr/local/lib/baresip/modules"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	missing(t, "the modules of baresip are at none of their usual places")
	return ""
}

// freePorts finds a port that is free for UDP and TCP and is followed by one that is free for TCP.
func freePorts(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		if port, ok := tryPorts(t); ok {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func tryPorts(t *testing.T) (port uint16, ok bool) {
	t.Helper()
	first, err := net.Listen("tcp", softphoneIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	port = first.Addr().(*net.TCPAddr).AddrPort().Port()
	second, err := net.Listen("tcp", fmt.Sprintf("%s:%d", softphoneIP, port+1))
	if err != nil {
		return 0, false
	}
	defer second.Close()
	packets, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", softphoneIP, port))
	if err != nil {
		return 0, false
	}
	defer packets.Close()
	return port, true
}
