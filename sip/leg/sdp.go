package leg

import (
	"errors"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/dialog"
)

const contentSDP = "application/sdp"

// ErrContentType says that a body is no SDP, or one that is packed: to be answered with 415 (RFC 3261 §8.2.3).
var ErrContentType = errors.New("body is not application/sdp")

// SDP returns the body of a message that carries a session description, nil if it has none.
func SDP(m interface {
	dialog.Headered
	Body() []byte
}) ([]byte, error) {
	body := m.Body()
	if len(body) == 0 {
		return nil, nil
	}
	mediaType, _, _ := strings.Cut(dialog.Value(m, "Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), contentSDP) {
		return nil, ErrContentType
	}
	for coding := range dialog.All(m, "Content-Encoding") {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return nil, ErrContentType
		}
	}
	return body, nil
}

// answer returns the session description of a response. A body of another type is as none.
func answer(res *sipmsg.Response) []byte {
	body, err := SDP(res)
	if err != nil {
		return nil
	}
	return body
}

// TakesSDP tells whether the peer of a request reads session descriptions (RFC 3261 §20.1).
func TakesSDP(req *sipmsg.Request) bool {
	takes := true
	for value := range dialog.All(req, "Accept") {
		for mediaRange := range strings.SplitSeq(value, ",") {
			mediaType, _, _ := strings.Cut(mediaRange, ";")
			switch strings.ToLower(strings.TrimSpace(mediaType)) {
			case contentSDP, "application/*", "*/*":
				return true
			}
			takes = false
		}
	}
	return takes
}

func setSDP(m interface {
	AppendHeader(sipmsg.Header)
	SetBody([]byte)
}, sdp []byte) {
	if sdp == nil {
		return
	}
	m.AppendHeader(sipmsg.NewHeader("Content-Type", contentSDP))
	m.SetBody(sdp)
}
