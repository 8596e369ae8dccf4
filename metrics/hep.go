package metrics

// HEP is what became of a packet for a Homer collector.
type HEP uint8

const (
	// HEPSent: it was written; over UDP nobody says whether it arrived.
	HEPSent HEP = iota
	// HEPDropped: there was no room to wait in.
	HEPDropped
	// HEPFailed: the collector could not be reached or did not take it.
	HEPFailed
)

var heps = []string{"sent", "dropped", "failed"}

func (h HEP) String() string { return name(heps, uint8(h)) }

// HEPs lists the vocabulary.
func HEPs() []HEP { return list[HEP](len(heps)) }
