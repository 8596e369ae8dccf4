package metrics

// Recovery is what becomes at the start of a call that the process before has left in the journal.
type Recovery uint8

const (
	// RecoveryGoesOn: its media and dialogs stand again.
	RecoveryGoesOn Recovery = iota
	// RecoveryEnded: it was being set up or ended, or its ports are taken; what was dialled is ended.
	RecoveryEnded
	// RecoveryUnread: its record can't be read.
	RecoveryUnread
)

var recoveries = []string{"goes_on", "ended", "unread"}

func (r Recovery) String() string { return name(recoveries, uint8(r)) }

// Recoveries lists the vocabulary.
func Recoveries() []Recovery { return list[Recovery](len(recoveries)) }
