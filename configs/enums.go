package configs

import (
	"fmt"
	"slices"
	"strings"
)

// Transport is a word of sip.listen.
type Transport string

const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Transports lists the vocabulary.
func Transports() []Transport { return []Transport{UDP, TCP, TLS} }

// LegKind tells what kind of leg A the callers are.
type LegKind string

const (
	// LegAuto decides by the INVITE's From host.
	LegAuto LegKind = "auto"
	// LegPV is Programmable Voice's <Dial><Sip>.
	LegPV LegKind = "pv"
	// LegTrunk is an elastic SIP trunk.
	LegTrunk LegKind = "trunk"
)

// SRTP tells what a side may offer and answer.
type SRTP string

const (
	SRTPRequired SRTP = "required"
	SRTPOptional SRTP = "optional"
	SRTPOff      SRTP = "off"
)

// MediaLearn tells whether a media source may be learnt from packets.
type MediaLearn string

const (
	// MediaLearnOff takes media from exactly the address and port of the SDP.
	MediaLearnOff MediaLearn = "off"
	// MediaLearnWindow takes another port of that address if nothing comes from the announced one.
	MediaLearnWindow MediaLearn = "window"
)

// KeyHeader names the header that carries the session history key toward Twilio.
type KeyHeader string

const (
	// KeyHeaderXWatson is X-Watson-Assistant-Session-History-Key.
	KeyHeaderXWatson KeyHeader = "x-watson"
	// KeyHeaderUserToUser is User-to-User with encoding=ascii, for handlers that read that.
	KeyHeaderUserToUser KeyHeader = "user-to-user"
)

// CallerPass and CallerHide are the words that may stand in the place of a number.
const (
	CallerPass = "pass"
	CallerHide = "hide"
)

// CallerName tells whether a callee learns the caller's name.
type CallerName string

const (
	CallerNamePass CallerName = CallerPass
	CallerNameHide CallerName = CallerHide
)

// Privacy tells what becomes of a caller's wish to be private.
type Privacy string

const (
	// PrivacyRespect hides his number and his name.
	PrivacyRespect Privacy = "respect"
	// PrivacyIgnore takes the callee into the trust domain: it learns what the edge knows.
	PrivacyIgnore Privacy = "ignore"
)

// anyCaller is the default: everybody who does not want to be private is known.
var anyCaller = Caller{Number: CallerPass, Name: CallerNamePass, Privacy: PrivacyRespect}

// TwiML is what method rest makes the caller's call do.
type TwiML string

const (
	// TwiMLRedirect returns to the Studio flow, as the refer handler does.
	TwiMLRedirect TwiML = "redirect"
	// TwiMLEnqueue enters a TaskRouter workflow with the key in the task's attributes.
	TwiMLEnqueue TwiML = "enqueue"
)

// AfterSilence is what follows a transfer method that may have worked.
type AfterSilence string

const (
	AfterSilenceStop AfterSilence = "stop"
	AfterSilenceNext AfterSilence = "next"
)

// Unmatched is what becomes of a REFER that is not intercepted.
type Unmatched string

const (
	UnmatchedRefuse Unmatched = "refuse"
	UnmatchedPass   Unmatched = "pass"
)

// MediaHook is where the kernel path meets packets.
type MediaHook string

const (
	// MediaHookTC works with every device.
	MediaHookTC MediaHook = "tc"
	// MediaHookXDP is below it, where the driver can.
	MediaHookXDP MediaHook = "xdp"
)

// MediaPath is how packets are carried.
type MediaPath string

const (
	// MediaPathAuto takes the best path that works here.
	MediaPathAuto MediaPath = "auto"
	// MediaPathKernel insists on the kernel for what can pass there.
	MediaPathKernel MediaPath = "kernel"
	// MediaPathUserspace insists on one socket for all ports.
	MediaPathUserspace MediaPath = "userspace"
	// MediaPathPortable is a pair of sockets a leg.
	MediaPathPortable MediaPath = "portable"
)

// SRTPKeys tells who holds the SDES keys.
type SRTPKeys string

const (
	// SRTPKeysPass hands them from leg to leg where both sides speak SRTP with the same suite.
	SRTPKeysPass SRTPKeys = "pass"
	// SRTPKeysTerminate gives each leg keys of the edge.
	SRTPKeysTerminate SRTPKeys = "terminate"
)

// LogFormat is how a log line looks.
type LogFormat string

const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// CoreDumps tells whether a process that dies may leave its memory in a file.
type CoreDumps string

const (
	CoreDumpsOff CoreDumps = "off"
	CoreDumpsOn  CoreDumps = "on"
)

// JournalKind is where the journal is kept.
type JournalKind string

const (
	// JournalMemory keeps it in the process: no call outlives that.
	JournalMemory JournalKind = "memory"
	// JournalBolt keeps it in a file.
	JournalBolt JournalKind = "bbolt"
)

// CDRKind is where call detail records go.
type CDRKind string

const (
	// CDRFile is a file that is rotated.
	CDRFile CDRKind = "file"
	// CDRStdout is standard output; the log is on standard error.
	CDRStdout CDRKind = "stdout"
	// CDROff keeps none.
	CDROff CDRKind = "off"
)

// vocabulary reads one of words. The words of later belong to the contract of the file too, but
// this version has not built what they ask for.
func vocabulary[T ~string](words []T, later ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		switch {
		case slices.Contains(words, T(text)):
			return T(text), nil
		case slices.Contains(later, T(text)):
			return "", fmt.Errorf("not supported by this version; expected %s", either(words))
		}
		return "", fmt.Errorf("expected %s", either(words))
	}
}

// either writes words as "a, b or c".
func either[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return strings.Join(texts[:len(texts)-1], ", ") + " or " + texts[len(texts)-1]
}
