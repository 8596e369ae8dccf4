package refer

// Place is a part of the request in which Watson may put the key and the context.
type Place uint8

const (
	// PlaceTarget: the URI headers of the Refer-To or of the Transfer-Target, or a tel URI's parameters.
	PlaceTarget Place = iota
	// PlaceRequest: the headers of the REFER or BYE itself, Watson's default.
	PlaceRequest
	// PlaceContact: the URI headers of its Contact.
	PlaceContact
)

var places = []string{"target", "request", "contact"}

func (p Place) String() string { return word(places, uint8(p)) }

// Places lists the vocabulary.
func Places() []Place { return list[Place](len(places)) }

// DropReason is why a header does not go on.
type DropReason uint8

const (
	// DropDangerous: a URI must not put it into a request (RFC 3261 §19.1.5).
	DropDangerous DropReason = iota
	// DropReserved: X-Twilio-…, which Twilio refuses from others.
	DropReserved
	// DropForeign: neither X-… nor User-to-User, which is all that Twilio passes on.
	DropForeign
	// DropLong: longer than MaxKey bytes.
	DropLong
	// DropText: no UTF-8.
	DropText
	// DropUnread: a User-to-User that can't be read, beside a key that came another way.
	DropUnread
)

var dropReasons = []string{"dangerous", "reserved", "foreign", "long", "text", "unread"}

func (r DropReason) String() string { return word(dropReasons, uint8(r)) }

// DropReasons lists the vocabulary.
func DropReasons() []DropReason { return list[DropReason](len(dropReasons)) }

// Dropped is a header that does not go on.
type Dropped struct {
	Source
	Why DropReason
}
