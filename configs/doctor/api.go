package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"handoff/configs"
	"handoff/refer/rest"
	"handoff/sip/stack/certificate"
)

// How far the clock may be off: signatures, certificates and logs mean less and less.
const (
	clockWarn = 2 * time.Second
	clockFail = 5 * time.Minute
)

// api asks Twilio's API, which tells of the credentials and by its answer's date of the clock.
func (d *doctor) api(ctx context.Context) []Finding {
	host := webHost(d.cfg.Twilio.REST.BaseURL)
	asked := d.deps.Now()
	date, credentials := d.account(ctx, host)
	return []Finding{d.clock(host, date, asked, d.deps.Now()), credentials}
}

// account checks the credentials. Without any the date is that of the API's front page.
func (d *doctor) account(ctx context.Context, host string) (time.Time, Finding) {
	const probe, check = "twilio api", "correct twilio.rest: account_sid, api_key and the secret in the file of auth_token_file"
	c := d.cfg.Twilio.REST
	roots, err := d.authorities(c.CAFile)
	if err != nil {
		return time.Time{}, fail(probe, host, "correct twilio.rest.ca_file", "%v", err)
	}
	if c.AccountSID == "" {
		client := d.client(certificate.ClientTLS([]string{host}, roots))
		date, _ := head(ctx, client, c.BaseURL)
		return date, skip(probe, host, "twilio.rest is not configured")
	}
	secret, err := configs.Secret(c.AuthTokenFile)
	if err != nil {
		return time.Time{}, fail(probe, host, check, "%v", err)
	}
	client, err := rest.New(rest.Config{
		AccountSID: c.AccountSID, Username: c.APIKey, Secret: secret, BaseURL: c.BaseURL, Roots: roots, Timeout: 2 * d.deps.Within,
	}, rest.Deps{})
	if err != nil {
		return time.Time{}, fail(probe, host, check, "%v", err)
	}
	asked := time.Now()
	date, err := client.Check(ctx)
	took := short(time.Since(asked))
	rejected := rest.Rejected{}
	switch errors.As(err, &rejected); {
	case err == nil:
		return date, ok(probe, host, "the account answers to the credentials, in %s", took)
	case rejected.Status == http.StatusUnauthorized:
		return date, fail(probe, host, check, "the credentials are refused: %v", err)
	case rejected.Status != 0:
		return date, warn(probe, host, "see the account in Twilio's console", "%v", err)
	}
	return date, warn(probe, host, "let TCP out to it in the firewall, and see status.twilio.com: without it method rest does nothing", "%s", what(err))
}

// clock compares ours with the second that an answer names. It was read between asked and answered, and the Date is cut to the second.
func (d *doctor) clock(host string, date, asked, answered time.Time) Finding {
	if date.IsZero() {
		return skip("clock", "", "nothing answered with a date that it could be compared with")
	}
	off, way := time.Duration(0), "ahead"
	if ahead := asked.Sub(date.Add(time.Second)); ahead > 0 {
		off = ahead
	} else if behind := date.Sub(answered); behind > 0 {
		off, way = behind, "behind"
	}
	const do = "let NTP set it (timedatectl set-ntp true): certificates, signatures and the log depend on it"
	found := fmt.Sprintf("at least %s %s of %s", off.Round(100*time.Millisecond), way, host)
	switch {
	case off > clockFail:
		return fail("clock", "", do, "%s", found)
	case off > clockWarn:
		return warn("clock", "", do, "%s", found)
	}
	return ok("clock", "", "agrees with %s", host)
}

// client makes one that finds hosts as we do, follows nothing and keeps nothing.
func (d *doctor) client(secure *tls.Config) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * d.deps.Within,
		Transport:     &http.Transport{DialContext: d.dial, TLSClientConfig: secure, DisableKeepAlives: true},
	}
}

// dial connects to the first address of a host that lets it.
func (d *doctor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: d.deps.Within}
	var errs []error
	for _, ip := range addrs {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func head(ctx context.Context, client *http.Client, address string) (time.Time, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return time.Time{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return time.Time{}, err
	}
	response.Body.Close()
	return http.ParseTime(response.Header.Get("Date"))
}

// withoutURL drops what net/http puts before an error.
func withoutURL(err error) error {
	if named := (*url.Error)(nil); errors.As(err, &named) {
		return named.Err
	}
	return err
}
