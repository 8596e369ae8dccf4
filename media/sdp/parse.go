package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	pion "github.com/pion/sdp/v3"
)

// Bounds of what Parse reads. Twilio's offers take 400 bytes and one m-line.
const (
	maxBody  = 16 << 10
	maxLines = 8
)

// Parse reads a session description. It keeps the first audio stream that can be used and, of the
// other m-lines, what it takes to reject them. A description whose only audio stream has port 0
// parses: it is how a peer rejects the stream.
func Parse(body []byte) (Description, error) {
	if len(body) == 0 || len(body) > maxBody {
		return Description{}, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrMalformed, len(body), maxBody)
	}
	var session pion.SessionDescription
	body, lines := readable(body)
	if err := session.Unmarshal(body); err != nil || len(lines) != len(session.MediaDescriptions) {
		return Description{}, fmt.Errorf("%w: syntax", ErrMalformed) // err quotes what it could not read: keys among it
	}
	if n := len(lines); n > maxLines {
		return Description{}, fmt.Errorf("%w: %d m-lines, at most %d", ErrMalformed, n, maxLines)
	}
	return Description{lines: lines}.choose(&session)
}

// choose finds the audio stream: the first that can be used, else the first that is rejected. When
// there is neither, the first one's trouble is the answer.
func (d Description) choose(session *pion.SessionDescription) (Description, error) {
	rejected, trouble := -1, error(nil)
	for i, m := range session.MediaDescriptions {
		if d.lines[i].media != "audio" {
			continue
		}
		if m.MediaName.Port.Value == 0 {
			if rejected < 0 {
				rejected = i
			}
			continue
		}
		audio, err := parseAudio(session, m, d.lines[i].proto)
		if err == nil {
			d.index, d.audio = i, audio
			return d, nil
		}
		if trouble == nil {
			trouble = fmt.Errorf("m-line %d: %w", i+1, err)
		}
	}
	switch {
	case trouble != nil:
		return Description{}, trouble
	case rejected >= 0:
		d.index, d.audio = rejected, Audio{Rejected: true}
		return d, nil
	}
	return Description{}, ErrNoAudio
}

func parseAudio(session *pion.SessionDescription, m *pion.MediaDescription, proto string) (Audio, error) {
	var a Audio
	switch proto {
	case "RTP/AVP":
		a.Profile = AVP
	case "RTP/SAVP":
		a.Profile = SAVP
	default:
		return Audio{}, fmt.Errorf("%w: %s", ErrProfile, proto)
	}
	if r := m.MediaName.Port.Range; r != nil && *r != 1 {
		return Audio{}, fmt.Errorf("%w: %d port pairs", ErrMalformed, *r)
	}
	address, held, err := connection(session, m)
	if err != nil {
		return Audio{}, err
	}
	if !held {
		a.RTP = netip.AddrPortFrom(address, uint16(m.MediaName.Port.Value))
	}
	a.Direction = SendRecv
	for _, at := range session.Attributes {
		a.direct(at.Key)
	}
	rtcp, err := a.attributes(m)
	if err != nil {
		return Audio{}, err
	}
	if held {
		// RFC 3264 §8.4: nobody knows where its media would come from either.
		a.Direction = Inactive
	} else if a.RTCP, err = rtcpAddress(a.RTP, rtcp); err != nil {
		return Audio{}, err
	}
	if len(a.Codecs) == 0 {
		return Audio{}, fmt.Errorf("%w: none of %d formats", ErrCodec, len(m.MediaName.Formats))
	}
	return a, nil
}

// attributes reads the a= lines of the m-line and returns the value of a=rtcp.
func (a *Audio) attributes(m *pion.MediaDescription) (rtcp string, err error) {
	rtpmaps, fmtps := map[uint8]string{}, map[uint8]string{}
	for _, at := range m.Attributes {
		switch at.Key {
		case "rtpmap":
			perPayload(rtpmaps, at.Value)
		case "fmtp":
			perPayload(fmtps, at.Value)
		case "ptime":
			a.Ptime = milliseconds(at.Value)
		case "maxptime":
			a.MaxPtime = milliseconds(at.Value)
		case "rtcp-mux":
			a.Mux = true
		case "rtcp":
			rtcp = at.Value
		case "silenceSupp":
			if carries(at.Value) {
				a.silence = at.Value
			}
		case "crypto":
			if err := a.crypto(at.Value); err != nil {
				return "", err
			}
		default:
			a.direct(at.Key)
		}
	}
	a.Codecs = codecs(m.MediaName.Formats, rtpmaps, fmtps)
	return rtcp, nil
}

func (a *Audio) direct(key string) {
	for i, word := range directions {
		if key == word {
			a.Direction = Direction(i)
		}
	}
}

// crypto keeps a key line. Beside RTP/AVP it means nothing (RFC 4568 §7: SDES needs RTP/SAVP).
func (a *Audio) crypto(value string) error {
	if a.Profile != SAVP {
		return nil
	}
	c, err := parseCrypto(value)
	if err != nil {
		a.refused++
		return nil
	}
	for _, other := range a.Cryptos {
		if other.Tag == c.Tag {
			return fmt.Errorf("%w: two crypto lines with tag %d", ErrMalformed, c.Tag)
		}
	}
	a.Cryptos = append(a.Cryptos, c)
	return nil
}

// connection returns the address of the c= line that counts. held is the hold of RFC 2543,
// c=0.0.0.0.
func connection(session *pion.SessionDescription, m *pion.MediaDescription) (_ netip.Addr, held bool, _ error) {
	c := m.ConnectionInformation
	if c == nil {
		c = session.ConnectionInformation
	}
	if c == nil || c.Address == nil {
		return netip.Addr{}, false, fmt.Errorf("%w: no c= line", ErrAddress)
	}
	return address(c.AddressType, c.Address.Address)
}

func address(kind, text string) (_ netip.Addr, held bool, _ error) {
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, false, fmt.Errorf("%w: %.64q is no IP address", ErrAddress, text)
	case ip.Zone() != "" || (kind == "IP4") != ip.Is4():
		return netip.Addr{}, false, fmt.Errorf("%w: %s %.64q", ErrAddress, kind, text)
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() {
		return ip, true, nil
	}
	if ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, false, fmt.Errorf("%w: %s is not one host", ErrAddress, ip)
	}
	return ip, false, nil
}

// rtcpAddress reads "port [IN IP4 address]" (RFC 3605 §2.1).
func rtcpAddress(rtp netip.AddrPort, value string) (netip.AddrPort, error) {
	if value == "" {
		if rtp.Port() == 65535 {
			return netip.AddrPort{}, nil
		}
		return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1), nil
	}
	fields := strings.Fields(value)
	if len(fields) != 1 && len(fields) != 4 || len(fields) == 4 && fields[1] != "IN" {
		return netip.AddrPort{}, fmt.Errorf("%w: a=rtcp of %d fields", ErrMalformed, len(fields))
	}
	port, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, fmt.Errorf("%w: a=rtcp port %.64q", ErrMalformed, fields[0])
	}
	ip := rtp.Addr()
	if len(fields) == 4 {
		var held bool
		if ip, held, err = address(fields[2], fields[3]); err != nil {
			return netip.AddrPort{}, err
		}
		if held {
			return netip.AddrPort{}, nil
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// perPayload notes "PT text" under the payload type.
func perPayload(m map[uint8]string, value string) {
	number, text, _ := strings.Cut(value, " ")
	if pt, ok := payloadType(number); ok {
		m[pt] = strings.TrimSpace(text)
	}
}

// milliseconds reads a packet time; a senseless one counts as not given.
func milliseconds(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 || n > 1000 {
		return 0
	}
	return n
}
