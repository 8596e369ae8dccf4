package metrics

// Export is what became of something that others are told: a packet for Homer, the trace of a call for OpenTelemetry.
type Export uint8

const (
	// ExportSent: it was taken or, over UDP, where nobody says so, written.
	ExportSent Export = iota
	// ExportDropped: there was no room to wait in.
	ExportDropped
	// ExportFailed: the collector could not be reached or did not take it.
	ExportFailed
)

var exports = []string{"sent", "dropped", "failed"}

func (e Export) String() string { return name(exports, uint8(e)) }

// Exports lists the vocabulary.
func Exports() []Export { return list[Export](len(exports)) }
