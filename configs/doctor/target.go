package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"handoff/configs"
	"handoff/sip/stack/certificate"
	"handoff/sip/uri"
)

// peer is somebody whom the edge calls over TLS.
type peer struct {
	probe   string
	uri     uri.URI
	names   []string // of which the certificate must show one
	caFile  string
	caKey   string
	own     configs.KeyPair // shown to one who asks for a client certificate
	nameDo  string          // what to do about a wrong name
	request string          // the Request-URI
}

func (d *doctor) watson(ctx context.Context, target string) Finding {
	u, err := uri.Parse(target)
	if err != nil {
		return fail("watson", "", "correct watson.targets", "%v", err)
	}
	p := peer{
		probe: "watson", uri: u, caFile: d.cfg.Watson.CAFile, caKey: "watson.tls.ca_file", own: d.cfg.Watson.TLS,
		nameDo:  "correct the target, or set watson.tls.server_name to a name of the certificate if that is the assistant's",
		request: "sips:" + hostPort(u),
	}
	if name := d.cfg.Watson.ServerName; name != "" {
		p.names = []string{name}
	}
	return d.reach(ctx, p)
}

func (d *doctor) sipDomain(ctx context.Context) Finding {
	c := d.cfg.Twilio.SIPDomain
	if c.URI == "" {
		return skip("sip domain", "", "twilio.sip_domain is not configured")
	}
	u, err := uri.Parse(c.URI)
	if err != nil {
		return fail("sip domain", "", "correct twilio.sip_domain.uri", "%v", err)
	}
	return d.reach(ctx, peer{
		probe: "sip domain", uri: u, caFile: d.cfg.Twilio.CAFile, caKey: "twilio.tls.ca_file",
		nameDo:  "correct twilio.sip_domain.uri",
		request: "sip:" + hostPort(u) + ";transport=tls",
	})
}

func hostPort(u uri.URI) string {
	if u.Port == 0 {
		return u.Host
	}
	return fmt.Sprintf("%s:%d", u.Host, u.Port)
}

// attempt is what became of one address of a peer.
type attempt struct {
	addr     netip.AddrPort
	err      error // no verified connection
	connect  time.Duration
	version  string
	leaf     *x509.Certificate
	code     int // of the answer
	answered time.Duration
	silent   error // no answer
}

// reach calls every address of a peer side by side. Without the names that it must show, that is its host.
func (d *doctor) reach(ctx context.Context, p peer) Finding {
	name := strings.Trim(p.uri.Host, "[]")
	if p.names == nil {
		p.names = []string{name}
	}
	roots, err := d.authorities(p.caFile)
	if err != nil {
		return fail(p.probe, name, "correct "+p.caKey, "%v", err)
	}
	lookingUp, cancel := context.WithTimeout(ctx, d.deps.Within)
	defer cancel()
	addrs, err := d.where(lookingUp, p.uri)
	if err != nil {
		return fail(p.probe, name, "see dns", "%v", err)
	}
	attempts := make([]attempt, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { // ends with its steps, each of them bounded
			attempts[i] = d.attempt(ctx, p, roots, addr)
		})
	}
	all.Wait()
	return d.judge(p, name, attempts)
}

func (d *doctor) attempt(ctx context.Context, p peer, roots *x509.CertPool, addr netip.AddrPort) attempt {
	a := attempt{addr: addr}
	asked := time.Now()
	connecting, cancel := context.WithTimeout(ctx, d.deps.Within)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(connecting, "tcp", addr.String())
	if err != nil {
		a.err = err
		return a
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	cfg := certificate.ClientTLS(p.names, roots)
	if p.own != (configs.KeyPair{}) {
		pair, err := tls.LoadX509KeyPair(p.own.Certificate, p.own.Key)
		if err != nil {
			a.err = err
			return a
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	conn := tls.Client(raw, cfg)
	if a.err = conn.HandshakeContext(connecting); a.err != nil {
		return a
	}
	a.connect = time.Since(asked)
	state := conn.ConnectionState()
	a.version, a.leaf = tls.VersionName(state.Version), state.PeerCertificates[0]
	asked = time.Now()
	_ = conn.SetDeadline(asked.Add(d.deps.Within)) // fails on a closed connection, as what follows does
	a.code, a.silent = options(conn, d.cfg.SIP.Public, p.request)
	a.answered = time.Since(asked)
	return a
}

// judge sums up: one address that works is enough for a call, one that does not costs it time.
func (d *doctor) judge(p peer, name string, attempts []attempt) Finding {
	var texts []string
	var lost, mute *attempt
	reached := 0
	for i := range attempts {
		a := &attempts[i]
		texts = append(texts, a.addr.String()+": "+d.told(a))
		switch {
		case a.err != nil:
			lost = cmp.Or(lost, a)
		case a.silent != nil:
			mute = cmp.Or(mute, a)
			reached++
		default:
			reached++
		}
	}
	found := strings.Join(texts, "; ")
	switch {
	case reached == 0:
		return fail(p.probe, name, remedy(lost.err, p, lost.addr), "%s", found)
	case lost != nil:
		return warn(p.probe, name, remedy(lost.err, p, lost.addr), "%s", found)
	case mute != nil:
		return warn(p.probe, name, "see whether SIP over TLS is what answers there: a call would wait in vain", "%s", found)
	}
	return ok(p.probe, name, "%s", found)
}

func (d *doctor) told(a *attempt) string {
	if a.err != nil {
		return what(a.err)
	}
	text := fmt.Sprintf("%s in %s, certificate ends %s", a.version, short(a.connect), ended(a.leaf, d.deps.Now()))
	if a.silent != nil {
		return text + ", OPTIONS not answered: " + what(a.silent)
	}
	return fmt.Sprintf("%s, OPTIONS %d in %s", text, a.code, short(a.answered))
}

// what is an error of the network without addresses and prefixes: these stand beside it.
func what(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return "interrupted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return wrong(err)
}

func remedy(err error, p peer, addr netip.AddrPort) string {
	var (
		refused *certificate.Error
		opened  *net.OpError
	)
	switch {
	case errors.As(err, &refused) && refused.Fault == certificate.FaultName:
		return p.nameDo
	case errors.As(err, &refused) && (refused.Fault == certificate.FaultAuthority || refused.Fault == certificate.FaultSelfSigned):
		return "give " + p.caKey + " the PEM file of its authority, if it is a private one that you trust"
	case errors.As(err, &refused):
		return "tell its operator, once this machine's clock is known to be right"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "correct the host or the port, or wait until something listens there"
	case errors.As(err, &opened), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("let TCP out to %s in the firewall, and see whether that is the right address", addr)
	}
	return "see whether SIP over TLS is what answers there"
}
