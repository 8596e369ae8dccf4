package srtp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"handoff/media/sdp"
)

// ErrKey: a suite that is not known, or no key.
var ErrKey = errors.New("no usable srtp key")

// Room is what sealing adds to a packet at most: the tag, and the index of SRTCP. A buffer given to
// a Sealer needs so much capacity beyond its length.
const Room = gcmTag + indexSize

const (
	rtpHeader  = 12
	rtcpHeader = 8
	hmacTag    = 10 // of SRTCP (RFC 4568 §6.2.2: it keeps the long tag)
	gcmTag     = 16 // RFC 7714 §13.2
	indexSize  = 4  // of SRTCP, with the flag
	encrypted  = 1 << 31
)

// Position is where a stream stands: RFC 3711's 48-bit index is its roll-over counter and its
// sequence number.
type Position struct {
	SSRC  uint32 `json:"ssrc"`
	Index uint64 `json:"index"`
}

// ROC is the roll-over counter.
func (p Position) ROC() uint32 { return uint32(p.Index >> 16) }

// maxStates is how many SSRCs a pion context may have seen; it keeps a state for each and forgets
// none, so that one which saw too many is thrown away.
const maxStates = 64

// cipher is one key. The context is made at the first packet, since most calls pass their keys and
// need none, and again whenever too much has gathered in it: all it holds is told anew with each
// packet.
type cipher struct {
	suite   sdp.Suite
	key     sdp.Key
	context *pion.Context
	states  int
	header  rtp.Header // reused: pion allocates one otherwise
	control rtcp.Header
}

var pionProfiles = map[sdp.Suite]pion.ProtectionProfile{
	sdp.SHA80: pion.ProtectionProfileAes128CmHmacSha1_80,
	sdp.SHA32: pion.ProtectionProfileAes128CmHmacSha1_32,
	sdp.GCM:   pion.ProtectionProfileAeadAes128Gcm,
}

// Check tells whether there is a suite and a key.
func Check(suite sdp.Suite, key sdp.Key) error {
	if _, ok := pionProfiles[suite]; !ok || !key.Suits(suite) {
		return fmt.Errorf("%w: %s, %s", ErrKey, suite, key)
	}
	return nil
}

// ready makes the context if it takes one. With a key that Check let through it can't fail.
func (c *cipher) ready() bool {
	if c.context != nil && c.states < maxStates {
		return true
	}
	key, salt := c.key.Master()
	context, err := pion.CreateContext(key, salt, pionProfiles[c.suite])
	c.context, c.states = context, 0
	return err == nil
}

func (c *cipher) openRTP(b []byte, index uint64) ([]byte, bool) {
	c.context.SetROC(ssrc(b), uint32(index>>16))
	plain, err := c.context.DecryptRTP(b[:0], b, &c.header)
	return plain, err == nil
}

func (c *cipher) sealRTP(b []byte, index uint64) ([]byte, bool) {
	c.context.SetROC(ssrc(b), uint32(index>>16))
	sealed, err := c.context.EncryptRTP(b[:0], b, &c.header)
	return sealed, err == nil
}

func (c *cipher) openRTCP(b []byte) ([]byte, bool) {
	plain, err := c.context.DecryptRTCP(b[:0], b, &c.control)
	return plain, err == nil
}

// sealRTCP seals by the index after the one given: pion counts before it seals.
func (c *cipher) sealRTCP(b []byte, before uint32) ([]byte, bool) {
	c.context.SetIndex(controlSSRC(b), before)
	sealed, err := c.context.EncryptRTCP(b[:0], b, &c.control)
	return sealed, err == nil
}

func sequence(b []byte) uint16    { return binary.BigEndian.Uint16(b[2:]) }
func ssrc(b []byte) uint32        { return binary.BigEndian.Uint32(b[8:]) }
func controlSSRC(b []byte) uint32 { return binary.BigEndian.Uint32(b[4:]) }

// controlIndex is the SRTCP index, before the tag (RFC 3711 §3.4) or behind it (RFC 7714 §9.2). It is
// false for what is too short to be a report, and for one whose flag says that it is not encrypted:
// nobody agrees to that (RFC 4568 §6.3.2) with the edge, which takes no session parameters.
func (c *cipher) controlIndex(b []byte) (uint32, bool) {
	tag, behind := hmacTag, hmacTag
	if c.suite == sdp.GCM {
		tag, behind = gcmTag, 0
	}
	if len(b) < rtcpHeader+tag+indexSize {
		return 0, false
	}
	word := binary.BigEndian.Uint32(b[len(b)-behind-indexSize:])
	return word &^ encrypted, word&encrypted != 0
}
