package twilio

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// serveWeb starts the Functions on one port and Twilio's own webhooks, Studio and Flex, on another.
func (a *Account) serveWeb() error {
	functions, err := net.Listen("tcp", netip.AddrPortFrom(a.cfg.Addr, a.cfg.HTTPPort).String())
	if err != nil {
		return err
	}
	webhooks, err := net.Listen("tcp", netip.AddrPortFrom(a.cfg.Addr, a.cfg.WebhookPort).String())
	if err != nil {
		functions.Close()
		return err
	}
	path := flowPath(a.cfg.AccountSid)
	a.studioURL = "http://" + webhooks.Addr().String() + path
	receive := "http://" + functions.Addr().String() + "/receive-call"
	a.domainURL = "http://" + functions.Addr().String() + "/domain-call"
	if a.cfg.Webhooks != "" {
		receive, a.domainURL = a.webhook("/receive-call"), a.webhook("/sip-domain")
	}
	flow := a.cfg.Flow
	flow.Path = path
	flow.RedirectURL = cmp.Or(flow.RedirectURL, receive)
	flow.WorkflowSid = cmp.Or(flow.WorkflowSid, workflowSid)
	flow.Timeout = cmp.Or(a.cfg.StudioWait, flow.Timeout)
	a.studio = NewStudio(flow)
	params := ";secure=true"
	if a.cfg.Transport != "" {
		params = ";transport=" + a.cfg.Transport
	}
	a.serveHTTP(functions, Functions(FunctionsConfig{
		SIPHost: a.cfg.Edge, SIPParams: params, StudioURL: a.studioURL, NoReferURL: a.cfg.NoReferURL, NoBridge: a.cfg.NoBridge,
		ParentHeader: a.cfg.ParentHeader, Handler: a.cfg.Handler, WorkflowSid: workflowSid, AuthToken: a.cfg.AuthToken,
	}))
	mux := http.NewServeMux()
	mux.Handle(path, a.studio)
	mux.Handle("/v1/Tasks", a.flex)
	a.serveHTTP(webhooks, mux)
	return nil
}

// flowPath is the path of the flow's webhook.
func flowPath(account string) string {
	return "/v1/Accounts/" + account + "/Flows/FW00000000000000000000000000000000"
}

// StudioURL is the webhook of the flow at an account that has that webhook port.
func StudioURL(account string, webhooks netip.AddrPort) string {
	return "http://" + webhooks.String() + flowPath(account)
}

// serveAPI starts the REST API.
func (a *Account) serveAPI() error {
	l, err := net.Listen("tcp", netip.AddrPortFrom(a.cfg.Addr, a.cfg.RESTPort).String())
	if err != nil {
		return err
	}
	a.restURL = "http://" + l.Addr().String()
	if !a.cfg.PlainREST {
		a.restURL = "https://" + l.Addr().String()
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.cfg.Certificate}})
	}
	a.serveHTTP(l, http.HandlerFunc(a.serveREST))
	return nil
}

func (a *Account) serveHTTP(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: zap.NewStdLog(a.log)}
	a.servers = append(a.servers, s)
	a.wg.Go(func() { // ends with Close
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("web server ended", zap.Error(err))
		}
	})
}

// StudioURL is the webhook of the account's flow.
func (a *Account) StudioURL() string { return a.studioURL }
