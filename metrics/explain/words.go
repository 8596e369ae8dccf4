package explain

import "handoff/metrics"

// words are what an operator reads for a word of metrics: what happened, and what he can do.
type words struct {
	severity Severity
	what, do string
}

const nothing = "Nothing to do."

// endings are the words for how a call ended.
var endings = []words{
	metrics.ReasonInternal: {Error, "The edge itself failed and ended the call.",
		"This is a bug: keep the log of this call (panic in call) and this story, and report them."},
	metrics.ReasonCallerHangup: {Info, "The caller hung up.", nothing},
	metrics.ReasonWatsonHangup: {Info, "Watson hung up.", "Nothing, unless it should have transferred: then look at what the assistant's dialog does there."},
	metrics.ReasonTransferred:  {Info, "The caller was handed over.", nothing},
	metrics.ReasonCancelled:    {Warning, "The caller gave up before Watson answered.", "If he waited long, see which target was slow; the good one belongs first in watson.targets."},
	metrics.ReasonCallerLost:   {Error, "Twilio knows nothing of the call any more, or could not be reached.", "Look the call up in Twilio's console by its CallSid; if many are lost at once, the way to Twilio was cut."},
	metrics.ReasonCallerNoACK:  {Error, "Twilio never acknowledged the edge's 200, so the call was given up after 32 s.", "Check that sip.public and the Contact in the 200 lead to this edge from Twilio's side (handoff doctor)."},
	metrics.ReasonMediaRefused: {Error, "The caller's SDP offers nothing that both sides and the configuration allow.", "See the Warning in the edge's 488: mostly twilio.srtp and \"secure\" at Twilio differ, or the codec is neither PCMU nor PCMA."},
	metrics.ReasonBadRequest:   {Error, "The caller's SDP could not be read.", "See the Warning in the edge's 400; if it came from Twilio, keep the message and report it."},
	metrics.ReasonWatsonRejected: {Error, "Watson refused the call.",
		"403 and 404: the number in the assistant's phone integration; 401 and 407: watson.auth; 486, 503: its capacity."},
	metrics.ReasonWatsonUnreachable: {Error, "None of Watson's targets could be reached.",
		"Run handoff doctor: it probes DNS, TLS and SIP of each of watson.targets; then look at IBM's status page and the firewall toward port 5061."},
	metrics.ReasonWatsonNoAnswer:   {Error, "Watson rang for three minutes and did not answer.", "Look at the assistant's phone integration; the edge can do nothing here."},
	metrics.ReasonWatsonBadAnswer:  {Error, "Watson answered with something that can't be used.", "Compare Watson's 200 with the edge's offer (watson.srtp, codecs); the log has the reason (answer refused)."},
	metrics.ReasonWatsonLost:       {Error, "Watson knows nothing of the call any more, or could not be reached.", "Watch for more of these: a zone of Watson's may have gone down with its calls (IBM's status page)."},
	metrics.ReasonNoPorts:          {Error, "No media ports were left.", "Widen media.ports (a call takes four) and the firewall with it; that wants a restart."},
	metrics.ReasonShutdown:         {Warning, "The edge was shut down under the call.", "Let calls end first: handoff drain with a longer --within, or handoff upgrade."},
	metrics.ReasonOperator:         {Info, "An operator ended the call (handoff calls hangup, or the API).", nothing},
	metrics.ReasonTransferFailed:   {Error, "Watson had left when the transfer failed, so nobody was left to talk to the caller.", "See why the transfer failed; a second method in transfer.methods would have caught it."},
	metrics.ReasonTransferUnproved: {Warning, "The call ended in a transfer of which nothing proves that it worked.", "Look in Twilio's console, by the CallSid, whether an agent got the caller."},
	metrics.ReasonRestart:          {Error, "The process died while the call was being set up, or its ports were taken afterwards.", "See in the log why it died; calls that were answered go on behind a restart, those being set up can't."},
	metrics.ReasonWatsonRedirected: {Error, "Watson sent the call to another host, and it could not be followed there.", "If that host is Watson's, add it to watson.redirect_hosts and run handoff reload."},
	metrics.ReasonCallerExpired:    {Error, "Twilio did not refresh its session timer in time.", "Look for lost messages toward Twilio; the call was probably gone there long before."},
	metrics.ReasonWatsonExpired:    {Error, "Watson did not refresh its session timer in time.", "Look for lost messages toward Watson; watson.session_expires sets what the edge asks for."},
	metrics.ReasonCallerSilent:     {Error, "No media came from the caller for media.timeout.", "See why he was not heard: a firewall, or a call that was long dead at Twilio."},
	metrics.ReasonWatsonSilent:     {Error, "No media came from Watson for media.timeout.", "Check that Watson reaches media.public_ip and media.ports over UDP."},
	metrics.ReasonAgentSilent:      {Error, "No media came from the agent for media.timeout.", "Check that Twilio reaches media.public_ip and media.ports over UDP."},
	metrics.ReasonDuration:         {Warning, "The call reached limits.duration and was ended.", "If such calls are real, raise limits.duration and run handoff reload."},
}

// outcomes are the words for how a transfer ended.
var outcomes = []words{
	metrics.TransferProved: {Info, "The transfer is proved: the caller reached its target.", nothing},
	metrics.TransferMalformed: {Error, "Watson's transfer request could not be read.",
		"Put its Refer-To into handoff decode, which says what is wrong; it is written in the assistant's connect_to_agent response."},
	metrics.TransferRefusedTarget: {Error, "Watson asked for a target that is not in transfer.intercept.", "Add the target to transfer.intercept and run handoff reload, or correct it in the assistant's connect_to_agent response."},
	metrics.TransferBusy:          {Warning, "Watson asked for a transfer while another one was under way.", "Nothing, if the first one ended well; else let the assistant wait for its outcome."},
	metrics.TransferUnfit:         {Error, "No configured method fits this caller or carries this key.", "Configure twilio.rest or twilio.sip_domain besides REFER (handoff setup prints how); handoff decode shows what fits a key."},
	metrics.TransferRejected:      {Error, "Twilio refused the transfer.", "Mostly <Dial> has no referUrl, or a trunk's transfer mode is off: look the call up in Twilio's console by its CallSid; with twilio.rest configured the next method would have caught it."},
	metrics.TransferFailed:        {Error, "Twilio took the transfer and then could not carry it out.", "The handler at referUrl or its target failed: Twilio's console has its error under the CallSid."},
	metrics.TransferUnsent:        {Error, "The transfer request could not be sent to Twilio.", "See in the log what failed: the connection, the address of twilio.rest, or the SIP domain's name."},
	metrics.TransferSilent:        {Error, "Twilio never said how the transfer ended.", "Look in Twilio's console, by the CallSid, whether an agent got the caller; nothing else was tried, so that no two agents ring (transfer.after_silence)."},
	metrics.TransferUnproved:      {Warning, "Twilio ended the caller's leg without a word on the transfer.", "Look in Twilio's console, by the CallSid, whether an agent got the caller."},
	metrics.TransferCallerGone:    {Info, "The caller hung up while the transfer was under way.", "Nothing, unless it took long: see what he waited for."},
	metrics.TransferInternal:      {Error, "The edge failed in the transfer, or was shut down under it.", "If it was not shut down this is a bug: keep the log of this call and this story, and report them."},
}

// contexts are the words for what became of the session history key.
var contexts = []words{
	metrics.ContextDelivered: {Info, "The session history key went out byte for byte.", nothing},
	metrics.ContextAbsent:    {Warning, "Watson sent no session history key: the agent sees no conversation.", "The assistant's connect_to_agent response has to carry it in its sip custom headers (handoff setup prints how)."},
	metrics.ContextRejected:  {Warning, "The session history key did not reach an agent.", "It is kept out when it can't be carried whole, and goes with a transfer that fails: see the transfer."},
	metrics.ContextMismatch:  {Error, "What would have gone out was not the session history key that came in, so nothing was sent.", "This is a promise broken: keep the log of this call and this story, and report them."},
}

// unheards are the words for a leg that is not heard; %s is whose.
var unheards = []words{
	metrics.OneWayNothing:     {Error, "No media at all came from %s.", "Check the firewall for UDP to media.ports, media.public_ip, and the peer itself (handoff doctor)."},
	metrics.OneWaySource:      {Error, "Media of %s came from another address or port than its SDP says, and was dropped.", "A NAT stands before it: set twilio.media_learn or watson.media_learn to window, and run a restart; the log has both addresses."},
	metrics.OneWayPayloadType: {Error, "%s sent a codec that was not agreed on.", "Compare the SDPs below; let that side prefer the codec that was agreed on."},
	metrics.OneWayAuth:        {Error, "The SRTP of %s is not by the key in its SDP.", "Something between exchanged the SDP, or the peer kept an old key behind a re-INVITE; media.srtp_keys: terminate tells which side."},
	metrics.OneWayHold:        {Info, "%s was on hold.", "Nothing: Watson holds the caller before it transfers him."},
}

// refusals are the words for what was turned away.
var refusals = []words{
	metrics.RejectSource:      {Error, "It came from an address that may not call.", "If it is Twilio's or Watson's, add it to twilio.sources or watson.sources and run handoff reload."},
	metrics.RejectMalformed:   {Error, "It could not be read.", "See the Warning in the edge's answer; if it came from Twilio or Watson, keep the message and report it."},
	metrics.RejectFraming:     {Error, "The connection lost its message boundaries and was closed.", "Look for a proxy or a load balancer between that does not speak SIP."},
	metrics.RejectTooLarge:    {Error, "It was larger than the edge takes.", "If such messages are real, raise limits.message_bytes or limits.body_bytes; that wants a restart."},
	metrics.RejectVersion:     {Error, "It was not SIP/2.0.", "Look at who sends it: neither Twilio nor Watson does."},
	metrics.RejectScheme:      {Error, "Its Request-URI has a scheme that the edge does not know.", "Correct the URI at Twilio: sip: or sips: and a number."},
	metrics.RejectExtension:   {Error, "It required an extension that the edge does not have, or a session timer that is too short.", "See Unsupported or Min-SE in the edge's answer and take that out of what Twilio is told."},
	metrics.RejectHops:        {Error, "It had travelled too far (Max-Forwards).", "Two servers send it to each other: look for a loop between Twilio, a proxy and this edge."},
	metrics.RejectMethod:      {Warning, "The edge does not take that method there.", "Nothing, unless the peer needs it; Allow in the edge's answer has those that it takes."},
	metrics.RejectDialog:      {Warning, "It belongs to no call that the edge knows.", "Ordinary behind the end of a call; else a peer went on with a call that the edge has given up, or the process was restarted."},
	metrics.RejectCSeq:        {Warning, "Its number was lower than one before it.", "A peer or a proxy sent requests out of order; if it goes on, keep the messages and report it to that side."},
	metrics.RejectMerged:      {Warning, "The same request came by two ways.", "A proxy before the edge forks it: let it send one."},
	metrics.RejectGlare:       {Info, "Both sides changed the session at once.", "Nothing: the peer asks again (491)."},
	metrics.RejectLate:        {Info, "It came behind the end of its call.", nothing},
	metrics.RejectLimit:       {Error, "A limit was reached.", "If CPU and media ports have room, raise limits.calls, limits.invites_per_second or limits.per_source and run handoff reload."},
	metrics.RejectDraining:    {Warning, "The edge takes no new calls: it is going down.", "Nothing if that is meant (handoff drain); Twilio takes the next edge, if there is one."},
	metrics.RejectMailbox:     {Error, "The call had more waiting than it takes.", "One peer floods a call: see below who sends what."},
	metrics.RejectTLS:         {Error, "The TLS handshake failed.", "Run handoff doctor: it looks at the edge's certificate as Twilio does."},
	metrics.RejectConnections: {Error, "There were too many connections.", "If they are Twilio's or Watson's, raise limits.connections or connections_per_source; that wants a restart."},
	metrics.RejectQueue:       {Error, "The peer did not read, and its connection was closed.", "Look at the way to that peer; if it goes on, report it to that side."},
	metrics.RejectGuard:       {Error, "The edge was about to send something unsafe, and did not.", "This is a bug: keep the log and this story, and report them."},
	metrics.RejectResponse:    {Info, "A response came to a request that nobody has sent, or that is over.", nothing},
}

// drops are the words for packets of a leg that were not forwarded, where they say something; %s is whose.
var drops = map[metrics.Foreign]words{
	metrics.ForeignSource:    {Warning, "Packets came to the port of %s from elsewhere and were dropped", "If they are its own, media_learn: window admits a NAT; else somebody tried the port, and nobody heard him."},
	metrics.ForeignMalformed: {Warning, "What came to the port of %s was partly no RTP", "Nothing, unless that side was not heard: it may try ICE or DTLS, which the edge does not speak."},
	metrics.ForeignAuth:      {Warning, "SRTP of %s did not authenticate, or came twice", "A few packets are repeats; many are a wrong key: see whether it was heard."},
}
