package phone

import "slices"

// CheckAnswer compares an answer with the offer it is for, and says what is wrong (RFC 3264 §6, RFC 4568 §5.1.2).
func CheckAnswer(rawOffer, rawAnswer []byte) []string {
	offer, err := ParseSDP(rawOffer)
	if err != nil {
		return []string{"the offer: " + err.Error()}
	}
	answer, err := ParseSDP(rawAnswer)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	if answer.Profile != offer.Profile {
		wrong = append(wrong, "profile "+answer.Profile+" for "+offer.Profile)
	}
	if answer.RTP.Port() == 0 || answer.RTP.Addr().IsUnspecified() {
		wrong = append(wrong, "no address and port to send to")
	}
	if _, ok := answer.Codec(); !ok {
		wrong = append(wrong, "no codec")
	}
	for _, f := range answer.Formats {
		if !slices.Contains(offer.Formats, f) {
			wrong = append(wrong, "a format that was not offered")
		}
	}
	if answer.Mux && !offer.Mux {
		wrong = append(wrong, "rtcp-mux that was not offered")
	}
	if !slices.Equal(refused(offer.Others), answer.Others) {
		wrong = append(wrong, "m-lines other than those of the offer, refused in their order")
	}
	if !offer.Secure() {
		return wrong
	}
	if len(answer.Crypto) != 1 || answer.Crypto[0].Tag != offer.Crypto[0].Tag {
		return append(wrong, "not one crypto line with the offer's tag")
	}
	if _, _, err := answer.Crypto[0].Key(); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}
