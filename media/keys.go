package media

import (
	"handoff/media/sdp"
	"handoff/media/srtp"
)

// keys is what an endpoint needs to terminate SRTP. Nearly every call passes its keys and uses none of
// it but to play a tone, so that each part is made when it is needed, and the ciphers below when the first
// packet comes.
type keys struct {
	opener  *srtp.Opener  // by the peer's key, nil while nothing had to be opened
	opening bool          // it follows what the peer sends
	witness *srtp.Witness // by the same key, of reports that pass; nil while none did
	sealing bool          // something was sent under our key since it is ours
	ssrc    uint32        // of the stream under it; no two streams of an endpoint have the same
}

// used is the SSRC of the edge under the key that the peer holds, 0 while it used none.
func (k keys) used() uint32 {
	if !k.sealing {
		return 0
	}
	return k.ssrc
}

// rekeyLocked follows the keys of what is negotiated anew. A key that stays keeps its state: no index is
// used or let in again. Before the first keys there is nothing to follow.
func (e *Endpoint) rekeyLocked(r Remote) error {
	if !e.set {
		return nil
	}
	same := r.Suite == e.remote.Suite
	if !same || !r.RemoteKey.Equal(e.remote.RemoteKey) {
		e.keys.opener, e.keys.opening, e.keys.witness = nil, false, nil
	}
	if !same || !r.LocalKey.Equal(e.remote.LocalKey) {
		return e.sealLocked(r)
	}
	return nil
}

// sealLocked begins a stream under our key.
func (e *Endpoint) sealLocked(r Remote) error {
	e.keys.sealing = false
	if r.Suite == sdp.NoSuite {
		e.out.Seal(nil)
		return nil
	}
	e.keys.ssrc = e.freshLocked(r.LocalKey)
	sealer, err := srtp.NewSealer(r.Suite, r.LocalKey, e.keys.ssrc)
	if err != nil {
		return err
	}
	e.out.Seal(sealer)
	return nil
}

// useLocked makes the stream ready to be sent: only now it is known which SSRCs others use.
func (e *Endpoint) useLocked() {
	if e.remote.Suite == sdp.NoSuite || e.keys.sealing {
		return
	}
	_ = e.sealLocked(e.remote) // Set has checked the key
	e.keys.sealing = true
}

// freshLocked returns an SSRC that stands under no packet of the key: not one of ours, and none of the
// peer whose own key it is, if it was passed on to this one.
func (e *Endpoint) freshLocked(key sdp.Key) uint32 {
	for ssrc := e.keys.ssrc + 1; ; ssrc++ {
		taken := ssrc == 0
		for _, o := range e.session.endpoints {
			taken = taken || o.remote.RemoteKey.Equal(key) && o.carrier.Report().Stream.SSRC == ssrc
		}
		if !taken {
			return ssrc
		}
	}
}

// openerLocked returns what decrypts the peer's packets: nil while they pass as they are, and as long
// as nobody needed them in the clear. An Opener that begins to follow them, or again, is told where
// they were last seen; nothing vouches for that but their source.
func (e *Endpoint) openerLocked(passing bool) *srtp.Opener {
	followed := e.keys.opening
	e.keys.opening = e.remote.Suite != sdp.NoSuite && !passing && (followed || e.bridgedLocked())
	if !e.keys.opening {
		return nil
	}
	opener := e.openLocked()
	if !followed {
		if seen := e.carrier.Report().Stream; seen.Started {
			opener.Expect(srtp.Position{SSRC: seen.SSRC, Index: seen.Index()}, false)
		}
	}
	return opener
}

// witnessLocked returns what reads the peer's reports that nobody opens: nil where they are plain.
func (e *Endpoint) witnessLocked() *srtp.Witness {
	if e.keys.witness == nil && e.remote.Suite != sdp.NoSuite {
		e.keys.witness, _ = srtp.NewWitness(e.remote.Suite, e.remote.RemoteKey) // Set has checked the key
	}
	return e.keys.witness
}

// openLocked returns the Opener by the peer's key, of which there is one only: it knows what was let in.
func (e *Endpoint) openLocked() *srtp.Opener {
	if e.keys.opener == nil {
		e.keys.opener, _ = srtp.NewOpener(e.remote.Suite, e.remote.RemoteKey) // Set has checked the key
	}
	return e.keys.opener
}
