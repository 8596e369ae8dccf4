package trace

import (
	"crypto/sha256"
	"fmt"
)

// remembered bounds how many messages repeats compares with.
const remembered = 1024

// repeats tells retransmissions from messages.
type repeats struct {
	seen map[[sha256.Size]byte]struct{}
	ring [][sha256.Size]byte // the keys of seen, the oldest at next once it is full
	next int
}

// repeated reports whether the same message went the same way before. The ACK for a repeated 200
// has a branch of its own (RFC 3261 §17.1.1.3, §13.2.2.4) and is a repetition all the same.
func (r *repeats) repeated(m Message, h head) bool {
	branch := h.branch()
	if h.method == "ACK" {
		branch = ""
	}
	number, method := h.cseq()
	id := sha256.Sum256(fmt.Appendf(nil, "%v|%v|%s|%d|%s|%s|%s|%s|%s|%s|%s", m.Direction, m.Peer, h.method, h.code,
		h.get("Call-ID"), number, method, branch, h.tag("From"), h.tag("To"), h.body))
	if _, ok := r.seen[id]; ok {
		return true
	}
	if r.seen == nil {
		r.seen = map[[sha256.Size]byte]struct{}{}
	}
	r.seen[id] = struct{}{}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, id)
		return false
	}
	delete(r.seen, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % remembered
	return false
}
