package metrics

// Method is a way of carrying out a transfer toward Twilio.
type Method uint8

const (
	// MethodNone stands where a transfer ended before a method was chosen.
	MethodNone Method = iota
	MethodRefer
	MethodREST
	MethodInvite
)

var methods = []string{"none", "refer", "rest", "invite"}

func (m Method) String() string { return name(methods, uint8(m)) }

// Methods lists the vocabulary.
func Methods() []Method { return list[Method](len(methods)) }

// TransferReason is why a transfer ended as it did. Each belongs to exactly one Result.
type TransferReason uint8

const (
	// TransferProved: a sipfrag with 2xx, or a BYE that proves the transfer.
	TransferProved TransferReason = iota
	// TransferMalformed: no or two Refer-To, broken escapes, a key that cannot be carried.
	TransferMalformed
	// TransferRefusedTarget: the target is not in transfer.intercept.
	TransferRefusedTarget
	// TransferBusy: another transfer was running (491).
	TransferBusy
	// TransferUnfit: no configured method fits this leg or this key.
	TransferUnfit
	// TransferRejected: Twilio answered the request with 3xx–6xx.
	TransferRejected
	// TransferFailed: a failing sipfrag after the 202.
	TransferFailed
	// TransferUnsent: the request could not be sent; nothing reached Twilio.
	TransferUnsent
	// TransferSilent: no answer, or a 202 and then nothing, until the timeout.
	TransferSilent
	// TransferUnproved: a BYE came on leg A after the 202 without a final NOTIFY.
	TransferUnproved
	// TransferCallerGone: the caller hung up before the request was accepted.
	TransferCallerGone
	// TransferInternal: the edge itself failed or was shut down.
	TransferInternal
)

var transferReasons = []struct {
	word   string
	result Result
}{
	TransferProved:        {"proved", Success},
	TransferMalformed:     {"malformed", Upstream},
	TransferRefusedTarget: {"refused_target", Upstream},
	TransferBusy:          {"busy", Upstream},
	TransferUnfit:         {"unfit", Us},
	TransferRejected:      {"rejected", Upstream},
	TransferFailed:        {"failed", Upstream},
	TransferUnsent:        {"unsent", Us},
	TransferSilent:        {"silent", Indeterminate},
	TransferUnproved:      {"unproved", Indeterminate},
	TransferCallerGone:    {"caller_gone", Caller},
	TransferInternal:      {"internal", Us},
}

func (r TransferReason) String() string {
	if int(r) < len(transferReasons) {
		return transferReasons[r].word
	}
	return name(nil, uint8(r))
}

// Result returns who is answerable.
func (r TransferReason) Result() Result {
	if int(r) < len(transferReasons) {
		return transferReasons[r].result
	}
	return Us
}

// TransferReasons lists the vocabulary.
func TransferReasons() []TransferReason { return list[TransferReason](len(transferReasons)) }

// Context is what became of the session history key.
type Context uint8

const (
	// ContextDelivered: it went out byte for byte and the transfer was proved.
	ContextDelivered Context = iota
	// ContextAbsent: Watson sent none.
	ContextAbsent
	// ContextRejected: it could not be accepted or carried.
	ContextRejected
	// ContextMismatch: what would have gone out differs from what came in.
	ContextMismatch
)

var contexts = []string{"delivered", "absent", "rejected", "mismatch"}

func (c Context) String() string { return name(contexts, uint8(c)) }

// Contexts lists the vocabulary.
func Contexts() []Context { return list[Context](len(contexts)) }
