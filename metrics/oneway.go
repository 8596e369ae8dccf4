package metrics

// OneWay is why a leg is not heard although the call is up. It is the label of handoff_rtp_one_way_total.
type OneWay uint8

const (
	// OneWayNothing: nothing comes from it.
	OneWayNothing OneWay = iota
	// OneWaySource: what comes is not from where its SDP said.
	OneWaySource
	// OneWayPayloadType: what it sends was not agreed on.
	OneWayPayloadType
	// OneWayAuth: its SRTP is not by the key in its SDP.
	OneWayAuth
	// OneWayHold: signalling lets nothing through, as before every transfer of Watson's.
	OneWayHold
)

var oneWays = []string{"nothing", "source", "payload_type", "auth", "hold"}

func (o OneWay) String() string { return name(oneWays, uint8(o)) }

// OneWays lists the vocabulary.
func OneWays() []OneWay { return list[OneWay](len(oneWays)) }
