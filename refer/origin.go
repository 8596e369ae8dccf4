package refer

// Origin is who asked for a transfer, and how: it decides who is told.
type Origin uint8

const (
	// OriginRefer: Watson's REFER, which is answered; NOTIFYs follow.
	OriginRefer Origin = iota
	// OriginHangup: Watson's BYE with a Transfer-Target. Leg B has ended and nobody is told.
	OriginHangup
	// OriginOperator: the operator's call of the API. Watson has asked for nothing and is told nothing;
	// it is let go on success and goes on with the caller on failure.
	OriginOperator
)

var origins = []string{"refer", "hangup", "operator"}

func (o Origin) String() string { return word(origins, uint8(o)) }

// Origins lists the vocabulary.
func Origins() []Origin { return list[Origin](len(origins)) }
