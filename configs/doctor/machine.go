package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"handoff/configs"
)

// read returns a file of the kernel's; "" where there is none, as on other systems than Linux.
func (d *doctor) read(path string) string {
	text, err := fs.ReadFile(d.deps.Files, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// ephemeral looks for media ports that the kernel may give to connections.
func (d *doctor) ephemeral(context.Context) Finding {
	const probe, key = "port range", "media.ports"
	given := strings.Fields(d.read("proc/sys/net/ipv4/ip_local_port_range"))
	if len(given) != 2 {
		return skip(probe, key, "the kernel does not tell its own range: not Linux")
	}
	local, err := ranges(given[0] + "-" + given[1])
	if err != nil {
		return skip(probe, key, "ip_local_port_range can't be read")
	}
	text := d.read("proc/sys/net/ipv4/ip_local_reserved_ports")
	reserved, err := ranges(text)
	if err != nil {
		return skip(probe, key, "ip_local_reserved_ports can't be read")
	}
	ports := d.cfg.Media.Ports
	for p := uint32(ports.First); p <= uint32(ports.Last); p++ {
		if within(local, uint16(p)) && !within(reserved, uint16(p)) {
			all := ports.String()
			if text != "" {
				all = text + "," + all
			}
			return warn(probe, key, "reserve them: sysctl -w net.ipv4.ip_local_reserved_ports="+all,
				"%v overlaps with net.ipv4.ip_local_port_range, %s-%s: connections may take its ports", ports, given[0], given[1])
		}
	}
	return ok(probe, key, "%v is not given to connections", ports)
}

// ranges reads "8080,9148-9150".
func ranges(text string) ([]configs.PortRange, error) {
	var all []configs.PortRange
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		from, to, found := strings.Cut(part, "-")
		if !found {
			to = from
		}
		first, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
		if err != nil {
			return nil, err
		}
		last, err := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
		if err != nil {
			return nil, err
		}
		all = append(all, configs.PortRange{First: uint16(first), Last: uint16(last)})
	}
	return all, nil
}

func within(all []configs.PortRange, port uint16) bool {
	return slices.ContainsFunc(all, func(r configs.PortRange) bool { return r.First <= port && port <= r.Last })
}

// What a call takes on the portable path: two legs' RTP and RTCP, as many again while a third leg joins. The rest of the
// edge has some, and connections.
const (
	socketsPerCall = 8
	socketsBesides = 256
)

func (d *doctor) descriptors(context.Context) Finding {
	const probe = "descriptors"
	for line := range strings.SplitSeq(d.read("proc/self/limits"), "\n") {
		rest, found := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest)
		if !found || len(fields) == 0 {
			continue
		}
		// Go raises the soft limit to the hard one at the start, here as in the edge.
		need := socketsPerCall*d.cfg.Limits.Calls + socketsBesides
		limit, err := strconv.Atoi(fields[0])
		if err == nil && limit < need {
			return warn(probe, "limits.calls", fmt.Sprintf("raise it where the edge is started (LimitNOFILE=%d of its unit, ulimit -n), or lower limits.calls", need),
				"this shell allows %d, %d calls may need %d", limit, d.cfg.Limits.Calls, need)
		}
		return ok(probe, "limits.calls", "this shell allows %s, %d calls may need %d", fields[0], d.cfg.Limits.Calls, need)
	}
	return skip(probe, "limits.calls", "the kernel does not tell the limit: not Linux")
}

// capabilities of the faster media paths, by their bits (linux/capability.h).
var capabilities = []struct {
	bit  uint
	name string
}{{12, "CAP_NET_ADMIN"}, {13, "CAP_NET_RAW"}, {38, "CAP_PERFMON"}, {39, "CAP_BPF"}}

// kernel tells what the faster media paths would find. It judges nothing: with media.path auto the edge takes what it gets.
func (d *doctor) kernel(context.Context) Finding {
	const probe = "kernel"
	release := d.read("proc/sys/kernel/osrelease")
	if release == "" {
		return skip(probe, "", "not Linux: media take the portable path")
	}
	var has []string
	for line := range strings.SplitSeq(d.read("proc/self/status"), "\n") {
		if text, found := strings.CutPrefix(line, "CapEff:"); found {
			set, _ := strconv.ParseUint(strings.TrimSpace(text), 16, 64) // unreadable: none
			for _, c := range capabilities {
				if set>>c.bit&1 == 1 {
					has = append(has, c.name)
				}
			}
		}
	}
	if has == nil {
		has = []string{"none of CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON"}
	}
	bpffs := "no bpffs"
	for line := range strings.SplitSeq(d.read("proc/self/mounts"), "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "bpf" {
			bpffs = "bpffs at " + fields[1]
		}
	}
	return ok(probe, "", "Linux %s, %s, %s; the portable media path needs none of these", release, strings.Join(has, " "), bpffs)
}
