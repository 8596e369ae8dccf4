package metrics

// Upgrade is what became of an upgrade.
type Upgrade uint8

const (
	// UpgradeDone: this process has taken over from another one.
	UpgradeDone Upgrade = iota
	// UpgradeRefused: the new process did not come up healthy, and this one has gone on.
	UpgradeRefused
	// UpgradeLost: the new process has ended while this one still was there, which has everything again.
	UpgradeLost
)

var upgrades = []string{"done", "refused", "lost"}

func (u Upgrade) String() string { return name(upgrades, uint8(u)) }

// Upgrades lists the vocabulary.
func Upgrades() []Upgrade { return list[Upgrade](len(upgrades)) }
