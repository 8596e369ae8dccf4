package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"handoff/sip/stack/certificate"
)

// webhooks sends what Twilio would, but unsigned: only an edge refuses that with 403.
func (d *doctor) webhooks(ctx context.Context) Finding {
	const probe = "webhooks"
	public := d.cfg.Webhooks.PublicURL
	if public == "" {
		return skip(probe, "", "webhooks are not configured")
	}
	host := webHost(public)
	client := d.client(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection:   func(s tls.ConnectionState) error { return d.trusted(s.PeerCertificates, []string{host}) },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(public, "/")+"/twilio/status", strings.NewReader(""))
	if err != nil {
		return fail(probe, host, "correct webhooks.public_url", "%v", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "handoff doctor")
	asked := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return unreached(probe, host, err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64)) // what is missing is not what an edge says
	if response.StatusCode == http.StatusForbidden && strings.Contains(string(text), "Twilio") {
		return ok(probe, host, "an edge answers at public_url, in %s", short(time.Since(asked)))
	}
	return warn(probe, host, "let public_url lead to webhooks.listen of the edge, past no proxy that answers by itself",
		"somebody else answers %d at public_url", response.StatusCode)
}

func unreached(probe, host string, err error) Finding {
	if refused := (*certificate.Error)(nil); errors.As(err, &refused) {
		return fail(probe, host, "give webhooks.tls, or what answers for it, a certificate of a public authority for "+host+": Twilio verifies it", "%s", wrong(err))
	}
	return warn(probe, host, "start handoff serve, or forward the port of public_url to webhooks.listen", "%s", what(withoutURL(err)))
}
