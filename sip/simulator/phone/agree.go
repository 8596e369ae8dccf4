package phone

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/srtp/v3"
)

// maxKeys bounds how many keys of the peer are remembered: it changes one by re-INVITE, and scenarios do so a few times.
const maxKeys = 64

func (p *Phone) makeKey() error {
	size, ok := keySizes[p.cfg.Suite]
	if !ok {
		return fmt.Errorf("no SRTP suite %q", p.cfg.Suite)
	}
	material := make([]byte, size)
	rand.Read(material) // never fails: the program ends instead
	c, err := newContext(p.cfg.Suite, material)
	if err != nil {
		return err
	}
	p.out.context = c
	p.local.Profile = "RTP/SAVP"
	p.local.Crypto = []Crypto{{1, p.cfg.Suite, "inline:" + base64.StdEncoding.EncodeToString(material)}}
	return nil
}

// newContext makes one of a key with its salt, which takes no packet twice (RFC 3711 §3.3.2).
func newContext(suite string, material []byte) (*srtp.Context, error) {
	profile := srtp.ProtectionProfileAes128CmHmacSha1_80
	if suite == SuiteGCM {
		profile = srtp.ProtectionProfileAeadAes128Gcm
	}
	c, err := srtp.CreateContext(material[:16], material[16:], profile, srtp.SRTPReplayProtection(window))
	if err != nil {
		return nil, fmt.Errorf("make an SRTP context: %w", err)
	}
	return c, nil
}

// Accept takes the answer to our offer.
func (p *Phone) Accept(answer []byte) error {
	remote, err := ParseSDP(answer)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.agreeLocked(remote)
}

// Answer takes an offer and returns what to answer: the first codec of the offer that the phone has, and digits if offered.
func (p *Phone) Answer(offer []byte) ([]byte, error) {
	remote, err := ParseSDP(offer)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.agreeLocked(remote); err != nil {
		return nil, err
	}
	if p.cfg.Events == 0 && remote.Events != 0 {
		p.local.Events = remote.Events
	}
	answer := p.local
	answer.Others = refused(remote.Others)
	answer.Mux = answer.Mux && remote.Mux
	answer.Formats = []uint8{p.codec}
	if remote.Events == 0 {
		answer.Events = 0
	} else {
		answer.Formats = append(answer.Formats, answer.Events)
	}
	if len(answer.Crypto) > 0 {
		answer.Crypto = []Crypto{{remote.crypto(p.cfg.Suite).Tag, p.cfg.Suite, answer.Crypto[0].Params}} // the offer's tag, RFC 4568 §5.1.2
	}
	if remote.Direction != SendRecv {
		answer.Direction = remote.Direction.Mirror()
	}
	return answer.Bytes(), nil
}

// refused are the m-lines of an answer for streams that are not wanted.
func refused(offered []string) []string {
	var all []string
	for _, stream := range offered {
		if f := strings.Fields(stream); len(f) > 2 {
			all = append(all, strings.Join([]string{f[0], "0", f[2], "0"}, " "))
		}
	}
	return all
}

// agreeLocked makes the remote description the one in force.
func (p *Phone) agreeLocked(remote Description) error {
	if remote.Profile != p.local.Profile {
		return fmt.Errorf("%w: profile %s, ours is %s", ErrSDP, remote.Profile, p.local.Profile)
	}
	codec, err := p.common(remote)
	if err != nil {
		return err
	}
	if p.cfg.Secure {
		if err := p.keyLocked(remote); err != nil {
			return err
		}
	}
	if p.voice == nil || codec != p.codec {
		p.voice = newVoice(p.cfg.Voice, codec)
	}
	if p.local.Mux && remote.Mux {
		remote.RTCP = remote.RTP
	}
	p.codec, p.remote = codec, &remote
	return nil
}

func (p *Phone) common(remote Description) (uint8, error) {
	for _, f := range remote.Formats {
		for _, ours := range p.cfg.Codecs {
			if f == ours {
				return f, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: no common codec in %v", ErrSDP, remote.Formats)
}

// keyLocked opens a new context only for a new key: an unchanged one keeps its roll-over counters.
func (p *Phone) keyLocked(remote Description) error {
	if len(remote.Crypto) == 0 {
		return fmt.Errorf("%w: RTP/SAVP without a=crypto", ErrSDP)
	}
	theirs := remote.crypto(p.cfg.Suite)
	if theirs.Params == p.inKey {
		return nil
	}
	if theirs.Suite != p.cfg.Suite {
		return fmt.Errorf("%w: crypto suite %s", ErrSDP, theirs.Suite)
	}
	key, salt, err := theirs.Key()
	if err != nil {
		return err
	}
	c, err := newContext(p.cfg.Suite, append(key, salt...))
	if err != nil {
		return err
	}
	p.in, p.inKey = c, theirs.Params
	if len(p.keys) < maxKeys {
		p.keys = append(p.keys, p.inKey)
	}
	return nil
}

// Keys are the a=crypto key parameters that the phone sends with, and was ever given to hear with.
func (p *Phone) Keys() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.keys)
	if len(p.local.Crypto) > 0 {
		all = append(all, p.local.Crypto[0].Params)
	}
	return all
}

// Knows tells whether an a=crypto key parameter is one that the phone sends with, or was ever given to hear with.
func (p *Phone) Knows(params string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.local.Crypto) > 0 && p.local.Crypto[0].Params == params || slices.Contains(p.keys, params)
}
