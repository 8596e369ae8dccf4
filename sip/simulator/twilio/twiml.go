package twilio

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// verb is an element of a TwiML document.
type verb struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []verb     `xml:",any"`
}

func (v verb) name() string { return v.XMLName.Local }

func (v verb) attr(name string) string {
	for _, a := range v.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// child finds a noun; ok is false when there is none of that name.
func (v verb) child(name string) (verb, bool) {
	for _, c := range v.Children {
		if c.name() == name {
			return c, true
		}
	}
	return verb{}, false
}

func (v verb) text() string { return strings.TrimSpace(v.Text) }

// parseTwiML returns the verbs of a document. Names are case-sensitive.
func parseTwiML(raw []byte) ([]verb, error) {
	var root verb
	if err := xml.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("TwiML: %w", err)
	}
	if root.name() != "Response" {
		return nil, fmt.Errorf("TwiML: the document is a %s, not a Response", root.name())
	}
	return root.Children, nil
}
