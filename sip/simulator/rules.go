package simulator

// Rule is a demand that a simulated vendor makes of the edge.
type Rule uint8

const (
	// Of every message.
	WellFormed Rule = iota
	Hidden
	// Of every request inside a dialog.
	InDialog
	RemoteTarget
	RouteSet
	RisingCSeq
	DialogURIs
	MaxForwards
	SecureTransport
	SameConnection
	// Of what the edge answers to an INVITE, and of its ACK.
	OneTag
	EchoedHeaders
	AnswerContact
	AnswerSDP
	ACKCSeq
	ACKMissing
	// Of a REFER to Twilio and what follows it.
	OneReferTo
	ReferToLength
	OneTransfer
	NotifyAnswered
	HoldPassed
	// Of a REST update.
	ParentCall
	// Of the INVITE to a SIP domain.
	DomainURI
	EnoughHops
	DigestResponse
	OwnKey
	KeyDelivered
	CallerID
	// Of the INVITE to Watson.
	SecureURI
	OfferSDP
	OwnCallID
	CallSid
	FromTo
	// Of how the edge carries out Watson's REFER.
	AcceptedInTime
	NotifyAfterAccept
	TryingFirst
	OneFinal
	SubscriptionState
	EventRefer
	Sipfrag
	ByeBeforeFinal
	HoldAnswered
	ForkReleased
	ReferSub
	SameAccept
	OneAtATime
	// Of what extensions ask for.
	Acknowledged
	Refreshed
	rulesEnd
)

var rules = [rulesEnd]struct{ word, demand string }{
	WellFormed:        {"well_formed", "every message parses as RFC 3261 §7 has it"},
	Hidden:            {"hidden", "no address, host or identifier of the other side shows"},
	InDialog:          {"in_dialog", "Call-ID and both tags name a living dialog"},
	RemoteTarget:      {"remote_target", "the Request-URI is our Contact, unchanged"},
	RouteSet:          {"route_set", "the Route headers are the route set in its order"},
	RisingCSeq:        {"rising_cseq", "each new request has a higher CSeq, shared by all methods"},
	DialogURIs:        {"dialog_uris", "From and To are those of the dialog, swapped as needed"},
	MaxForwards:       {"max_forwards", "Max-Forwards is present and between 1 and 70"},
	SecureTransport:   {"secure_transport", "what began on TLS stays on TLS"},
	SameConnection:    {"same_connection", "a request uses the connection of its dialog while that is open"},
	OneTag:            {"one_tag", "all responses to one INVITE that create a dialog carry the same To tag"},
	EchoedHeaders:     {"echoed_headers", "a response repeats Via, Record-Route, From, Call-ID and CSeq as they came"},
	AnswerContact:     {"answer_contact", "a 2xx to INVITE has one Contact that can be reached"},
	AnswerSDP:         {"answer_sdp", "the answer fits the offer: profile, codecs, crypto tag, one key"},
	ACKCSeq:           {"ack_cseq", "the ACK carries the CSeq number of its INVITE"},
	ACKMissing:        {"ack_missing", "each 2xx to INVITE, repeated ones too, is acknowledged"},
	OneReferTo:        {"one_refer_to", "a REFER has exactly one Refer-To"},
	ReferToLength:     {"refer_to_length", "the Refer-To value has at most 256 characters"},
	OneTransfer:       {"one_transfer", "no second transfer, of whatever method, while the first may still succeed"},
	NotifyAnswered:    {"notify_answered", "a NOTIFY is answered 200, after the end of the dialog 200 or 481"},
	HoldPassed:        {"hold_passed", "a hold of the assistant is never passed to Twilio"},
	ParentCall:        {"parent_call", "a REST update names the caller's own call, not the leg to the edge"},
	DomainURI:         {"domain_uri", "the host of the Request-URI is the name of the SIP domain"},
	EnoughHops:        {"enough_hops", "an INVITE to a SIP domain has a Max-Forwards of 20 or more"},
	DigestResponse:    {"digest_response", "credentials answer the challenge that was given, in a request with a new CSeq (RFC 7616 §3.4, RFC 3261 §22.2)"},
	OwnKey:            {"own_key", "an SRTP key of the edge's own, of no other leg"},
	KeyDelivered:      {"key_delivered", "the session history key stands in its header once, byte for byte"},
	CallerID:          {"caller_id", "From has a tag and the caller's number"},
	SecureURI:         {"secure_uri", "Request-URI, Contact and Route are sips: URIs"},
	OfferSDP:          {"offer_sdp", "the offer is RTP/SAVP with one usable key of the suite that the peer speaks"},
	OwnCallID:         {"own_call_id", "the Call-ID is the edge's own and was not used before"},
	CallSid:           {"call_sid", "X-Twilio-CallSid names the caller's leg"},
	FromTo:            {"from_to", "From has a tag, To has none and equals the Request-URI"},
	AcceptedInTime:    {"accepted_in_time", "a REFER is answered within 500 ms"},
	NotifyAfterAccept: {"notify_after_accept", "no NOTIFY overtakes the 202"},
	TryingFirst:       {"trying_first", "a NOTIFY with 100 comes before the final one"},
	OneFinal:          {"one_final", "exactly one final NOTIFY"},
	SubscriptionState: {"subscription_state", "active while the transfer runs, terminated with its outcome"},
	EventRefer:        {"event_refer", "Event is refer, its id the CSeq of the REFER"},
	Sipfrag:           {"sipfrag", "the body is a message/sipfrag that begins with a status line"},
	ByeBeforeFinal:    {"bye_before_final", "no BYE before the final NOTIFY was answered"},
	HoldAnswered:      {"hold_answered", "a hold is answered recvonly or inactive as RFC 3264 §6.1 has it"},
	ForkReleased:      {"fork_released", "a second forked 2xx gets an ACK and a BYE"},
	ReferSub:          {"refer_sub", "Refer-Sub: false is echoed in the 2xx, and no NOTIFY follows (RFC 4488 §4)"},
	SameAccept:        {"same_accept", "a REFER that comes again with its CSeq gets the same answer and starts nothing"},
	OneAtATime:        {"one_at_a_time", "a REFER while another runs is refused with 491"},
	Acknowledged:      {"acknowledged", "each reliable provisional response is acknowledged once, by a PRACK with its number (RFC 3262)"},
	Refreshed:         {"refreshed", "a session with a timer is refreshed in time, by who is to (RFC 4028)"},
}

func (r Rule) String() string {
	if r < rulesEnd {
		return rules[r].word
	}
	return "unknown"
}

// Demand says in one sentence what the rule asks of the edge.
func (r Rule) Demand() string {
	if r < rulesEnd {
		return rules[r].demand
	}
	return "unknown"
}

// Rules lists them all.
func Rules() []Rule {
	all := make([]Rule, rulesEnd)
	for i := range all {
		all[i] = Rule(i)
	}
	return all
}
