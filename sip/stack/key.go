package stack

import (
	"cmp"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// keyRoom is what most keys have room in.
const keyRoom = 256

// magicCookie is in the branch of everybody who knows RFC 3261 (§8.1.1.7).
const magicCookie = "z9hG4bK"

// clientKey is what a response has of its request's (RFC 3261 §17.1.3).
type clientKey struct{ branch, method string }

// appendServerKey appends what a request has in common with its copies, an ACK with the INVITE that was refused and a
// CANCEL with the one that it cancels (RFC 3261 §17.2.3, §9.2): branch, sent-by and method. Without a branch that is
// unique by itself it is RFC 2543's: the top Via as a whole, and what names the request in its dialog. What divides the
// parts can stand in none of them. For whom the sender speaks is part of it: nobody takes another peer's request up, let alone back.
func appendServerKey(b []byte, in *inbound, method sipmsg.RequestMethod) []byte {
	b = append(b, byte(in.flow.peer), '\n')
	via := in.head.via()
	if branch, _ := via.Param("branch"); len(branch) > len(magicCookie) && strings.HasPrefix(branch, magicCookie) {
		transport, _ := ParseTransport(via.Transport)
		b = append(append(b, branch...), '\n')
		b = append(append(b, via.Host...), '\n')
		b = append(strconv.AppendUint(b, uint64(cmp.Or(via.Port, transport.defaultPort())), 10), '\n')
		return append(b, method...)
	}
	tag, _ := in.req.From().Params.Get("tag")
	b = append(append(b, tag...), '\n')
	b = append(append(b, in.req.CallID().Value()...), '\n')
	b = append(strconv.AppendUint(b, uint64(in.req.CSeq().SeqNo), 10), '\n')
	b = append(append(b, via.String()...), '\n')
	return append(b, method...)
}
