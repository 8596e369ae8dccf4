package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"handoff/configs"
	"handoff/sip/stack/certificate"
)

// Calls need no collector: one that is away is a warning.

// collectors are those that are configured.
func (d *doctor) collectors() (probes []probe) {
	if d.cfg.Trace.HEP.Server != (configs.Collector{}) {
		probes = append(probes, one(d.homer))
	}
	if d.cfg.Telemetry.OTLP.Endpoint != "" {
		probes = append(probes, one(d.otlp))
	}
	return probes
}

// homer connects to the collector of trace.hep and sends nothing.
func (d *doctor) homer(ctx context.Context) Finding {
	const probe, do = "hep", "correct trace.hep.server, or let the edge out to it in the firewall"
	c := d.cfg.Trace.HEP
	host, _, _ := net.SplitHostPort(c.Server.Addr) // it was read before
	roots, err := d.authorities(c.CAFile)
	if err != nil {
		return fail(probe, host, "correct trace.hep.ca_file", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*d.deps.Within)
	defer cancel()
	network := "tcp"
	if c.Server.Transport == configs.UDP {
		network = "udp"
	}
	conn, err := d.dial(ctx, network, c.Server.Addr)
	if err != nil {
		return warn(probe, host, do, "%s", what(err))
	}
	defer conn.Close()
	switch c.Server.Transport {
	case configs.UDP:
		return ok(probe, host, "UDP goes to %s; whether somebody listens there is not told", conn.RemoteAddr())
	case configs.TLS:
		if err := tls.Client(conn, certificate.ClientTLS([]string{host}, roots)).HandshakeContext(ctx); err != nil {
			return warn(probe, host, "give it a certificate for "+host+", or trace.hep.ca_file its authority", "%s", what(err))
		}
	}
	return ok(probe, host, "%s takes connections", conn.RemoteAddr())
}

// otlp sends the collector of telemetry.otlp no trace, in the form of some.
func (d *doctor) otlp(ctx context.Context) Finding {
	const probe = "otlp"
	c := d.cfg.Telemetry.OTLP
	host := webHost(c.Endpoint)
	roots, err := d.authorities(c.CAFile)
	if err != nil {
		return fail(probe, host, "correct telemetry.otlp.ca_file", "%v", err)
	}
	headers, err := configs.Headers(c.HeadersFile)
	if err != nil {
		return fail(probe, host, "correct telemetry.otlp.headers_file", "%v", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/v1/traces", bytes.NewReader(nil))
	if err != nil {
		return fail(probe, host, "correct telemetry.otlp.endpoint", "%v", err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "handoff doctor")
	response, err := d.client(certificate.ClientTLS([]string{host}, roots)).Do(request)
	if err != nil {
		return warn(probe, host, "correct telemetry.otlp, or let the edge out to it in the firewall", "%s", what(withoutURL(err)))
	}
	defer response.Body.Close()
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return warn(probe, host, "correct the key in the file of telemetry.otlp.headers_file", "it answers %d", code)
	case code/100 == 2:
		return ok(probe, host, "it takes traces")
	default:
		return warn(probe, host, "let endpoint lead to OTLP over HTTP, mostly at port 4318", "it answers %d to what is to become traces", code)
	}
}
