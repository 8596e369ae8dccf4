package twilio

import (
	"slices"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// Setup is all that can be set of an account and of the calls that it places.
type Setup struct {
	Account Config
	Call    Options
	REST    REST      // for BehaveREST
	Domain  Reception // for Domain.Receive
}

// Knobs are the options by name, but for addresses and certificates. Zero values are today's Twilio.
func (s *Setup) Knobs() []simulator.Knob {
	return slices.Concat(s.Account.knobs(), s.Call.knobs(), s.Call.Refer.knobs(), s.REST.knobs(), s.Domain.knobs())
}

func (c *Config) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Number("port", "SIP over UDP and TCP", &c.Port),
		simulator.Number("tls-port", "SIP over TLS", &c.TLSPort),
		simulator.Number("http-port", "the published Functions", &c.HTTPPort),
		simulator.Number("webhook-port", "Studio and Flex", &c.WebhookPort),
		simulator.Number("rest-port", "the REST API", &c.RESTPort),
		simulator.Number("domain-port", "the SIP domain, TLS", &c.DomainPort),
		simulator.Flag("plain-rest", "the REST API speaks HTTP", &c.PlainREST),
		simulator.Text("transport", "udp, tcp or tls without SRTP, instead of ;secure=true", &c.Transport),
		simulator.Flag("no-refer-url", "the Dial has no referUrl", &c.NoReferURL),
		simulator.Flag("no-bridge", `answerOnBridge="false"`, &c.NoBridge),
		simulator.Text("trunk", "name of the Elastic trunk", &c.Trunk),
		simulator.Text("origination", "the trunk's Origination URI", &c.Origination),
		simulator.Choice("transfer-mode", "what a REFER may ask of the trunk", &c.TransferMode, TransferModes()),
		simulator.Texts("hidden", "what the edge may not show, with commas", &c.Hidden),
		simulator.Text("account-sid", "AC and 32 digits", &c.AccountSid),
		simulator.Text("auth-token", "of the REST API and of signatures", &c.AuthToken),
		simulator.Flag("parent-header", "the <Sip> URI has X-Parent-CallSid", &c.ParentHeader),
		simulator.Choice("handler", "which /refer-handler was pasted", &c.Handler, Handlers()),
		simulator.Text("domain", "name of the SIP domain, as acme.sip.twilio.com", &c.Domain),
		simulator.Text("username", "of digest credentials", &c.Username),
		simulator.Text("password", "of digest credentials", &c.Password),
		simulator.Wait("t1", "RFC 3261's T1", &c.T1),
		simulator.Wait("idle-close", "TLS connections that are quiet so long are dropped; Twilio: 120s", &c.IdleClose),
		simulator.Flag("shared", "calls share a connection to the edge", &c.Shared),
		simulator.Flag("persistent", "a request outlives its connection", &c.Persistent),
		simulator.Wait("studio-wait", "timeout of the TwiML Redirect widget", &c.StudioWait),
		simulator.Texts("workflows", "that TaskRouter knows, with commas", &c.Workflows),
		simulator.Text("webhooks", "base URL of the edge's own webhooks, instead of the Functions", &c.Webhooks),
		simulator.Choice("signature", "X-Twilio-Signature", &c.Signature, Signatures()),
		simulator.Choice("signed-port", "whether the port stands in the signed URL", &c.SignedPort, SignedPorts()),
	}
}

func (o *Options) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Text("from", "caller's number", &o.From),
		simulator.Text("name", "caller's name", &o.Name),
		simulator.Flag("anonymous", "From shows nobody", &o.Anonymous),
		simulator.Text("privacy", "Privacy header, as id;critical", &o.Privacy),
		{Name: "header", Help: "one more of the INVITE, as X-Customer:7", Set: func(value string) error {
			name, value, _ := strings.Cut(value, ":")
			o.Headers = append(o.Headers, wire.Header{Name: name, Value: strings.TrimSpace(value)})
			return nil
		}},
		simulator.Text("tells", "host that SDP and headers name wherever they may", &o.Tells),
		simulator.Number("voice", "names the speaker", &o.Voice),
		simulator.Number("events", "payload type of its own for digits", &o.Events),
		simulator.Number("first", "sequence number of the first RTP packet", &o.First),
		simulator.Flag("mux", "RTCP on the port of RTP", &o.Mux),
		simulator.Flag("nat", "media come from another port than the SDP says", &o.NAT),
		simulator.Texts("streams", "further m-lines of its offers, as \"video 40000 RTP/AVP 31\"", &o.Streams),
		simulator.Wait("report", "between RTCP reports", &o.Report),
		simulator.Number("loss", "packets of a hundred that never reach the edge", &o.Loss),
		simulator.Wait("cut-after", "the connection is cut so long after the answer", &o.CutAfter),
		simulator.Number("refuse-reinvite", "status for the edge's re-INVITEs", &o.RefuseReinvite),
		simulator.Flag("twnat", "Record-Route with twnat over later connections", &o.Twnat),
		simulator.Flag("late-offer", "the INVITE has no SDP", &o.LateOffer),
		simulator.Text("session-expires", "of the INVITE", &o.SessionExpires),
		simulator.Text("asks", "realm for which all in the dialog is asked for credentials, in vain", &o.Asks),
	}
}

func (r *Refer) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Flag("refer.silent", "no response", &r.Silent),
		simulator.Number("refer.status", "refused with this", &r.Status),
		simulator.Text("refer.error", "X-Twilio-Error of the refusal", &r.Error),
		simulator.Wait("refer.answer-delay", "before the response", &r.AnswerDelay),
		simulator.Wait("refer.trying-delay", "between the 202 and the first NOTIFY", &r.TryingDelay),
		simulator.Wait("refer.delay", "between NOTIFY 100 and the outcome", &r.Delay),
		simulator.Choice("refer.too-long", "a Refer-To above 256 characters", &r.TooLong, TooLongs()),
		simulator.Flag("refer.bye-crossing", "a BYE leaves as the REFER comes", &r.ByeCrossing),
		simulator.Choice("refer.then", "what follows the 202", &r.Then, Thens()),
		simulator.Number("refer.final", "code of the last NOTIFY", &r.Final),
		digest.Knob("refer.challenge", "the REFER needs credentials", &r.Challenge),
		simulator.Flag("refer.before-202", "the last NOTIFY overtakes the 202", &r.Before202),
		simulator.Flag("refer.terminated", "NOTIFY 100 is terminated already", &r.Terminated),
		simulator.Flag("refer.low-cseq", "NOTIFYs count from 1", &r.LowCSeq),
		simulator.Flag("refer.repeat-cseq", "the last NOTIFY repeats a CSeq", &r.RepeatCSeq),
		simulator.Flag("refer.event-id", "Event has an id", &r.EventID),
		simulator.Flag("refer.other-id", "the last NOTIFY has another id", &r.OtherID),
		simulator.Text("refer.sipfrag", "body of the last NOTIFY", &r.Sipfrag),
		simulator.Flag("refer.after-bye", "the last NOTIFY follows the BYE", &r.AfterBye),
		simulator.Choice("refer.hangup", "who ends the leg", &r.Hangup, Hangups()),
		simulator.Wait("refer.patience", "how long Twilio waits for the edge's BYE", &r.PatienceTime),
	}
}

func (r *REST) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Number("rest.status", "updates are refused with this", &r.Status),
		simulator.Number("rest.busy", "so many updates are answered 429", &r.Busy),
		simulator.Text("rest.retry-after", "header of those 429", &r.RetryAfter),
		simulator.Wait("rest.delay", "before an update is looked at", &r.Delay),
		simulator.Choice("rest.loss", "what becomes of the answer", &r.Loss, Losses()),
		simulator.Wait("rest.bye-after", "from the 200 to the BYE", &r.ByeAfter),
		simulator.Number("rest.lookup-status", "lookups are refused with this", &r.LookupStatus),
		simulator.Flag("rest.orphan", "lookups do not tell the parent", &r.Orphan),
	}
}

func (r *Reception) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Flag("domain.no-auth", "an access list alone guards the domain", &r.NoAuth),
		{Name: "domain.digest", Help: "how credentials are asked for: 401 or 407, then ,sha-256 and ,stale", Set: func(value string) (err error) {
			r.Digest, err = digest.ParseStyle(value)
			return err
		}},
		simulator.Flag("domain.deny", "403 before any challenge", &r.Deny),
		simulator.Flag("domain.refuse", "credentials are answered 403", &r.Refuse),
		simulator.Number("domain.status", "final response instead of the webhook's", &r.Status),
		simulator.Text("domain.error", "X-Twilio-Error of that", &r.Error),
		simulator.Flag("domain.silent", "no response", &r.Silent),
		simulator.Flag("domain.mute", "a challenge, and then 100 only", &r.Mute),
		simulator.Flag("domain.no-ringing", "no 180", &r.NoRinging),
		simulator.Flag("domain.early-media", "183 with SDP", &r.EarlyMedia),
		simulator.Wait("domain.ring-for", "before the webhook is asked", &r.RingFor),
		simulator.Flag("domain.plain-media", "RTP/AVP only", &r.PlainMedia),
		simulator.Number("domain.voice", "names the agent's voice", &r.Voice),
		simulator.Number("domain.events", "payload type of the agent's own for digits", &r.Events),
		simulator.Text("domain.caller", "what From's user part must be", &r.Caller),
		simulator.Text("domain.key", "what the key's header must hold", &r.Key),
	}
}
