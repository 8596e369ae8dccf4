package stack

import (
	"cmp"
	"hash/maphash"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// keyRoom is what most keys have room in.
const keyRoom = 256

// magicCookie is in the branch of everybody who knows RFC 3261 (§8.1.1.7).
const magicCookie = "z9hG4bK"

// imprint stands for a text that names something. Two texts have the same one by chance never, and on purpose not either:
// the seeds are random. What is found by its imprint holds no text, and a collection of garbage passes it by.
type imprint [2]uint64

// inks are the seeds of imprints that are compared.
type inks [2]maphash.Seed

func newInks() inks { return inks{maphash.MakeSeed(), maphash.MakeSeed()} }

func (in *inks) of(text []byte) imprint {
	return imprint{maphash.Bytes(in[0], text), maphash.Bytes(in[1], text)}
}

// clientKey is the key of a request of ours: what a response has of it (RFC 3261 §17.1.3).
func (s *Stack) clientKey(branch, method string) imprint {
	var room [keyRoom]byte
	return s.inks.of(append(append(append(room[:0], branch...), '\n'), method...))
}

// answers is the key of the request that a response answers.
func (s *Stack) answers(in *inbound) imprint {
	branch, _ := in.head.via().Param("branch")
	return s.clientKey(branch, string(in.res.CSeq().MethodName))
}

// serverKey is the key of a request of a peer.
func (s *Stack) serverKey(in *inbound, method sipmsg.RequestMethod) imprint {
	var room [keyRoom]byte
	return s.inks.of(appendServerKey(room[:0], in, method))
}

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
