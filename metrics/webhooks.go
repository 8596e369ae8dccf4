package metrics

// Webhook is an address at which Twilio asks the edge.
type Webhook uint8

const (
	// WebhookReceiveCall: what to do with a caller.
	WebhookReceiveCall Webhook = iota
	// WebhookReferHandler: where a referred caller goes.
	WebhookReferHandler
	// WebhookDialAction: how the Dial to the edge ended.
	WebhookDialAction
	// WebhookSIPDomain: what to do with leg C.
	WebhookSIPDomain
	// WebhookStatus: how the caller's own call ended.
	WebhookStatus
	// WebhookUnknown: no address of ours.
	WebhookUnknown
)

var webhooks = []string{"receive_call", "refer_handler", "dial_action", "sip_domain", "status", "unknown"}

func (w Webhook) String() string { return name(webhooks, uint8(w)) }

// Webhooks lists the vocabulary.
func Webhooks() []Webhook { return list[Webhook](len(webhooks)) }

// WebhookResult is what became of a request.
type WebhookResult uint8

const (
	// WebhookServed: 200.
	WebhookServed WebhookResult = iota
	// WebhookUnsigned: 403, no or a wrong X-Twilio-Signature.
	WebhookUnsigned
	// WebhookForm: 404, 405, 413 or 415; no parameter was looked at.
	WebhookForm
	// WebhookMalformed: 400, signed, but a parameter is missing or can't be.
	WebhookMalformed
	// WebhookRefused: 400, signed and read, but a transfer that is not carried out.
	WebhookRefused
)

var webhookResults = []string{"served", "unsigned", "form", "malformed", "refused"}

func (r WebhookResult) String() string { return name(webhookResults, uint8(r)) }

// WebhookResults lists the vocabulary.
func WebhookResults() []WebhookResult { return list[WebhookResult](len(webhookResults)) }
