package doctor

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"handoff/configs"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	edgeName   = "edge.test"
	watsonName = "watson.test"
	domainName = "acme.sip.twilio.com"
	account    = "AC00000000000000000000000000000000"
	token      = "hush-hush-token"
	password   = "hush-hush-password"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// names is a resolver.
type names map[string][]netip.Addr

func (n names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, known := n[host]; known {
		return addrs, ctx.Err()
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (n names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such host", Name: "_" + service + "._" + proto + "." + name, IsNotFound: true}
}

// recorded is a resolver that knows SRV records too, by the host that they are of.
type recorded struct {
	names
	srv map[string][]*net.SRV
	err error // instead of records
}

func (r recorded) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if r.err != nil || service == "sips" && proto == "tcp" && r.srv[name] != nil {
		return name, r.srv[name], r.err
	}
	return r.names.LookupSRV(ctx, service, proto, name)
}

// rsaKey is one for all: making it costs more than the rest.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authority signs what the simulators' own never would: expired certificates, other keys.
type authority struct {
	t    *testing.T
	key  crypto.Signer
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, key: ecKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, a.key)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, key crypto.Signer) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) issue(key crypto.Signer, lasts time.Duration, hosts ...string) tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(lasts)}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return tls.Certificate{Certificate: [][]byte{a.sign(template, a.cert, key).Raw}, PrivateKey: key}
}

// write puts a pair where the configuration has it.
func (a *authority) write(pair tls.Certificate, files configs.KeyPair) {
	a.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		files.Certificate: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, files.Key: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

const longEnough = 90 * 24 * time.Hour

// world is a configuration of which everything is well, on loopback, with both vendors simulated.
type world struct {
	t          *testing.T
	authority  *authority
	violations *simulator.Violations
	cfg        *configs.Config
	deps       Deps
	resolver   names
	files      fstest.MapFS
	account    *twilio.Account
}

const text = `
sip: {public: edge.test, listen: ["tls:127.0.0.1:%d"], tls: {certificate: edge.pem, key: edge.key}}
twilio:
  rest: {account_sid: %s, auth_token_file: token, base_url: "%s", studio_url: "https://127.0.0.1/flow"}
  sip_domain: {uri: "sip:queue@acme.sip.twilio.com:%d;transport=tls", username: edge, password_file: password}
watson: {targets: ["sips:watson.test:%d"]}
media: {listen: 127.0.0.1, public_ip: 127.0.0.1, ports: %d-%d}
ops: {listen: "127.0.0.1:%d"}
`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, authority: newAuthority(t), violations: &simulator.Violations{}}
	assistant := w.watson(w.authority.issue(rsaKey(), longEnough, watsonName), watson.Behaviour{})
	domain := free(t)
	var err error
	w.account, err = twilio.New(twilio.Config{
		Addr: loopback, Certificate: w.authority.issue(rsaKey(), longEnough, domainName, "127.0.0.1"), Roots: w.authority.pool(),
		AccountSid: account, AuthToken: token, Domain: domainName, DomainPort: domain, Username: "edge", Password: password,
	}, twilio.Deps{Violations: w.violations})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.account.Close)
	dir := t.TempDir()
	for name, secret := range map[string]string{"token": token, "password": password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	media := free(t)
	yaml := fmt.Sprintf(text, free(t), account, w.account.RESTURL(), domain, assistant.Port(), media, media+9, free(t))
	w.cfg, err = configs.Parse(filepath.Join(dir, "edge.yaml"), []byte(yaml), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	w.authority.write(w.authority.issue(rsaKey(), longEnough, edgeName), w.cfg.SIP.TLS)
	w.resolver = names{edgeName: {loopback}, watsonName: {loopback}, domainName: {loopback}}
	w.files = fstest.MapFS{}
	for name, content := range map[string]string{
		"proc/sys/net/ipv4/ip_local_port_range":     "1024\t1025\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports": "\n",
		"proc/sys/kernel/osrelease":                 "6.8.0-test\n",
		"proc/self/status":                          "Name:\tx\nCapEff:\t000000c000003000\n",
		"proc/self/mounts":                          "bpf /sys/fs/bpf bpf rw 0 0\n",
		"proc/self/limits":                          "Limit Soft Hard Units\nMax open files            20000                 20000                files     \n",
	} {
		w.files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	w.deps = Deps{Resolver: w.resolver, Roots: w.authority.pool(), Files: w.files, Within: 2 * time.Second,
		Disk: func(string) Disk { return Disk{Known: true, Free: 1 << 30} }}
	w.cfg.Journal.Path = filepath.Join(dir, "state", "calls.db")
	return w
}

// watson starts an assistant and returns where.
func (w *world) watson(pair tls.Certificate, b watson.Behaviour) netip.AddrPort {
	w.t.Helper()
	a, err := watson.New(watson.Config{Addr: loopback, Certificate: pair, Roots: w.authority.pool(), Behaviour: b}, watson.Deps{Violations: w.violations})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(a.Close)
	return a.Addr()
}

// target lets Watson be somewhere else.
func (w *world) target(at netip.AddrPort) {
	w.cfg.Watson.Targets = []string{fmt.Sprintf("sips:%s:%d", watsonName, at.Port())}
}

// slots counts those that were given out in this process: ten ports each, below what the kernel gives to connections.
var slots = func() (n atomic.Uint32) { n.Store(uint32(os.Getpid())); return }()

// free is the first of ten ports that nobody else of these tests has.
func free(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		port := uint16(30000 + slots.Add(1)%260*10)
		if l, err := net.Listen("tcp", netip.AddrPortFrom(loopback, port).String()); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// run also proves that nothing that is found shows a secret.
func (w *world) run() []Finding {
	w.t.Helper()
	findings := Run(w.t.Context(), w.cfg, w.deps)
	for _, f := range findings {
		if strings.Contains(f.Found+f.Do, "hush") {
			w.t.Errorf("a secret shows: %+v", f)
		}
		if (f.Do != "") != (f.Status == Warn || f.Status == Fail) {
			w.t.Errorf("what to do stands with warn and FAIL: %+v", f)
		}
	}
	if v := w.violations.All(); len(v) > 0 {
		w.t.Errorf("the simulators object: %v", v)
	}
	return findings
}

func tlsListener(l net.Listener, pair tls.Certificate) net.Listener {
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})
}

// tlsPair is the authority's own.
func tlsPair(a *authority) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
}
