package control

import (
	"bytes"
	"errors"
	"net/http"

	"handoff/metrics/trace"
	"handoff/metrics/trace/pcap"
	"handoff/sip/b2bua"
)

// Messages keeps what went to and fro in calls. It does not block.
type Messages interface {
	// Messages returns those of a call, without secrets; b2bua.ErrNoCall of one that it does not know.
	Messages(id string) ([]trace.Message, error)
}

// pcapType is what browsers and Wireshark know captures by, older and newer ones alike.
const pcapType = "application/vnd.tcpdump.pcap"

// Pcap answers GET /api/v1/calls/{id}/pcap with the messages of a call as a capture file.
func Pcap(of Messages) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		messages, err := of.Messages(r.PathValue("id"))
		switch {
		case errors.Is(err, b2bua.ErrNoCall):
			fail(w, http.StatusNotFound, err)
			return
		case err != nil:
			fail(w, http.StatusInternalServerError, err)
			return
		}
		var file bytes.Buffer
		_ = pcap.Write(&file, messages) // a buffer takes everything
		w.Header().Set("Content-Type", pcapType)
		w.Header().Set("Content-Disposition", `attachment; filename="call.pcapng"`)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = file.WriteTo(w) // a client that has gone is no news
	}
}
