// Package dialog is RFC 3261 §12 as data: identity, sequence numbers, route set, targets, and the
// requests that follow from them.
//
// It owns no timer, no transaction and no socket; a Dialog is a plain struct that can be written
// down with encoding/json and read back. The leg that holds it is its only user, on the goroutine
// of the call. Implemented: RFC 3261 §12.1 (creation on both sides), §12.2.1.1 (requests, loose and
// strict routing), §12.2.2 (order of incoming requests), §13.2.2.4 (ACK of a 2xx).
package dialog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/uri"
)

// Role tells which side sent the INVITE that made the dialog.
type Role string

const (
	UAC Role = "uac"
	UAS Role = "uas"
)

// ID names a dialog as seen from the edge (RFC 3261 §12).
type ID struct {
	CallID    string `json:"call_id"`
	LocalTag  string `json:"local_tag"`
	RemoteTag string `json:"remote_tag"`
}

// Dialog is one SIP dialog. A UAC's dialog exists before its first response, without a remote tag:
// the INVITE itself is built from it.
type Dialog struct {
	ID
	Role Role `json:"role"`

	// LocalURI and RemoteURI are the addr-specs of From and To as they stood in the INVITE.
	LocalURI  string `json:"local_uri"`
	RemoteURI string `json:"remote_uri"`
	// LocalName is the display name beside LocalURI, unquoted. It is no part of the dialog's identity, and
	// yet stands in every request: a peer of RFC 2543's kind compares From as a whole.
	LocalName string `json:"local_name,omitempty"`
	// RemoteTarget is the peer's Contact: the Request-URI of what we send.
	RemoteTarget string `json:"remote_target"`
	// RouteSet holds Route values in the order of use, as the Record-Route gave them.
	RouteSet []string `json:"route_set,omitempty"`
	// Contact is our own Contact value, with its brackets.
	Contact string `json:"contact"`

	// LocalCSeq is the last number we used, RemoteCSeq the highest that the peer used; 0 is none.
	LocalCSeq  uint32 `json:"local_cseq"`
	RemoteCSeq uint32 `json:"remote_cseq"`
}

// ErrCSeq says that a request's number is not above the last one: out of order, to be answered
// with 500 (RFC 3261 §12.2.2).
var ErrCSeq = errors.New("CSeq not above the last one of the dialog")

// NewUAS returns the dialog that a received INVITE makes (RFC 3261 §12.1.1): the route set is the
// Record-Route in the order received.
func NewUAS(invite *sipmsg.Request, localTag, contact string) (*Dialog, error) {
	from, to := invite.From(), invite.To()
	if from == nil || to == nil || invite.CallID() == nil || invite.CSeq() == nil {
		return nil, errors.New("INVITE without From, To, Call-ID or CSeq")
	}
	target, err := contactOf(invite)
	if err != nil {
		return nil, err
	}
	routes, err := recordRoutes(invite)
	if err != nil {
		return nil, err
	}
	remoteTag, _ := from.Params.Get("tag")
	return &Dialog{
		// Copies: parts of the text of a message hold all of it, and a dialog may last for hours.
		ID:           ID{CallID: strings.Clone(invite.CallID().Value()), LocalTag: localTag, RemoteTag: strings.Clone(remoteTag)},
		Role:         UAS,
		LocalURI:     uri.Text(to.Address),
		RemoteURI:    uri.Text(from.Address),
		RemoteTarget: target,
		RouteSet:     routes,
		Contact:      contact,
		RemoteCSeq:   invite.CSeq().SeqNo,
	}, nil
}

// NewUAC returns the dialog of an INVITE still to be sent: local is From's addr-spec and name the display
// name beside it, target both To and Request-URI.
func NewUAC(callID, localTag, local, name, target, contact string) *Dialog {
	return &Dialog{
		ID:           ID{CallID: callID, LocalTag: localTag},
		Role:         UAC,
		LocalURI:     local,
		LocalName:    strings.Clone(name), // as in NewUAS
		RemoteURI:    target,
		RemoteTarget: target,
		Contact:      contact,
	}
}

// Established returns the dialog that a response with a To tag makes out of the INVITE's dialog d
// (RFC 3261 §12.1.2): the route set is the Record-Route reversed. Each fork gets its own; the
// sequence number goes on from d's.
func (d *Dialog) Established(res *sipmsg.Response) (*Dialog, error) {
	to := res.To()
	if to == nil {
		return nil, errors.New("response without To")
	}
	tag, _ := to.Params.Get("tag")
	if tag == "" {
		return nil, errors.New("response without To tag")
	}
	routes, err := recordRoutes(res)
	if err != nil {
		return nil, err
	}
	slices.Reverse(routes)
	made := *d
	if tag != d.RemoteTag { // another fork counts anew
		made.RemoteCSeq = 0
	}
	made.RemoteTag = strings.Clone(tag)
	made.RouteSet = routes
	if target, err := contactOf(res); err == nil {
		made.RemoteTarget = target
	} else if res.IsSuccess() {
		return nil, err
	}
	return &made, nil
}

// Request returns the next request of the dialog, with a sequence number never used before. Via is
// the transport's business; Content-Length stands at 0 until the body is set.
func (d *Dialog) Request(method sipmsg.RequestMethod) *sipmsg.Request {
	d.LocalCSeq++
	return d.request(method, d.LocalCSeq)
}

// ACK returns the ACK for the 2xx to the INVITE numbered cseq. It takes the INVITE's number, not
// the dialog's last one, which a PRACK or UPDATE may have raised (RFC 3261 §13.2.2.4).
func (d *Dialog) ACK(cseq uint32) *sipmsg.Request {
	return d.request(sipmsg.ACK, cseq)
}

// Cancel returns the CANCEL of a UAC's INVITE numbered cseq, as it stood before any response (RFC 3261 §9.1). Who
// sends it knows the INVITE's branch.
func (d *Dialog) Cancel(cseq uint32) *sipmsg.Request { return d.outside().request(sipmsg.CANCEL, cseq) }

// outside is a UAC's dialog as its INVITE left it.
func (d *Dialog) outside() *Dialog {
	o := *d
	o.RemoteTag, o.RemoteTarget, o.RouteSet = "", d.RemoteURI, nil
	return &o
}

func (d *Dialog) request(method sipmsg.RequestMethod, cseq uint32) *sipmsg.Request {
	target, routes := d.routing()
	req := sipmsg.NewRequest(method, target)
	for _, r := range routes {
		req.AppendHeader(sipmsg.NewHeader("Route", r))
	}
	hops := sipmsg.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&sipmsg.FromHeader{DisplayName: uri.Quotable(d.LocalName), Address: verbatim(d.LocalURI), Params: tagParam(d.LocalTag)})
	req.AppendHeader(&sipmsg.ToHeader{Address: verbatim(d.RemoteURI), Params: tagParam(d.RemoteTag)})
	callID := sipmsg.CallIDHeader(d.CallID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: cseq, MethodName: method})
	if carriesContact(method) {
		req.AppendHeader(sipmsg.NewHeader("Contact", d.Contact))
	}
	req.SetBody(nil)
	return req
}

// routing returns Request-URI and Route values (RFC 3261 §12.2.1.1). A first route without lr is a
// strict router: it becomes the Request-URI and the remote target goes last.
func (d *Dialog) routing() (sipmsg.Uri, []string) {
	if len(d.RouteSet) == 0 {
		return verbatim(d.RemoteTarget), nil
	}
	first, err := uri.ParseNameAddr(d.RouteSet[0])
	if _, loose := first.URI.Param("lr"); err != nil || loose {
		return verbatim(d.RemoteTarget), d.RouteSet
	}
	routes := append(slices.Clone(d.RouteSet[1:]), "<"+d.RemoteTarget+">")
	return first.URI.SIP(), routes
}

// NextHop returns where the dialog's requests are sent: the first route, else the remote target.
func (d *Dialog) NextHop() (uri.URI, error) {
	if len(d.RouteSet) > 0 {
		route, err := uri.ParseNameAddr(d.RouteSet[0])
		return route.URI, err
	}
	return uri.Parse(d.RemoteTarget)
}

// Receive takes the number of a request that came in and keeps its Contact where the method
// refreshes the target. A NOTIFY is taken with any number: Twilio's post-REFER NOTIFY was seen to
// start again at 1. Deviation: RFC 3261 §12.2.2 wants 500 there.
func (d *Dialog) Receive(req *sipmsg.Request) error {
	seq := req.CSeq().SeqNo
	if seq <= d.RemoteCSeq {
		if req.Method != sipmsg.NOTIFY {
			return fmt.Errorf("%w: %d after %d", ErrCSeq, seq, d.RemoteCSeq)
		}
		return nil
	}
	d.RemoteCSeq = seq
	if refreshesTarget(req.Method) {
		d.refresh(req)
	}
	return nil
}

// Refresh takes the Contact of a 2xx to a request of ours that refreshes the target. The route set
// stays as the dialog was made with: Twilio's answers on a redialled connection carry others
// (RFC 3261 §12.2.1.2).
func (d *Dialog) Refresh(res *sipmsg.Response) {
	if res.IsSuccess() && res.CSeq() != nil && refreshesTarget(res.CSeq().MethodName) {
		d.refresh(res)
	}
}

func (d *Dialog) refresh(m Headered) {
	if target, err := contactOf(m); err == nil {
		d.RemoteTarget = target
	}
}

// Matches tells whether a request that came in belongs to the dialog: Call-ID and both tags.
func (id ID) Matches(req *sipmsg.Request) bool {
	return req.CallID() != nil && req.CallID().Value() == id.CallID &&
		tagOf(req.To()) == id.LocalTag && FromTag(req) == id.RemoteTag
}

func carriesContact(m sipmsg.RequestMethod) bool {
	return refreshesTarget(m) || m == sipmsg.ACK
}

// refreshesTarget lists the target refresh requests (RFC 3261 §12.2, 3311, 3515, 6665).
func refreshesTarget(m sipmsg.RequestMethod) bool {
	switch m {
	case sipmsg.INVITE, sipmsg.UPDATE, sipmsg.REFER, sipmsg.NOTIFY, sipmsg.SUBSCRIBE:
		return true
	}
	return false
}

// verbatim wraps an addr-spec so that it is written as it stands.
func verbatim(addr string) sipmsg.Uri {
	scheme, rest, _ := strings.Cut(addr, ":")
	return sipmsg.Uri{Scheme: scheme, Host: rest}
}

func tagParam(tag string) sipmsg.HeaderParams {
	if tag == "" {
		return nil
	}
	return sipmsg.HeaderParams{{K: "tag", V: tag}}
}
