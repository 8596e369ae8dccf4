package doctor

import (
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// unitFile is where our units are installed.
const unitFile = "etc/systemd/system/handoff.service"

// What a crash is to spare: RTP and RTCP of two legs for each call, and listeners.
const (
	keptPerCall = 4
	keptBesides = 64
)

// unit tells whether systemd keeps the edge's sockets beyond its process. Where there is no such unit it says nothing.
func (d *doctor) unit(context.Context) []Finding {
	const probe, subject = "systemd", "handoff.service"
	texts := []string{d.read(unitFile)}
	if texts[0] == "" {
		return nil
	}
	dropIns, _ := fs.Glob(d.deps.Files, unitFile+".d/*.conf") // in the order in which systemd reads them
	slices.Sort(dropIns)
	for _, path := range dropIns {
		texts = append(texts, d.read(path))
	}
	room, access, need := 0, "main", keptPerCall*d.cfg.Limits.Calls+keptBesides
	for line := range strings.SplitSeq(strings.Join(texts, "\n"), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "FileDescriptorStoreMax":
			room, _ = strconv.Atoi(value) // what is no number systemd ignores
		case "NotifyAccess":
			access = value
		}
	}
	switch {
	case room < need:
		return []Finding{warn(probe, subject, "set FileDescriptorStoreMax="+strconv.Itoa(need)+" in its [Service]",
			"it keeps %d sockets beyond a crash, %d calls on the portable media path have %d: what comes for others before the restart is refused", room, d.cfg.Limits.Calls, need)}
	case access != "all":
		return []Finding{warn(probe, subject, "set NotifyAccess=all in its [Service]",
			"NotifyAccess=%s: of two processes, during an upgrade, it hears one, and keeps sockets that are closed", access)}
	}
	return []Finding{ok(probe, subject, "it keeps %d sockets beyond a crash", room)}
}
