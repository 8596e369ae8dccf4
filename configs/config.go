// Package configs turns the operator's YAML file into a Config: typed, complete, checked.
//
// It owns the words of the file, their defaults and every message about a mistake in it. It does
// not own what the values mean to the packages that use them and imports none of these: cmd
// converts. Only cmd imports it, at start, from one goroutine; a Config is plain data afterwards.
// It implements no RFC; addresses and names are read by the grammars of net/netip and RFC 1123 §2.1.
//
// A Config holds paths of secret files, never a secret, so it may be printed.
package configs

import (
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap/zapcore"

	"handoff/metrics"
)

// Config is a whole configuration. The zero value is not usable: begin with Default or Parse.
type Config struct {
	// Node names this edge in its logs; by default it is the machine's host name.
	Node     string
	SIP      SIP
	Twilio   Twilio
	Watson   Watson
	Transfer Transfer
	Media    Media
	Ops      Ops
	Webhooks Webhooks
	Limits   Limits
	Log      Log
	Journal  Journal
	CDR      CDR
	Trace    Trace
	// Telemetry tells OpenTelemetry of calls.
	Telemetry Telemetry

	// origin tells Validate and Check where in the file a key stands.
	origin origin
}

// SIP is the edge's own signalling side.
type SIP struct {
	// Public is the host name or the IP address (IPv6 without brackets) put into Contact and Via.
	Public string
	Listen []Listen
	TLS    KeyPair
	// KeyLog is a file that gets the secrets of every SIP connection over TLS; empty: none.
	KeyLog    string
	Keepalive Keepalive
	Timeouts  Timeouts
}

// Keepalive keeps connections and dialogs from being taken for dead; 0 sends nothing.
type Keepalive struct {
	// Ping is how long a connection is quiet before a double CRLF (RFC 5626), Options how long a dialog is
	// silent before an OPTIONS in it.
	Ping, Options time.Duration
}

// Timeouts of SIP connections.
type Timeouts struct {
	// Dial bounds the connection to one address, its TLS handshake included; Handshake that of who connects to us.
	Dial, Handshake time.Duration
	// Message ends a connection that brings no valid message, or begins one and does not end it; Idle one over which nothing came.
	Message, Idle time.Duration
}

// Listen is one listening socket.
type Listen struct {
	Transport Transport
	Addr      netip.AddrPort
}

func (l Listen) String() string { return string(l.Transport) + ":" + l.Addr.String() }

// KeyPair names the PEM files of a certificate chain and its key.
type KeyPair struct{ Certificate, Key string }

// Twilio is leg A's side.
type Twilio struct {
	// Sources may speak for Twilio.
	Sources []netip.Prefix
	Leg     LegKind
	// ReferenceNames are the certificate names accepted when a flow of leg A is redialled; empty
	// leaves the choice to the INVITE.
	ReferenceNames []string
	MediaLearn     MediaLearn
	SRTP           SRTP
	Refer          Refer
	REST           REST
	SIPDomain      SIPDomain
	// CAFile holds the authorities that may sign for redialled flows; empty: those of the system.
	CAFile string
}

// Refer shapes the REFER toward Twilio.
type Refer struct {
	// MaxReferTo is the length of the Refer-To value that Twilio takes, in characters.
	MaxReferTo int
	Header     KeyHeader
}

// REST is Twilio's API, for method rest. It is configured when AccountSID is set.
type REST struct {
	AccountSID string
	// APIKey is the SID of an API key that AuthTokenFile holds the secret of; empty: the file holds
	// the account's auth token.
	APIKey        string
	AuthTokenFile string
	BaseURL       string
	TwiML         TwiML
	// StudioURL is the webhook of the flow that TwiMLRedirect returns to, WorkflowSID the TaskRouter
	// workflow that TwiMLEnqueue enters. With both, a key that the flow can't carry is enqueued.
	StudioURL   string
	WorkflowSID string
	CAFile      string
}

// SIPDomain is where leg C goes, for method invite. It is configured when URI is set.
type SIPDomain struct {
	URI          string
	Username     string
	PasswordFile string
	// Realm that may ask for the password.
	Realm  string
	Caller Caller
}

// Caller is what a callee learns of who calls.
type Caller struct {
	// Number is CallerPass, CallerHide or a number that stands in the place of his.
	Number string
	Name   CallerName
	// Privacy tells whether a caller who wants to be private is.
	Privacy Privacy
}

// Auth answers Watson's digest challenges. It is configured when Username is set.
type Auth struct {
	Username, PasswordFile string
	// Realm that may ask for the password; empty: any that a target names.
	Realm string
}

// Watson is leg B's side.
type Watson struct {
	// Targets are sips: URIs in the order of preference; without a user part the dialled number
	// is put in.
	Targets []string
	// Sources may speak for Watson besides the connections that the edge dialled.
	Sources    []netip.Prefix
	MediaLearn MediaLearn
	// RedirectHosts are those that a 3xx may lead to besides the hosts of Targets.
	RedirectHosts []string
	// Number replaces the dialled number; empty keeps it.
	Number string
	// CAFile holds the authorities that may sign for the targets; empty: those of the system.
	CAFile string
	// ServerName is the name that a target's certificate must carry; empty: the target's host.
	ServerName string
	// TLS is the pair shown to a target that asks for a client certificate; empty: none.
	TLS    KeyPair
	SRTP   SRTP
	Auth   Auth
	Health Health
	// SessionExpires is the session timer that Watson is asked for; 0 asks for none. One that Watson asks for
	// is kept in any case.
	SessionExpires time.Duration
	// Headers of the caller's INVITE go to Watson, in any letter case; * stands for any end of an X- name.
	Headers []string
	Caller  Caller
}

// Health is how Watson's targets are watched.
type Health struct {
	// OptionsEvery is the time between two OPTIONS to a target that is up; 0 sends none.
	OptionsEvery time.Duration
}

// Transfer is what happens to Watson's REFER.
type Transfer struct {
	// Intercept are the transfer targets that the edge carries out, * standing for any user or host.
	Intercept []string
	// Methods are tried in this order; one that is not configured is skipped.
	Methods []metrics.Method
	// Timeout bounds one method, Total the chain.
	Timeout, Total time.Duration
	// AfterSilence is what follows a method that was never answered.
	AfterSilence AfterSilence
	// Unmatched is what becomes of a REFER to a target that is not intercepted.
	Unmatched Unmatched
	// HangupHeader of a BYE names a transfer target; empty: a BYE is a BYE.
	HangupHeader string
	// HoldAudio is a WAV file that the caller hears while a transfer runs; empty: comfort tone.
	HoldAudio string
	// FailureAudio is a WAV file that a caller hears whom Watson has left and nobody else took; empty: reorder tone.
	FailureAudio string
}

// Media is the RTP side.
type Media struct {
	Listen netip.Addr
	// PublicIP stands in the SDP that the edge sends.
	PublicIP netip.Addr
	// ListenIPv6 and PublicIPv6 are the same for peers with IPv6 beside an IPv4 PublicIP; without PublicIPv6
	// there are none.
	ListenIPv6, PublicIPv6 netip.Addr
	Ports                  PortRange
	Path                   MediaPath
	// Hook is where the kernel path meets packets; Pins is a folder in a bpffs by which calls' media outlive
	// the process, empty for none.
	Hook     MediaHook
	Pins     string
	SRTPKeys SRTPKeys
	// Rest is how long a released port waits before it is given out again.
	Rest time.Duration
	// Timeout is how long a leg that is not on hold may send nothing before its call ends; 0: for ever.
	Timeout time.Duration
}

// PortRange is inclusive at both ends.
type PortRange struct{ First, Last uint16 }

// Ops is the operator's HTTP listener.
type Ops struct {
	Listen netip.AddrPort
	// TokenFile holds the bearer token that requests must show; empty: none need, which only a loopback address allows.
	TokenFile string
	// CoreDumps of a process that dies; they hold keys and passwords.
	CoreDumps CoreDumps
}

// Limits bound what the network can make the edge hold.
type Limits struct {
	Calls            int
	InvitesPerSecond int
	// PerSource is the INVITEs a second taken from one address.
	PerSource int
	// Duration is how long an answered call may last; 0: for ever.
	Duration time.Duration
	// Connections are accepted in all, ConnectionsPerSource from one address.
	Connections, ConnectionsPerSource int

	// MessageBytes bounds a SIP message, HeaderLines its header, BodyBytes what is behind that, SDPBytes a session description.
	MessageBytes, HeaderLines, BodyBytes, SDPBytes int
}

// Log shapes the log on standard error.
type Log struct {
	Level  zapcore.Level
	Format LogFormat
}

// Journal is where calls are written down.
type Journal struct {
	Kind JournalKind
	// Path is the file of JournalBolt.
	Path string
}

// CDR is where calls that ended are told of.
type CDR struct {
	Kind CDRKind
	// Path is the file of CDRFile, which is rotated at MaxMegabytes, and Keep how many such are kept.
	Path         string
	MaxMegabytes int
	Keep         int
}

// Trace is how much of the last calls is remembered for who asks what became of them, and who else is shown calls.
type Trace struct {
	// Calls are those remembered, live or ended; 0 remembers none. BytesPerCall bounds the messages of each.
	Calls, BytesPerCall int
	HEP                 HEP
}

// HEP is a Homer collector that gets every SIP message, without its secrets, and what peers report of media. It is configured
// when Server is set.
type HEP struct {
	Server Collector
	// ID is this edge's at the collector.
	ID           uint32
	PasswordFile string
	// CAFile holds the authorities that may sign for a collector behind TLS; empty: those of the system.
	CAFile string
}

// Telemetry is what others are told of calls that ended.
type Telemetry struct{ OTLP OTLP }

// OTLP is an OpenTelemetry collector that gets a trace of each call. It is configured when Endpoint is set.
type OTLP struct {
	// Endpoint is its URL, without /v1/traces.
	Endpoint string
	// HeadersFile holds headers of each request: one line of name=value, with commas between them.
	HeadersFile string
	// CAFile holds the authorities that may sign for it; empty: those of the system.
	CAFile string
}

// Collector is where something is sent to: a host and a port.
type Collector struct {
	Transport Transport
	Addr      string
}

func (c Collector) String() string { return string(c.Transport) + ":" + c.Addr }

// Default returns the values that hold for absent keys. It is not valid by itself: sip.public,
// watson.targets and, for its tls: listener, sip.tls have no default.
func Default() *Config {
	node, err := os.Hostname()
	if err != nil {
		node = "edge"
	}
	return &Config{
		Node: node,
		SIP: SIP{Listen: []Listen{
			{TLS, netip.MustParseAddrPort("0.0.0.0:5061")},
			{TCP, netip.MustParseAddrPort("0.0.0.0:5060")},
			{UDP, netip.MustParseAddrPort("0.0.0.0:5060")},
		}, Timeouts: Timeouts{Dial: 3 * time.Second, Handshake: 10 * time.Second, Message: 30 * time.Second, Idle: time.Hour}},
		Twilio: Twilio{
			Sources:    twilioSources(),
			Leg:        LegAuto,
			MediaLearn: MediaLearnOff,
			SRTP:       SRTPRequired,
			Refer:      Refer{MaxReferTo: 256, Header: KeyHeaderXWatson},
			REST:       REST{BaseURL: "https://api.twilio.com", TwiML: TwiMLRedirect},
			SIPDomain:  SIPDomain{Realm: "sip.twilio.com", Caller: anyCaller},
		},
		Watson: Watson{
			Sources:    watsonSources(),
			MediaLearn: MediaLearnOff,
			SRTP:       SRTPRequired,
			Health:     Health{OptionsEvery: 30 * time.Second},
			Headers: []string{
				"X-Twilio-*", "X-Parent-CallSid", "X-Global-SIP-Trunk-Call-ID", "User-to-User", "Diversion", "P-Asserted-Identity",
			},
			Caller: anyCaller,
		},
		Transfer: Transfer{
			Intercept: []string{"sip:queue@flex.twilio.com"},
			Methods:   []metrics.Method{metrics.MethodRefer, metrics.MethodREST, metrics.MethodInvite},
			Timeout:   40 * time.Second,
			Total:     60 * time.Second,

			AfterSilence: AfterSilenceStop,
			Unmatched:    UnmatchedRefuse,
			HangupHeader: "Transfer-Target",
		},
		Media: Media{
			Listen:     netip.IPv4Unspecified(),
			ListenIPv6: netip.IPv6Unspecified(),
			Ports:      PortRange{10000, 19999},
			Path:       MediaPathAuto,
			Hook:       MediaHookTC,
			Pins:       "/sys/fs/bpf/handoff",
			SRTPKeys:   SRTPKeysPass,
			Rest:       30 * time.Second,
			Timeout:    5 * time.Minute,
		},
		Ops:      Ops{Listen: netip.MustParseAddrPort("127.0.0.1:9090"), CoreDumps: CoreDumpsOff},
		Webhooks: Webhooks{Listen: netip.MustParseAddrPort("0.0.0.0:8443")},
		Limits: Limits{
			Calls: 1000, InvitesPerSecond: 50, PerSource: 30, Duration: 4 * time.Hour, Connections: 1024, ConnectionsPerSource: 256,
			MessageBytes: 65535, HeaderLines: 256, BodyBytes: 32 << 10, SDPBytes: 16 << 10,
		},
		Log:     Log{Level: zapcore.InfoLevel, Format: LogJSON},
		Journal: Journal{Kind: JournalBolt, Path: "/var/lib/handoff/calls.db"},
		CDR:     CDR{Kind: CDRFile, Path: "/var/lib/handoff/cdr.jsonl", MaxMegabytes: 100, Keep: 10},
		Trace:   Trace{Calls: 500, BytesPerCall: 256 << 10, HEP: HEP{ID: 2001}},
	}
}
