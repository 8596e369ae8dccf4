package leg

import (
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"go.uber.org/zap"

	"handoff/sip/dialog"
)

// Credentials answer a digest challenge (RFC 7616, RFC 3261 §22). They belong to one peer: a leg that
// has none answers nobody, so that a challenge to our BYE or REFER from elsewhere gets nothing.
type Credentials struct {
	// Realm that may ask; "" is any that the leg's own peer names.
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

// authorization is what a challenge is answered with.
type authorization struct{ name, value string }

// authorize answers the challenge of a 401 or 407 to req; ok is false when it can't or may not be
// answered.
func (c *Credentials) authorize(req *sipmsg.Request, res *sipmsg.Response) (a authorization, stale, ok bool) {
	if c == nil {
		return a, false, false
	}
	challenged := "WWW-Authenticate"
	a.name = "Authorization"
	switch res.StatusCode {
	case 401:
	case 407:
		challenged, a.name = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return a, false, false
	}
	challenge := c.strongest(dialog.Values(res, challenged))
	if challenge == nil {
		return a, false, false
	}
	credentials, err := digest.Digest(challenge, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Username: c.Username, Password: c.Password,
	})
	if err != nil {
		return a, false, false
	}
	a.value = credentials.String()
	return a, challenge.Stale, true
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

// again returns req as the next request of the dialog, with the answer to a challenge. Its Call-ID,
// From tag and body stay, its number rises (RFC 3261 §22.2).
func (l *Leg) again(req *sipmsg.Request, a authorization) *sipmsg.Request {
	next := l.dialog.Request(req.Method)
	made := map[string]bool{strings.ToLower(a.name): true}
	for _, h := range next.Headers() {
		made[strings.ToLower(h.Name())] = true
	}
	for _, h := range req.Headers() {
		if !made[strings.ToLower(h.Name())] {
			next.AppendHeader(sipmsg.HeaderClone(h))
		}
	}
	*next.MaxForwards() = *req.MaxForwards()
	next.AppendHeader(sipmsg.NewHeader(a.name, a.value))
	next.SetBody(req.Body())
	return next
}

// challenged sends req again with credentials, through send, when res asks for them and the leg may
// give them; tries counts how often that has happened.
func (l *Leg) challenged(req *sipmsg.Request, res *sipmsg.Response, tries int, send func(*sipmsg.Request)) bool {
	if res == nil || tries >= maxChallenges {
		return false
	}
	a, stale, ok := l.Credentials.authorize(req, res)
	if !ok || tries > 0 && !stale {
		return false // the same credentials would be refused again
	}
	l.deps.Log.Debug("challenge answered", zap.String("method", string(req.Method)), zap.Int("code", res.StatusCode))
	send(l.again(req, a))
	return true
}
