package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// saved is an INVITE that came over UDP and waits for its answer, as another process can give it.
type saved struct {
	Local  netip.AddrPort `json:"local"` // the socket that heard it
	Source netip.AddrPort `json:"source"`
	Tag    string         `json:"tag"`  // of our responses
	Head   []byte         `json:"head"` // the lines that they repeat
}

// Save returns what another process needs to answer an INVITE (Reopen). It is nil behind the final answer, and over a stream, of
// which the end tells the peer that nobody answers: over UDP one who has heard 100 repeats nothing and waits.
func (t *ServerTx) Save() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.invite() || t.final != 0 || t.flow.udp == nil {
		return nil
	}
	var lines strings.Builder
	lines.WriteString(t.head.start + "\r\n")
	for _, f := range t.head.fields {
		if slices.ContainsFunc(echoed, f.is) {
			lines.WriteString(f.name + ": " + f.value + "\r\n")
		}
	}
	lines.WriteString("\r\n")
	data, _ := json.Marshal(saved{t.flow.local, t.source, t.tag, []byte(lines.String())}) // plain data: it always marshals
	return data
}

// echoed are the lines that every response repeats (RFC 3261 §8.2.6.2), and that tell a request from others (§17.2.3).
var echoed = []string{"Via", "From", "To", "Call-ID", "CSeq"}

// errRepeated says that the peer has sent its INVITE again, to this process: it is being answered.
var errRepeated = errors.New("the request came again")

// Reopen goes on with the transaction that another process has saved, before its final answer: the answer goes from the same
// address, with the same To tag, is repeated until its ACK comes, and copies of the INVITE get it too.
func (s *Stack) Reopen(data []byte) (*ServerTx, error) {
	var from saved
	if err := json.Unmarshal(data, &from); err != nil {
		return nil, fmt.Errorf("saved request: %w", err)
	}
	socket, err := s.socketFor(from.Source.Addr(), s.socketAt(from.Local))
	if err != nil {
		return nil, err
	}
	fr, ok := frameDatagram(from.Head, s.cfg.MaxHeaderLines)
	if !ok {
		return nil, errors.New("saved request: it is no message")
	}
	in, refusal := s.understand(fr, s.udpFlow(socket, from.Source, s.deps.Admit(from.Source, UDP)))
	if refusal != nil {
		return nil, fmt.Errorf("saved request: %s", refusal.reason)
	}
	if in.req == nil {
		return nil, errors.New("saved request: it is a response")
	}
	key := s.serverKey(in, in.req.Method)
	tx, fresh, err := s.table.open(key, true, func() *ServerTx {
		t := s.newServerTx(key, in)
		t.tag = from.Tag
		return t
	})
	if err == errSettled || err == nil && !fresh {
		err = errRepeated
	}
	return tx, err
}

// socketAt is the UDP socket of that address; nil for none.
func (s *Stack) socketAt(at netip.AddrPort) *udpSocket {
	if i := slices.IndexFunc(s.sockets, func(u *udpSocket) bool { return u.local == at }); i >= 0 {
		return s.sockets[i]
	}
	return nil
}
