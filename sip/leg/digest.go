package leg

import (
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"go.uber.org/zap"

	"handoff/sip/dialog"
)

// Credentials answer a digest challenge (RFC 7616, RFC 3261 §22). They belong to one peer: a leg that
// has none answers nobody, and one that has them answers only over a connection to a host of theirs, so that
// a challenge to our BYE or REFER from elsewhere gets nothing.
type Credentials struct {
	// Hosts that the edge dials for this peer, without brackets. Nobody else may ask.
	Hosts []string
	// Realm that may ask; "" is any that these hosts name.
	Realm              string
	Username, Password string
}

// String keeps the password out of logs.
func (c *Credentials) String() string {
	if c == nil {
		return "none"
	}
	return c.Username
}

// maxChallenges bounds how often one request is answered with credentials: once, and once more
// because the nonce was stale.
const maxChallenges = 2

// nonce is a challenge that was answered. Later requests of the leg show the answer before they are asked,
// each with a count of its own (RFC 7616 §3.4).
type nonce struct {
	header    string
	challenge *digest.Challenge
	count     int
}

// serves tells whether the other side of a connection may see what is made of the password.
func (c *Credentials) serves(f Flow) bool {
	return c != nil && f != nil && slices.ContainsFunc(c.Hosts, func(host string) bool { return strings.EqualFold(host, f.Host()) })
}

// take reads the challenge of a 401 or 407; nil when there is none, or none that can or may be answered.
func (c *Credentials) take(res *sipmsg.Response) *nonce {
	var asks string
	n := &nonce{header: "Authorization"}
	switch res.StatusCode {
	case 401:
		asks = "WWW-Authenticate"
	case 407:
		asks, n.header = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return nil
	}
	if n.challenge = c.strongest(dialog.Values(res, asks)); n.challenge == nil {
		return nil
	}
	return n
}

// authorize shows the credentials in a request, under the next count.
func (c *Credentials) authorize(req *sipmsg.Request, n *nonce) error {
	n.count++
	credentials, err := digest.Digest(n.challenge, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Username: c.Username, Password: c.Password, Count: n.count,
	})
	if err != nil {
		return err
	}
	req.AppendHeader(sipmsg.NewHeader(n.header, credentials.String()))
	return nil
}

// strongest picks the challenge to answer: of our realm, SHA-256 before MD5 (RFC 7616 §3.7), with
// qop=auth or none.
func (c *Credentials) strongest(values []string) *digest.Challenge {
	var best *digest.Challenge
	for _, v := range values {
		challenge, err := digest.ParseChallenge(v)
		if err != nil || !digest.CanDigest(challenge) || c.Realm != "" && challenge.Realm != c.Realm ||
			len(challenge.QOP) > 0 && !challenge.SupportsQOP("auth") {
			continue
		}
		if best == nil || strings.HasPrefix(strings.ToUpper(challenge.Algorithm), "SHA") && !strings.HasPrefix(strings.ToUpper(best.Algorithm), "SHA") {
			best = challenge
		}
	}
	return best
}

// again returns req as the next request of the dialog, without its credentials and the headers named in
// drop. Its Call-ID, From tag and body stay, its number rises (RFC 3261 §8.1.3.5).
func (l *Leg) again(req *sipmsg.Request, drop ...string) *sipmsg.Request {
	next := l.dialog.Request(req.Method)
	made := map[string]bool{"authorization": true, "proxy-authorization": true}
	for _, name := range drop {
		made[strings.ToLower(name)] = true
	}
	for _, h := range next.Headers() {
		made[strings.ToLower(h.Name())] = true
	}
	for _, h := range req.Headers() {
		if !made[strings.ToLower(h.Name())] {
			next.AppendHeader(sipmsg.HeaderClone(h))
		}
	}
	*next.MaxForwards() = *req.MaxForwards()
	next.SetBody(req.Body())
	return next
}

// challenged sends req again with credentials, through send, when its response asks for them and the leg may
// give them; tries counts how often that has happened.
func (l *Leg) challenged(req *sipmsg.Request, ev TxEvent, tries int, send func(*sipmsg.Request)) bool {
	if ev.Response == nil || tries >= maxChallenges || !l.Credentials.serves(ev.Flow) {
		return false
	}
	n := l.Credentials.take(ev.Response)
	if n == nil || tries > 0 && !n.challenge.Stale {
		return false // the same credentials would be refused again
	}
	next := l.again(req)
	if err := l.Credentials.authorize(next, n); err != nil {
		l.log().Info("challenge not answered", zap.Error(err))
		return false
	}
	l.nonce = n
	l.log().Debug("challenge answered", zap.String("method", string(req.Method)), zap.Int("code", ev.Response.StatusCode))
	send(next)
	return true
}

// authorizeAhead shows the credentials of the last challenge in a request that is not yet asked for them. It
// goes without them where it may have to be redialled: who answers there is not known yet.
func (l *Leg) authorizeAhead(req *sipmsg.Request) {
	if l.nonce == nil || l.flow == nil || !l.flow.Open() || !l.Credentials.serves(l.flow) {
		return
	}
	if err := l.Credentials.authorize(req, l.nonce); err != nil {
		l.log().Info("credentials not shown", zap.Error(err))
	}
}

// credentialsOf returns those that a request shows.
func credentialsOf(req *sipmsg.Request) []sipmsg.Header {
	var shown []sipmsg.Header
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for value := range dialog.All(req, name) {
			shown = append(shown, sipmsg.NewHeader(name, value))
		}
	}
	return shown
}

// ackFor returns the ACK of a 2xx to our INVITE of that number, with the credentials of the INVITE
// (RFC 3261 §13.2.2.4).
func (l *Leg) ackFor(cseq uint32, credentials []sipmsg.Header) *sipmsg.Request {
	ack := l.dialog.ACK(cseq)
	for _, h := range credentials {
		ack.AppendHeader(h)
	}
	return ack
}
