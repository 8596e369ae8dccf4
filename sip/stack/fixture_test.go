package stack

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"handoff/metrics"
	"handoff/sip/uri"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; nothing that works comes near it.
const patience = 10 * time.Second

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// node is a stack under test with everything that it told.
type node struct {
	*Stack
	seen *seen
}

// seen is Handler and Observer.
type seen struct {
	requests chan *ServerTx
	acks     chan *sipmsg.Request
	cancels  chan *ServerTx
	losses   chan *ServerTx
	strays   chan *sipmsg.Response
	onNew    func(*ServerTx) // instead of requests

	mu          sync.Mutex
	rejected    map[metrics.Reject]int
	messages    map[string]int
	connections int
	expiries    []time.Time

	peerExpiries []string
}

func (s *seen) OnRequest(tx *ServerTx) {
	if s.onNew != nil {
		s.onNew(tx)
		return
	}
	s.requests <- tx
}
func (s *seen) OnACK(req *sipmsg.Request, _ *Flow)    { s.acks <- req }
func (s *seen) OnCancel(tx *ServerTx)                 { s.cancels <- tx }
func (s *seen) OnStray(res *sipmsg.Response, _ *Flow) { s.strays <- res }
func (s *seen) OnLost(tx *ServerTx)                   { s.losses <- tx }

func (s *seen) Request(d metrics.Direction, method string, _ metrics.Peer) {
	s.bump(d.String() + " " + method)
}

func (s *seen) Response(d metrics.Direction, method string, code int, _ metrics.Peer) {
	s.bump(fmt.Sprintf("%s %s %d", d, method, code))
}

func (s *seen) bump(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages[what]++
}

func (s *seen) Rejected(r metrics.Reject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected[r]++
}

func (s *seen) Connections(_ metrics.Peer, delta int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections += delta
}

func (s *seen) CertificateExpiry(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiries = append(s.expiries, t)
}

func (s *seen) PeerCertificateExpiry(p metrics.Peer, notAfter time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peerExpiries = append(s.peerExpiries, fmt.Sprint(p, " ", notAfter.Unix()))
}

func (s *seen) rejects(r metrics.Reject) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rejected[r]
}

func (s *seen) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[what]
}

func newSeen() *seen {
	return &seen{
		requests: make(chan *ServerTx, 4096), acks: make(chan *sipmsg.Request, 64),
		cancels: make(chan *ServerTx, 1024), losses: make(chan *ServerTx, 64), strays: make(chan *sipmsg.Response, 64),
		rejected: map[metrics.Reject]int{}, messages: map[string]int{},
	}
}

func deps(t *testing.T, s *seen) Deps {
	return Deps{
		Log:      zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)),
		Observer: s,
		Handler:  s,
		Admit:    func(netip.AddrPort, Transport) metrics.Peer { return metrics.PeerTwilio },
	}
}

// start runs a stack on loopback with the given transports.
func start(t *testing.T, change func(*Config, *Deps), transports ...Transport) *node {
	t.Helper()
	s := newSeen()
	cfg, d := Config{Public: "127.0.0.1"}, deps(t, s)
	for _, tr := range transports {
		cfg.Listen = append(cfg.Listen, Listen{tr, loopback})
	}
	if slices.Contains(transports, TLS) {
		cfg.Certificate, cfg.Key = newAuthority(t).files(t, "edge.example.com")
	}
	if change != nil {
		change(&cfg, &d)
	}
	st, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return &node{st, s}
}

// take waits for one value.
func take[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func none[T any](t *testing.T, from <-chan T, what string) {
	t.Helper()
	select {
	case <-from:
		t.Fatalf("unexpected %s", what)
	default:
	}
}

// eventually polls what has no channel.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// wirePeer is the far end of a byte stream, speaking raw SIP.
type wirePeer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func peerOn(t *testing.T, conn net.Conn) *wirePeer {
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &wirePeer{t, conn, bufio.NewReader(conn)}
}

func dialPeer(t *testing.T, to netip.AddrPort) *wirePeer {
	t.Helper()
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	return peerOn(t, conn)
}

func (p *wirePeer) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next message.
func (p *wirePeer) read() message {
	p.t.Helper()
	var m message
	length := 0
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		m.lines = append(m.lines, line)
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(v)
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(p.r, body); err != nil {
		p.t.Fatal(err)
	}
	m.body = string(body)
	return m
}

// wantClosed reads until the other side has closed.
func (p *wirePeer) wantClosed() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err == nil || os.IsTimeout(err) {
		p.t.Fatalf("got byte %q, error %v, want the connection closed", b, err)
	}
}

// message is what a raw peer received.
type message struct {
	lines []string
	body  string
}

func (m message) start() string { return m.lines[0] }

func (m message) get(name string) string {
	for _, l := range m.lines[1:] {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			return v
		}
	}
	return ""
}

func (m message) all(name string) (values []string) {
	for _, l := range m.lines[1:] {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			values = append(values, v)
		}
	}
	return values
}

func (m message) tag() string { _, tag, _ := strings.Cut(m.get("To"), ";tag="); return tag }

func (m message) branch() string {
	_, b, _ := strings.Cut(m.get("Via"), "branch=")
	b, _, _ = strings.Cut(b, ";")
	return b
}

// reply answers a request that a raw peer received.
func (m message) reply(status string, extra ...string) string {
	lines := []string{"SIP/2.0 " + status}
	for _, v := range m.all("Via") {
		lines = append(lines, "Via: "+v)
	}
	to := m.get("To")
	if !strings.Contains(to, "tag=") && !strings.HasPrefix(status, "100") {
		to += ";tag=far"
	}
	lines = append(lines, "From: "+m.get("From"), "To: "+to, "Call-ID: "+m.get("Call-ID"), "CSeq: "+m.get("CSeq"))
	lines = append(lines, extra...)
	return strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

// udpPeer is a raw UDP peer.
type udpPeer struct {
	t *testing.T
	*net.UDPConn
}

func newUDPPeer(t *testing.T) *udpPeer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &udpPeer{t, conn}
}

func (p *udpPeer) port() int { return p.LocalAddr().(*net.UDPAddr).Port }

func (p *udpPeer) sendTo(to netip.AddrPort, text string) {
	p.t.Helper()
	if _, err := p.WriteToUDPAddrPort([]byte(text), to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *udpPeer) receive() (message, netip.AddrPort) {
	p.t.Helper()
	buf := make([]byte, 65535)
	n, from, err := p.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatal(err)
	}
	head, body, _ := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
	return message{strings.Split(string(head), "\r\n"), string(body)}, from
}

// rawRequest is a request of a raw peer; extra lines come last. body may be "".
func rawRequest(method, branch string, cseq int, extra ...string) string {
	return rawRequestVia("SIP/2.0/TCP 127.0.0.1:5999;rport;branch=z9hG4bK"+branch, method, branch, cseq, extra...)
}

func rawRequestVia(via, method, callID string, cseq int, extra ...string) string {
	lines := append([]string{
		method + " sip:edge@127.0.0.1 SIP/2.0",
		"Via: " + via,
		"From: <sip:caller@example.com>;tag=near",
		"To: <sip:edge@127.0.0.1>",
		"Call-ID: " + callID,
		fmt.Sprintf("CSeq: %d %s", cseq, method),
		"Max-Forwards: 70",
	}, extra...)
	return strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

// newRequest is a request that the edge sends.
func newRequest(t *testing.T, method sipmsg.RequestMethod, target string) *sipmsg.Request {
	t.Helper()
	u, err := uri.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	req := sipmsg.NewRequest(method, u.SIP())
	callID := sipmsg.CallIDHeader("call-" + newTag())
	req.AppendHeader(sipmsg.NewHeader("From", "<sip:edge@127.0.0.1>;tag=edge"))
	req.AppendHeader(sipmsg.NewHeader("To", "<sip:far@example.com>"))
	req.AppendHeader(&callID)
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: 7, MethodName: method})
	return req
}

func hopTo(t *testing.T, target string) Hop {
	t.Helper()
	u, err := uri.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return Hop{URI: u, Peer: metrics.PeerWatson}
}

// events is a sink to wait on.
func events() (chan TxEvent, func(TxEvent)) {
	ch := make(chan TxEvent, 256)
	return ch, func(ev TxEvent) { ch <- ev }
}

// server is a raw TCP or TLS listener.
func server(t *testing.T, cfg *tls.Config) (net.Listener, chan *wirePeer) {
	t.Helper()
	ln, err := net.Listen("tcp", loopback.String())
	if err != nil {
		t.Fatal(err)
	}
	peers := make(chan *wirePeer, 256)
	done := make(chan struct{})
	go func() { // ends when the cleanup closes ln
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if cfg != nil {
				conn = tls.Server(conn, cfg)
			}
			peers <- peerOn(t, conn)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln, peers
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair issues a certificate for a DNS name.
func (a *authority) pair(t *testing.T, name string) (certPEM, keyPEM []byte) {
	t.Helper()
	return a.issue(t, newKey(t), func(c *x509.Certificate) { c.DNSNames = []string{name} })
}

// issue signs a certificate for key, good for an hour unless it is changed.
func (a *authority) issue(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func (a *authority) files(t *testing.T, name string) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.write(t, name, cert, key)
	return cert, key
}

func (a *authority) write(t *testing.T, name, cert, key string) {
	t.Helper()
	a.writeIssued(t, cert, key, func(c *x509.Certificate) { c.DNSNames = []string{name} })
}

func (a *authority) writeIssued(t *testing.T, cert, key string, change func(*x509.Certificate)) {
	t.Helper()
	c, k := a.issue(t, newKey(t), change)
	writeFiles(t, map[string][]byte{cert: c, key: k})
}

func writeFiles(t *testing.T, files map[string][]byte) {
	t.Helper()
	for file, data := range files {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *authority) config(t *testing.T, name string) *tls.Config {
	t.Helper()
	c, k := a.pair(t, name)
	return showing(t, c, k)
}

// showing is the configuration of a server with that certificate.
func showing(t *testing.T, certPEM, keyPEM []byte) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}
