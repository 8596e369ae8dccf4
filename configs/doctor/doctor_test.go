package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"

	"handoff/configs"
	"handoff/sip/journal"
	"handoff/sip/simulator/watson"
)

func TestAllIsWell(t *testing.T) {
	w := newWorld(t)
	var got []string
	for _, f := range w.run() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%v %s %s", f.Status, f.Probe, f.Subject)))
		if f.Status == Fail || f.Status == Warn {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"ok configuration", "ok dns edge.test", "ok dns watson.test", "ok dns acme.sip.twilio.com", "ok clock", "ok twilio api 127.0.0.1",
		"ok certificate sip.tls", "skip certificate webhooks.tls", "ok watson watson.test", "ok sip domain acme.sip.twilio.com",
		"ok address sip.public", "ok address media.public_ip", "ok listen sip.listen[0]", "ok listen ops.listen",
		"ok media ports media.ports", "ok port range media.ports", "ok descriptors limits.calls", "ok journal journal.path", "ok kernel", "skip webhooks",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestEachTroubleHasItsFinding: one thing is wrong, one finding says so, and what to do.
func TestEachTroubleHasItsFinding(t *testing.T) {
	files := func(path, content string) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) { w.files[path] = &fstest.MapFile{Data: []byte(content)} }
	}
	own := func(lasts time.Duration, host string) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) {
			w.authority.write(w.authority.issue(rsaKey(), lasts, host), w.cfg.SIP.TLS)
		}
	}
	for name, tt := range map[string]struct {
		probe, subject string
		status         Status
		found, do      string // parts
		make           func(*testing.T, *world)
	}{
		"a secret's file is gone": {"configuration", "twilio.rest.auth_token_file", Fail, "no such file", "does not start", func(t *testing.T, w *world) {
			if err := os.Remove(w.cfg.Twilio.REST.AuthTokenFile); err != nil {
				t.Fatal(err)
			}
		}},
		"our name does not resolve": {"dns", edgeName, Fail, "does not resolve", "A or AAAA record", func(_ *testing.T, w *world) {
			delete(w.resolver, edgeName)
		}},
		"watson's name does not resolve": {"dns", watsonName, Fail, "does not resolve", "watson.targets", func(_ *testing.T, w *world) {
			delete(w.resolver, watsonName)
		}},
		"an API that nobody needs does not resolve": {"dns", "api.test", Warn, "does not resolve", "base_url", func(_ *testing.T, w *world) {
			w.cfg.Twilio.REST = configs.REST{BaseURL: "https://api.test"}
		}},
		"the clock is some seconds ahead": {"clock", "", Warn, "s ahead of 127.0.0.1", "NTP", func(_ *testing.T, w *world) {
			w.deps.Now = func() time.Time { return time.Now().Add(10*time.Second + 900*time.Millisecond) }
		}},
		"the clock is behind": {"clock", "", Fail, "behind", "NTP", func(_ *testing.T, w *world) {
			w.deps.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
		}},
		"the clock has nothing to compare with": {"clock", "", Skip, "nothing answered", "", func(t *testing.T, w *world) {
			w.cfg.Twilio.REST.BaseURL = fmt.Sprintf("https://127.0.0.1:%d", free(t))
		}},
		"the API is dead": {"twilio api", "127.0.0.1", Warn, "connection refused", "firewall", func(t *testing.T, w *world) {
			w.cfg.Twilio.REST.BaseURL = fmt.Sprintf("https://127.0.0.1:%d", free(t))
		}},
		"the token is wrong": {"twilio api", "127.0.0.1", Fail, "refused: twilio answered 401", "account_sid", func(t *testing.T, w *world) {
			if err := os.WriteFile(w.cfg.Twilio.REST.AuthTokenFile, []byte("hush-hush-wrong"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"our certificate has expired":      {"certificate", "sip.tls", Fail, "expired on", "renew", own(-time.Hour, edgeName)},
		"our certificate ends soon":        {"certificate", "sip.tls", Warn, "19 days left", "renew", own(20*24*time.Hour-time.Hour, edgeName)},
		"our certificate has no such name": {"certificate", "sip.tls", Fail, "is for other.test, want edge.test", "issued for edge.test", own(longEnough, "other.test")},
		"our certificate is trusted by nobody": {"certificate", "sip.tls", Fail, "unknown authority", "fullchain.pem", func(t *testing.T, w *world) {
			stranger := newAuthority(t)
			stranger.write(stranger.issue(rsaKey(), longEnough, edgeName), w.cfg.SIP.TLS)
		}},
		"our certificate is ECDSA": {"certificate", "sip.tls", Fail, "its key is ECDSA", "RSA", func(t *testing.T, w *world) {
			w.authority.write(w.authority.issue(ecKey(t), longEnough, edgeName), w.cfg.SIP.TLS)
		}},
		"watson's certificate has expired": {"watson", watsonName, Fail, "expired at", "operator", func(_ *testing.T, w *world) {
			w.target(w.watson(w.authority.issue(rsaKey(), -time.Hour, watsonName), watson.Behaviour{}))
		}},
		"watson's certificate is another's": {"watson", watsonName, Fail, "is for other.test, want watson.test", "server_name", func(_ *testing.T, w *world) {
			w.target(w.watson(w.authority.issue(rsaKey(), longEnough, "other.test"), watson.Behaviour{}))
		}},
		"watson's authority is unknown": {"watson", watsonName, Fail, "unknown authority", "watson.tls.ca_file", func(t *testing.T, w *world) {
			w.target(w.watson(newAuthority(t).issue(rsaKey(), longEnough, watsonName), watson.Behaviour{}))
		}},
		"watson's port is dead": {"watson", watsonName, Fail, "connection refused", "host or the port", func(t *testing.T, w *world) {
			w.target(netip.AddrPortFrom(loopback, free(t)))
		}},
		"watson accepts and says nothing": {"watson", watsonName, Fail, "no answer in time", "", func(t *testing.T, w *world) {
			w.target(accepting(t, nil))
		}},
		"watson speaks no SIP": {"watson", watsonName, Warn, "OPTIONS not answered: no answer in time", "SIP over TLS", func(t *testing.T, w *world) {
			w.target(accepting(t, w.authority))
		}},
		"one of watson's addresses is dead": {"watson", watsonName, Warn, "127.0.0.77:", "host or the port", func(_ *testing.T, w *world) {
			w.resolver[watsonName] = []netip.Addr{netip.MustParseAddr("127.0.0.77"), loopback}
		}},
		"the SIP domain's certificate is another's": {"sip domain", "acme.test", Fail, "certificate is for", "sip_domain.uri", func(_ *testing.T, w *world) {
			w.resolver["acme.test"] = []netip.Addr{loopback}
			w.cfg.Twilio.SIPDomain.URI = strings.Replace(w.cfg.Twilio.SIPDomain.URI, domainName, "acme.test", 1)
		}},
		"we are behind NAT": {"address", "sip.public", Warn, "203.0.113.10 is on no interface", "forward TCP ", func(_ *testing.T, w *world) {
			w.resolver[edgeName] = []netip.Addr{netip.MustParseAddr("203.0.113.10")}
		}},
		"media are behind NAT": {"address", "media.public_ip", Warn, "203.0.113.10", "forward UDP ", func(_ *testing.T, w *world) {
			w.cfg.Media.PublicIP = netip.MustParseAddr("203.0.113.10")
		}},
		"a listener's address is taken": {"listen", "sip.listen[0]", Warn, "is in use", "unless an edge is running: ss -ltnp", func(t *testing.T, w *world) {
			w.cfg.SIP.Listen[0].Addr = accepting(t, nil)
		}},
		"a listener's address is not ours": {"listen", "sip.listen[0]", Fail, "no interface has the address", "0.0.0.0", func(_ *testing.T, w *world) {
			w.cfg.SIP.Listen[0].Addr = netip.MustParseAddrPort("192.0.2.1:5061")
		}},
		"media ports are taken": {"media ports", "media.ports", Warn, "in use: ", "move media.ports", func(t *testing.T, w *world) {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, w.cfg.Media.Ports.Last)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
		}},
		"media ports are given to connections": {"port range", "media.ports", Warn, "overlaps", "ip_local_reserved_ports=9000,", func(_ *testing.T, w *world) {
			files("proc/sys/net/ipv4/ip_local_port_range", "10000\t60999\n")(nil, w)
			files("proc/sys/net/ipv4/ip_local_reserved_ports", "9000\n")(nil, w)
		}},
		"few descriptors": {"descriptors", "limits.calls", Warn, "allows 1024, 1000 calls may need 8256", "LimitNOFILE=8256",
			files("proc/self/limits", "Max open files            1024                 4096                 files\n")},
		"a unit that keeps no sockets": {"systemd", "handoff.service", Warn, "keeps 0 sockets beyond a crash, 1000 calls on the portable media path have 4064", "FileDescriptorStoreMax=4064",
			files(unitFile, "[Service]\nType=notify\n")},
		"a unit that keeps few": {"systemd", "handoff.service", Warn, "keeps 512 sockets", "FileDescriptorStoreMax=4064", func(_ *testing.T, w *world) {
			files(unitFile, "[Service]\nFileDescriptorStoreMax=4096\nNotifyAccess=all\n")(nil, w)
			files(unitFile+".d/less.conf", "[Service]\nFileDescriptorStoreMax = 512\n")(nil, w)
		}},
		"a unit that hears one process": {"systemd", "handoff.service", Warn, "NotifyAccess=main", "NotifyAccess=all",
			files(unitFile, "[Service]\nFileDescriptorStoreMax=4096\n")},
		"our unit": {"systemd", "handoff.service", OK, "keeps 4096 sockets beyond a crash", "", func(t *testing.T, w *world) {
			text, err := os.ReadFile("../systemd/handoff.service")
			if err != nil {
				t.Fatal(err)
			}
			files(unitFile, string(text))(nil, w)
		}},
		"an edge writes to the journal": {"journal", "journal.path", OK, "an edge writes there, 1024 MB free", "", func(t *testing.T, w *world) {
			journalOf(t, w)
		}},
		"calls in the journal": {"journal", "journal.path", OK, "2 calls of a process that has ended", "", func(t *testing.T, w *world) {
			file := journalOf(t, w)
			file.Put(func() journal.Record { return journal.Record{ID: "c1"} }, func(error) {})
			file.Put(func() journal.Record { return journal.Record{ID: "c2"} }, func(error) {})
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}},
		"a journal of a later version": {"journal", "journal.path", Fail, "schema 9", "move the file away", func(t *testing.T, w *world) {
			_ = journalOf(t, w).Close()
			db, err := bbolt.Open(w.cfg.Journal.Path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("file")).Put([]byte("schema"), []byte{0, 0, 0, 9})
			}); err != nil {
				t.Fatal(err)
			}
		}},
		"a journal that is none": {"journal", "journal.path", Warn, "corrupted", "sets it aside", func(t *testing.T, w *world) {
			_ = journalOf(t, w).Close()
			if err := os.WriteFile(w.cfg.Journal.Path, []byte(strings.Repeat("no journal ", 10_000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"a journal that can't be made": {"journal", "journal.path", Fail, "/proc", "StateDirectory=", func(_ *testing.T, w *world) {
			w.cfg.Journal.Path = "/proc/none/calls.db"
		}},
		"a journal on another machine's disk": {"journal", "journal.path", Warn, "is on NFS", "this machine", func(_ *testing.T, w *world) {
			w.deps.Disk = func(string) Disk { return Disk{Known: true, Foreign: "NFS", Free: 1 << 30} }
		}},
		"a journal on a full disk": {"journal", "journal.path", Warn, "3 MB are free", "make room", func(_ *testing.T, w *world) {
			w.deps.Disk = func(string) Disk { return Disk{Known: true, Free: 3 << 20} }
		}},
		"no journal": {"journal", "journal.kind", OK, "do not outlive", "", func(_ *testing.T, w *world) { w.cfg.Journal.Kind = configs.JournalMemory }},
		"no Linux":   {"kernel", "", Skip, "not Linux", "", func(_ *testing.T, w *world) { clear(w.files) }},
		"no edge answers the webhooks": {"webhooks", "127.0.0.1", Warn, "connection refused", "handoff serve", func(t *testing.T, w *world) {
			w.cfg.Webhooks.PublicURL = fmt.Sprintf("https://127.0.0.1:%d", free(t))
		}},
		"somebody else answers the webhooks": {"webhooks", "127.0.0.1", Warn, "answers 404", "webhooks.listen", func(t *testing.T, w *world) {
			w.cfg.Webhooks.PublicURL = web(t, http.NotFoundHandler())
		}},
		"the webhooks' certificate does not verify": {"webhooks", "127.0.0.1", Fail, "self-signed", "public authority", func(t *testing.T, w *world) {
			s := httptest.NewTLSServer(http.NotFoundHandler())
			s.Config.ErrorLog = nil
			t.Cleanup(s.Close)
			w.cfg.Webhooks.PublicURL = s.URL
		}},
		"Homer is away": {"hep", "127.0.0.1", Warn, "connection refused", "trace.hep.server", func(t *testing.T, w *world) {
			w.cfg.Trace.HEP.Server = configs.Collector{Transport: configs.TCP, Addr: netip.AddrPortFrom(loopback, free(t)).String()}
		}},
		"Homer has no address": {"hep", "homer.test", Warn, "does not resolve", "trace.hep.server", func(_ *testing.T, w *world) {
			w.cfg.Trace.HEP.Server = configs.Collector{Transport: configs.UDP, Addr: "homer.test:9060"}
		}},
		"Homer over UDP": {"hep", "127.0.0.1", OK, "not told", "", func(_ *testing.T, w *world) {
			w.cfg.Trace.HEP.Server = configs.Collector{Transport: configs.UDP, Addr: "127.0.0.1:9060"}
		}},
		"Homer over TLS": {"hep", watsonName, OK, "takes connections", "", func(t *testing.T, w *world) {
			w.cfg.Trace.HEP.Server = configs.Collector{Transport: configs.TLS, Addr: fmt.Sprintf("%s:%d", watsonName, accepting(t, w.authority).Port())}
		}},
		"Homer's authority is unknown": {"hep", watsonName, Warn, "unknown authority", "trace.hep.ca_file", func(t *testing.T, w *world) {
			w.cfg.Trace.HEP.Server = configs.Collector{Transport: configs.TLS, Addr: fmt.Sprintf("%s:%d", watsonName, accepting(t, newAuthority(t)).Port())}
		}},
		"the collector of traces is away": {"otlp", "127.0.0.1", Warn, "connection refused", "firewall", func(t *testing.T, w *world) {
			w.cfg.Telemetry.OTLP.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", free(t))
		}},
		"the collector of traces takes them": {"otlp", "127.0.0.1", OK, "takes traces", "", func(t *testing.T, w *world) {
			w.cfg.Telemetry.OTLP = collector(t, token)
		}},
		"the collector of traces knows another key": {"otlp", "127.0.0.1", Warn, "answers 401", "headers_file", func(t *testing.T, w *world) {
			w.cfg.Telemetry.OTLP = collector(t, "hush-hush-wrong")
		}},
		"somebody else answers for traces": {"otlp", "127.0.0.1", Warn, "answers 404", "4318", func(t *testing.T, w *world) {
			w.cfg.Telemetry.OTLP.Endpoint = web(t, http.NotFoundHandler())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.make(t, w)
			for _, f := range w.run() {
				if f.Probe == tt.probe && f.Subject == tt.subject {
					if f.Status != tt.status || !strings.Contains(f.Found, tt.found) || !strings.Contains(f.Do, tt.do) {
						t.Errorf("%+v", f)
					}
					return
				}
			}
			t.Error("no finding")
		})
	}
}

// accepting takes connections and never says anything; with an authority it shakes hands first.
func accepting(t *testing.T, a *authority) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if a != nil {
		l = tlsListener(l, a.issue(rsaKey(), longEnough, watsonName))
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends when the other side closes
				defer conn.Close()
				for buf := make([]byte, 4096); ; {
					if _, err := conn.Read(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func web(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// collector takes requests for traces that show its key, and is asked with the token.
func collector(t *testing.T, key string) configs.OTLP {
	t.Helper()
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("x-key="+token), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.OTLP{HeadersFile: headers, Endpoint: web(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.ContentLength != 0 {
			t.Errorf("%s %s of %d bytes", r.Method, r.URL, r.ContentLength)
		}
		if r.Header.Get("X-Key") != key {
			rw.WriteHeader(http.StatusUnauthorized)
		}
	}))}
}

func TestAPrivateWorldTrustsItsOwnAuthority(t *testing.T) {
	w := newWorld(t)
	w.deps.Roots = x509.NewCertPool()
	f, _ := w.own()
	if f.Status != Fail {
		t.Errorf("%+v", f)
	}
	w.cfg.Twilio.CAFile = w.cfg.SIP.TLS.Certificate + ".ca"
	w.authority.write(tlsPair(w.authority), configs.KeyPair{Certificate: w.cfg.Twilio.CAFile, Key: w.cfg.Twilio.CAFile + ".key"})
	if f, _ := w.own(); f.Status != OK {
		t.Errorf("%+v", f)
	}
}

func (w *world) own() (Finding, *x509.Certificate) {
	d := &doctor{w.cfg, w.deps.withDefaults()}
	return d.ownCertificate("sip.tls", w.cfg.SIP.TLS, edgeName, "sip.public")
}

// The answer's date is cut to the second, and may be of any moment between question and answer.
func TestClockIsJudgedByTheWholeInterval(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := &doctor{}
	for _, tt := range []struct {
		asked, answered time.Duration // from date
		want            Status
	}{
		{0, 0, OK},
		{2900 * time.Millisecond, 2900 * time.Millisecond, OK},
		{3100 * time.Millisecond, 3200 * time.Millisecond, Warn},
		{-9 * time.Second, time.Second, OK},
		{-9 * time.Second, -3 * time.Second, Warn},
		{-10 * time.Minute, -6 * time.Minute, Fail},
		{6 * time.Minute, 6 * time.Minute, Fail},
	} {
		if got := d.clock("h", date, date.Add(tt.asked), date.Add(tt.answered)); got.Status != tt.want {
			t.Errorf("%v, %v: %+v", tt.asked, tt.answered, got)
		}
	}
}

func TestSampleTakesBothEnds(t *testing.T) {
	for _, tt := range []struct {
		r    configs.PortRange
		want []uint16
	}{
		{configs.PortRange{First: 10000, Last: 10001}, []uint16{10000}},
		{configs.PortRange{First: 10000, Last: 10005}, []uint16{10000, 10002, 10004}},
		{configs.PortRange{First: 65520, Last: 65535}, []uint16{65520, 65522, 65524, 65526, 65528, 65530, 65532, 65534}},
	} {
		if got := sample(tt.r); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.r, got)
		}
	}
	if got := sample(configs.PortRange{First: 10000, Last: 19999}); len(got) != samples || got[0] != 10000 || got[samples-1] != 19998 {
		t.Errorf("%v", got)
	}
}

func TestStatusIsClosed(t *testing.T) {
	want := []string{"ok", "warn", "fail", "skip"}
	for i, s := range Statuses() {
		if text, err := json.Marshal(s); err != nil || string(text) != `"`+want[i]+`"` {
			t.Errorf("%v: %s, %v", s, text, err)
		}
	}
	if Status(9).String() != "unknown" {
		t.Error("a status that does not exist has a name")
	}
}

func TestUnusableFilesAreFindings(t *testing.T) {
	if got := Unusable(nil); got != nil {
		t.Errorf("%+v", got)
	}
	_, err := configs.Parse("edge.yaml", []byte("frobnicate: 1\nlimits: {calls: -1}\n"), os.LookupEnv)
	got := Unusable(err)
	unknown := slices.ContainsFunc(got, func(f Finding) bool {
		return f.Status == Fail && f.Subject == "frobnicate" && strings.HasPrefix(f.Found, "edge.yaml:1:1:")
	})
	if len(got) < 2 || !unknown {
		t.Errorf("%+v", got)
	}
	if got := Unusable(errors.New("is a directory")); len(got) != 1 || got[0].Found != "is a directory" {
		t.Errorf("%+v", got)
	}
}

func TestWhatAPeerSaysIsNotForTheTerminal(t *testing.T) {
	if got := printable("a\x1b[2Jb\nc"); got != "a?[2Jb; c" {
		t.Errorf("%q", got)
	}
}

func TestATargetThatDemandsACertificateGetsIt(t *testing.T) {
	w := newWorld(t)
	pair := w.authority.issue(rsaKey(), longEnough, edgeName)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shown := make(chan int, 1)
	go func() { // ends with the doctor's connection
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		err = conn.(*tls.Conn).Handshake()
		if err != nil {
			shown <- 0
			return
		}
		shown <- len(conn.(*tls.Conn).ConnectionState().PeerCertificates)
	}()
	own := configs.KeyPair{Certificate: filepath.Join(t.TempDir(), "own.pem"), Key: filepath.Join(t.TempDir(), "own.key")}
	w.authority.write(pair, own)
	d := &doctor{w.cfg, w.deps.withDefaults()}
	a := d.attempt(t.Context(), peer{names: []string{edgeName}, own: own}, w.authority.pool(), netip.MustParseAddrPort(l.Addr().String()))
	if n := <-shown; a.err != nil || n == 0 {
		t.Errorf("%d certificates, %v", n, a.err)
	}
}

// journalOf makes the journal and holds it as an edge does.
func journalOf(t *testing.T, w *world) *journal.Bolt {
	t.Helper()
	file, _, err := journal.Open(w.cfg.Journal.Path, journal.Deps{Log: zap.NewNop(), Observer: unheard{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// unheard listens to no journal.
type unheard struct{}

func (unheard) JournalWritten(int, time.Duration) {}
func (unheard) JournalFailed()                    {}
func (unheard) JournalDropped()                   {}
func (unheard) JournalHealthy(bool)               {}
