package refer

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

var (
	errHandler    = errors.New("the refer handler fails at this text")
	errAttributes = errors.New("the flow's task attributes would be no JSON")
)

// SeedReads returns the key that the agent gets for a Refer-To when Twilio calls the seed's refer
// handler: it takes what stands between the first and the second "?", drops the first ">", splits at
// "&" and "=", decodes nothing, knows one letter case, and writes "undefined" when the header is
// missing; Studio then decodes the query once and its template puts the value into JSON as it is.
func SeedReads(referTo string) (string, error) {
	value, found := lookup(referTo, KeyHeader)
	if !found {
		return "", nil
	}
	return studioReads(value)
}

// UserToUserReads returns the same for the vendor's current handler: it looks for User-to-User,
// decodes the escapes and takes what stands before the first ";".
func UserToUserReads(referTo string) (string, error) {
	value, found := lookup(referTo, UserToUser)
	if !found {
		return "", nil
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", errHandler
	}
	decoded, _, _ = strings.Cut(decoded, ";")
	return studioReads(decoded)
}

// lookup is the common part of both handlers. Without any header the flow gets no key at all.
func lookup(referTo, name string) (value string, found bool) {
	_, query, found := strings.Cut(referTo, "?")
	if !found {
		return "", false
	}
	query, _, _ = strings.Cut(query, "?")
	query = strings.Replace(query, ">", "", 1)
	value = "undefined"
	for pair := range strings.SplitSeq(query, "&") {
		if parts := strings.Split(pair, "="); parts[0] == name && len(parts) > 1 {
			value = parts[1]
		}
	}
	return value, true
}

// studioReads follows the value through the URL of the redirect and the template.
func studioReads(value string) (string, error) {
	value, _, _ = strings.Cut(value, "#")
	value, _, _ = strings.Cut(value, "&")
	decoded, err := url.QueryUnescape(value)
	if err != nil {
		return "", errHandler
	}
	var attributes struct{ SessionHistoryKey string }
	if err := json.Unmarshal([]byte(`{ "sessionHistoryKey":"`+decoded+`"}`), &attributes); err != nil {
		return "", errAttributes
	}
	return attributes.SessionHistoryKey, nil
}
