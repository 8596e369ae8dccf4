package probe

import (
	"crypto/rand"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/uri"
)

// Options is the OPTIONS that asks a target whether it is there, but for its Via. public is our name in URIs, contact the Contact's value.
func Options(target uri.URI, public, contact string) *sipmsg.Request {
	us := uri.URI{Scheme: target.Scheme, User: "edge", Host: public}
	req := sipmsg.NewRequest(sipmsg.OPTIONS, target.SIP())
	hops := sipmsg.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&sipmsg.FromHeader{Address: us.SIP(), Params: sipmsg.HeaderParams{{K: "tag", V: rand.Text()}}})
	req.AppendHeader(&sipmsg.ToHeader{Address: target.SIP()})
	id := sipmsg.CallIDHeader(rand.Text() + "@" + public)
	req.AppendHeader(&id)
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: 1, MethodName: sipmsg.OPTIONS})
	req.AppendHeader(sipmsg.NewHeader("Contact", contact))
	req.AppendHeader(sipmsg.NewHeader("Accept", "application/sdp"))
	req.SetBody(nil)
	return req
}
