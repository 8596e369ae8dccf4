package upgrade

import (
	"net/netip"
	"os"
	"strconv"

	"go.uber.org/zap"
)

const (
	// storeRoom is how many descriptors a supervisor keeps that does not say ($FDSTORE, systemd 254): as our units have it.
	storeRoom = 4096
	// maxStoredName bounds a name, sd_pid_notify_with_fds(3).
	maxStoredName = 255
	// maxNames bounds LISTEN_FDNAMES: Linux starts no process that has 128 KB or more in one variable.
	maxNames = 120 << 10
	// maxUntold is how many names wait at most for a supervisor that is slow. What comes then is not kept.
	maxUntold = 512
	// maxAtOnce is how many descriptors a message takes (SCM_MAX_FD of Linux).
	maxAtOnce = 253
)

// StoreObserver hears of a store, from any goroutine, and must not block.
type StoreObserver interface {
	// DescriptorsKept tells how many the supervisor keeps.
	DescriptorsKept(n int)
	// DescriptorsNotKept counts those that it does not: there is no room, or it does not listen.
	DescriptorsNotKept(n int)
}

// StoreDeps are what a Store calls.
type StoreDeps struct {
	Log      *zap.Logger
	Observer StoreObserver
}

// Socket is what a descriptor has to be.
type Socket struct {
	Network string // tcp: it listens; udp
	At      netip.AddrPort
}

// stores tells whether a name can stand in a message, and among others in LISTEN_FDNAMES.
func stores(name string) bool {
	if name == "" || len(name) > maxStoredName {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == ':' || c >= 0x7f {
			return false
		}
	}
	return true
}

// storeVariable is how a supervisor says how many descriptors it keeps.
const storeVariable = "FDSTORE"

// room is that number; told is false if it does not say.
func room() (n int, told bool) {
	n, err := strconv.Atoi(os.Getenv(storeVariable))
	if err != nil {
		return storeRoom, false
	}
	return max(0, n), true
}
