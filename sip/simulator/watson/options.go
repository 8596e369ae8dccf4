package watson

import (
	"slices"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// Options are all that can be set of an assistant and of its transfers.
type Options struct {
	Config   Config // with its Behaviour
	Transfer Transfer
}

// Knobs are the options by name, but for addresses and certificates.
func (s *Options) Knobs() []simulator.Knob {
	return slices.Concat(s.Config.knobs(), s.Config.Behaviour.knobs(), s.Transfer.knobs())
}

func (c *Config) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Texts("numbers", "that the assistant knows, with commas; others get 403", &c.Numbers),
		simulator.Flag("plain-media", "RTP/AVP only", &c.PlainMedia),
		simulator.Flag("optional-srtp", "SRTP for those who offer it", &c.OptionalSRTP),
		simulator.Text("suite", "of SRTP; AES_CM_128_HMAC_SHA1_80 or AEAD_AES_128_GCM", &c.Suite),
		simulator.Text("username", "of digest credentials", &c.Username),
		simulator.Text("password", "of digest credentials", &c.Password),
		simulator.Texts("hidden", "what the edge may not show, with commas", &c.Hidden),
		simulator.Wait("accept-within", "for the response to a REFER", &c.AcceptWithin),
		simulator.Wait("t1", "RFC 3261's T1", &c.T1),
		simulator.Wait("report", "between RTCP reports", &c.Report),
		simulator.Number("voice", "names the assistant's voice", &c.Voice),
	}
}

func (b *Behaviour) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Number("reject", "final response instead of an answer", &b.Reject),
		simulator.Texts("redirect", "Contacts of a 302 (or of the 3xx in reject), with commas", &b.Redirect),
		simulator.Number("retry-after", "seconds, of a rejection", &b.RetryAfter),
		simulator.Flag("silent", "no response", &b.Silent),
		simulator.Flag("no-trying", "no 100", &b.NoTrying),
		simulator.Flag("no-ringing", "no 180", &b.NoRinging),
		simulator.Flag("early-media", "183 with SDP", &b.EarlyMedia),
		simulator.Wait("ring-for", "before the final response", &b.RingFor),
		simulator.Flag("fork", "a second 200 with another tag", &b.Fork),
		simulator.Number("repeat", "so many more 200s after the ACK", &b.Repeat),
		simulator.Number("refuse-reinvite", "status for the edge's re-INVITEs", &b.RefuseReinvite),
		simulator.Flag("own-connection", "requests go over a connection of the assistant's", &b.OwnConnection),
		simulator.Number("notify-status", "for the edge's NOTIFYs", &b.NotifyStatus),
		simulator.Wait("notify-delay", "before a NOTIFY is answered", &b.NotifyDelay),
		digest.Knob("digest", "the INVITE needs credentials", &b.Digest),
		simulator.Text("setup-failure", "answers and refers there at once", &b.SetupFailure),
		simulator.Text("tells", "host that SDP, headers and reason phrases name wherever they may", &b.Tells),
		simulator.Number("options", "status for OPTIONS", &b.Options),
		simulator.Text("asks", "realm for which all in the dialog is asked for credentials, in vain", &b.Asks),
		simulator.Number("events", "payload type of its own for digits", &b.Events),
		simulator.Number("first", "sequence number of the first RTP packet", &b.First),
		simulator.Flag("reliable", "provisional responses want PRACK", &b.Reliable),
		simulator.Flag("early-fork", "183 with SDP of another fork first", &b.EarlyFork),
		simulator.Wait("session-expires", "a session timer of so long", &b.SessionExpires),
		simulator.Flag("refreshes", "the assistant refreshes the session", &b.Refreshes),
		simulator.Flag("forgetful", "it should and does not", &b.Forgetful),
		simulator.Flag("no-update", "UPDATE is not known", &b.NoUpdate),
	}
}

func (t *Transfer) knobs() []simulator.Knob {
	return []simulator.Knob{
		simulator.Text("key-header", "of the session history key", &t.Name),
		{Name: "user-to-user", Help: "a User-to-User header before the key, as data;encoding=hex", Set: func(value string) error {
			t.More = append(t.More, wire.Header{Name: "User-to-User", Value: value})
			return nil
		}},
		simulator.Choice("method", "transfer_method", &t.Method, Methods()),
		simulator.Text("target-header", "transfer_target_header", &t.TargetHeader),
		simulator.Choice("way", "transfer_headers_send_method", &t.Way, Ways()),
		simulator.Flag("bare", "the target without <>", &t.Bare),
		simulator.Flag("encode-colons", "%3A", &t.EncodeColons),
		simulator.Flag("compact", "r: instead of Refer-To:", &t.Compact),
		simulator.Flag("no-sub", "Refer-Sub: false", &t.NoSub),
		simulator.Flag("again", "the same REFER comes again", &t.Again),
		simulator.Flag("meanwhile", "another REFER comes", &t.Meanwhile),
		simulator.Choice("hold", "before the REFER", &t.Hold, Holds()),
		simulator.Choice("reaction", "when the assistant leaves", &t.Reaction, Reactions()),
		simulator.Choice("on-failure", "when the transfer fails", &t.OnFailure, Failures()),
	}
}
