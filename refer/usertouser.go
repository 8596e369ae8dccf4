package refer

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// userToUser is one value of a User-to-User header (RFC 7433 §5):
//
//	dev::latest::1;encoding=ascii     6465763a3a;encoding=hex     "a b";purpose=isdn-uui
//
// Deviation: the data need be no token, because Watson's keys, full of colons, are none.
type userToUser struct {
	text     string // as written
	data     string // decoded
	purpose  string // lower case, "" when absent
	readable bool   // data is what the sender meant
}

var (
	errUserToUser     = errors.New("user-to-user: no data, a quote without end or a bad parameter")
	errUserToUserCode = errors.New("user-to-user: encoding is neither ascii nor hex, the hex is broken or a parameter is unknown")
)

// parseUserToUser reads the values of one header, divided by commas.
func parseUserToUser(header string) ([]userToUser, error) {
	var values []userToUser
	for _, text := range splitOutside(header, ',') {
		text = strings.Trim(text, " \t")
		parts := splitOutside(text, ';')
		v := userToUser{text: text, readable: true}
		data, ok := unquote(strings.Trim(parts[0], " \t"))
		if !ok {
			return nil, errUserToUser
		}
		encoding := ""
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(part, "=")
			value, ok := unquote(strings.Trim(value, " \t"))
			if !ok {
				return nil, errUserToUser
			}
			switch strings.ToLower(strings.Trim(name, " \t")) {
			case "encoding":
				encoding = strings.ToLower(value)
			case "purpose":
				v.purpose = strings.ToLower(value)
			case "content":
			default:
				v.readable = false // perhaps the rest of a key that holds a ";"
			}
		}
		v.data = v.decode(data, encoding)
		if v.data != "" { // empty is absent
			values = append(values, v)
		}
	}
	return values, nil
}

// decode resolves the encoding. Without one the data is taken as written, as Twilio's handler does.
func (v *userToUser) decode(data, encoding string) string {
	switch encoding {
	case "", "ascii":
		return data
	case "hex":
		if decoded, err := hex.DecodeString(data); err == nil {
			return string(decoded)
		}
	}
	v.readable = false
	return data
}

// takeUserToUser makes User-to-User the key if no X- header was, and else part of the context.
func (r *Request) takeUserToUser(found []finding) error {
	var values []userToUser
	var from Source
	for _, f := range found {
		parsed, err := parseUserToUser(f.Value)
		if err != nil {
			if r.Key.Empty() {
				return malformed(CauseUserToUser, err.Error())
			}
			r.Dropped = append(r.Dropped, Dropped{f.source(), DropUnread})
			continue
		}
		if len(values) == 0 {
			from = f.source()
		}
		if values, err = merge(values, parsed); err != nil {
			return err
		}
	}
	if r.Key.Empty() && len(values) > 0 {
		i, err := theKey(values)
		if err != nil {
			return err
		}
		if err := r.setKey(values[i].data, from); err != nil {
			return err
		}
	}
	values = slices.DeleteFunc(values, func(v userToUser) bool { return v.readable && v.data == r.Key.Reveal() })
	r.keepUserToUser(values, from)
	return nil
}

// merge adds values that are not there yet. Two of one purpose are two answers to one question.
func merge(values, more []userToUser) ([]userToUser, error) {
	for _, v := range more {
		i := slices.IndexFunc(values, func(o userToUser) bool { return o.purpose == v.purpose })
		switch {
		case i < 0:
			values = append(values, v)
		case values[i].data != v.data || values[i].readable != v.readable:
			return nil, conflict()
		}
	}
	return values, nil
}

// theKey chooses the value without purpose, or the only one.
func theKey(values []userToUser) (int, error) {
	i := slices.IndexFunc(values, func(v userToUser) bool { return v.purpose == "" })
	switch {
	case i < 0 && len(values) > 1:
		return 0, malformed(CauseConflict, "several user-to-user values, each with a purpose")
	case i < 0:
		i = 0
	}
	if !values[i].readable {
		return 0, malformed(CauseUserToUser, errUserToUserCode.Error())
	}
	return i, nil
}

// keepUserToUser makes one header of the values that are not the key.
func (r *Request) keepUserToUser(values []userToUser, from Source) {
	var texts []string
	for _, v := range values {
		texts = append(texts, v.text)
	}
	if texts == nil {
		return
	}
	f := finding{Header{UserToUser, strings.Join(texts, ",")}, from.Place}
	switch _, err := NewKey(f.Value); {
	case errors.Is(err, errKeyLong):
		r.Dropped = append(r.Dropped, Dropped{from, DropLong})
	case err != nil:
		r.Dropped = append(r.Dropped, Dropped{from, DropText})
	default:
		r.Context = append(r.Context, f.Header)
	}
}

// unquote returns the text of a quoted string, or s when it is none. Quotes inside s are broken.
func unquote(s string) (string, bool) {
	inner, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		return s, !strings.Contains(s, `"`)
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return b.String(), i == len(inner)-1
		case '\\':
			if i++; i == len(inner) {
				return "", false
			}
		}
		b.WriteByte(inner[i])
	}
	return "", false
}

// splitOutside divides s at a divider that is not in quotes.
func splitOutside(s string, divider byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == divider && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
