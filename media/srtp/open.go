package srtp

import (
	"sync"

	"handoff/media/sdp"
)

// Opener authenticates and decrypts what one peer sends under one key.
type Opener struct {
	mu       sync.Mutex
	cipher   cipher
	rtp      streams
	control  streams
	expected Position
	floor    bool   // nothing of expected.SSRC at or below expected.Index is let in
	joins    uint32 // a stream that joined before the last Expect must join again
}

// NewOpener returns an Opener, or ErrKey.
func NewOpener(suite sdp.Suite, key sdp.Key) (*Opener, error) {
	if err := Check(suite, key); err != nil {
		return nil, err
	}
	return &Opener{cipher: cipher{suite: suite, key: key}}, nil
}

// Expect tells where a stream stands that is opened from its middle, and that what the Opener knew
// of its streams may be out of date: they went past it for a while. authentic says that the position
// is one an Opener told: nothing up to it is let in again.
func (o *Opener) Expect(p Position, authentic bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expected, o.floor = p, authentic
	o.joins++
}

// Position is where the stream in progress stands; false when nothing was opened yet.
func (o *Opener) Position() (Position, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rtp.last == nil {
		return Position{}, false
	}
	return Position{o.rtp.last.ssrc, o.rtp.last.window.top}, true
}

// RTP opens a packet in its own buffer. It is false when the packet does not authenticate or came
// before; then its payload is lost (AES-GCM clears what does not authenticate).
func (o *Opener) RTP(b []byte) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(b) < rtpHeader || !o.cipher.ready() {
		return nil, false
	}
	in := o.rtp.find(ssrc(b))
	if in == nil || in.joined != o.joins {
		return o.join(in, b)
	}
	index, ok := in.window.near(sequence(b))
	if !ok || !in.window.fresh(index) {
		return nil, false
	}
	plain, ok := o.cipher.openRTP(b, index)
	if ok {
		in.window.use(index)
		o.rtp.heard(in)
	}
	return plain, ok
}

// maxROC bounds the search of join: sixteen turns are 5 hours of 50 packets a second.
const maxROC = 16

// maxJoin is more than an Ethernet frame holds.
const maxJoin = 2048

// join opens the first packet of a stream, or the first after others went past the Opener. Nobody
// can tell its roll-over counter for sure, so what is likely is tried: a wrong one does not
// authenticate. in is nil for an SSRC never seen.
func (o *Opener) join(in *incoming, b []byte) ([]byte, bool) {
	var whole [maxJoin]byte // for a try with AES-GCM leaves nothing of what it failed at
	if len(b) > len(whole) {
		return nil, false
	}
	copy(whole[:], b)
	from, n := ssrc(b), uint64(sequence(b))
	if _, known := o.cipher.context.ROC(from); !known {
		o.cipher.states++
	}
	likely := uint64(0)
	switch {
	case o.expected.SSRC == from:
		likely = o.expected.Index >> 16
	case in != nil:
		likely = in.window.top >> 16
	}
	for try := range uint64(3 + maxROC) {
		roc := try - 3
		if try < 3 {
			roc = likely + [...]uint64{0, 1, ^uint64(0)}[try]
		}
		index := roc<<16 | n
		switch {
		case roc > 1<<32-1: // one before the first
			continue
		case in != nil && !in.window.fresh(index):
			continue
		case o.floor && o.expected.SSRC == from && index <= o.expected.Index:
			continue
		}
		if plain, ok := o.cipher.openRTP(b, index); ok {
			in = o.rtp.take(from)
			in.window.begin(index)
			in.joined = o.joins
			o.rtp.heard(in)
			return plain, true
		}
		copy(b, whole[:])
	}
	return nil, false
}

// RTCP opens a compound packet in its own buffer, as RTP does. Its index stands in the packet.
func (o *Opener) RTCP(b []byte) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	told, ok := o.cipher.controlIndex(b)
	if !ok || !o.cipher.ready() {
		return nil, false
	}
	from, index := controlSSRC(b), uint64(told)
	in := o.control.find(from)
	if in != nil && !in.window.fresh(index) {
		return nil, false
	}
	plain, ok := o.cipher.openRTCP(b)
	if !ok {
		return nil, false
	}
	if in == nil {
		o.cipher.states++ // pion keeps the states of authentic ones only
		in = o.control.take(from)
		in.window.begin(index)
	}
	in.window.use(index)
	o.control.heard(in)
	return plain, true
}
