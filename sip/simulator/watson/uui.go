package watson

import (
	"encoding/hex"
	"strings"

	"handoff/sip/simulator/wire"
)

// UUI writes User-to-User values (RFC 7433 §4). The zero value is what Watson writes for Flex: text;encoding=ascii.
type UUI struct {
	Hex     bool   // two digits a byte, encoding=hex, as Watson writes for everybody else
	Quoted  bool   // the text as a quoted-string
	Bare    bool   // without the encoding parameter; the default is hex
	Purpose string // empty: none
	Content string // empty: none
}

// Header puts text into a User-to-User header, for Transfer.More.
func (u UUI) Header(text string) wire.Header {
	value, encoding := text, "ascii"
	if u.Hex {
		value, encoding = hex.EncodeToString([]byte(text)), "hex"
	}
	if u.Quoted {
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	if u.Purpose != "" {
		value += ";purpose=" + u.Purpose
	}
	if u.Content != "" {
		value += ";content=" + u.Content
	}
	if !u.Bare {
		value += ";encoding=" + encoding
	}
	return wire.Header{Name: "User-to-User", Value: value}
}
