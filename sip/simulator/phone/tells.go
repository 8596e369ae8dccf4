package phone

import "fmt"

// tellsSession are the lines between s= and c= in which a description may name a host (RFC 8866 §5).
func (d Description) tellsSession() []string {
	return d.told("i=call on %[1]s", "u=https://%[1]s/calls", "e=root@%[1]s")
}

// tellsEnd are the lines between t= and the first m=.
func (d Description) tellsEnd() []string {
	return d.told("k=uri:https://%[1]s/key", "a=tool:%[1]s", "a=x-gateway:%[1]s")
}

// tellsMedia are those of an m-line, before its attributes and among them. The address of a=rtcp is right.
func (d Description) tellsMedia() []string {
	return d.told("a=rtcp:%[2]d IN %[3]s %[4]s", "a=candidate:1 1 UDP 2130706431 %[4]s %[5]d typ host", "a=ice-ufrag:%[1]s", "a=mid:%[1]s",
		"a=ssrc:1 cname:root@%[1]s", "a=cname:root@%[4]s", "a=silenceSupp:off - - %[1]s -", "a=fmtp:97 relay=%[1]s")
}

func (d Description) told(formats ...string) []string {
	if d.Tells == "" {
		return nil
	}
	lines := make([]string, len(formats))
	for i, format := range formats {
		// Too many arguments would be written out, so that the last verb takes what is left.
		lines[i] = fmt.Sprintf(format, d.Tells, d.RTP.Port()+1, family(d.RTP.Addr()), d.RTP.Addr(), d.RTP.Port())
	}
	return lines
}
