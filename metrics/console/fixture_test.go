package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// object is one of the API's.
type object = map[string]any

// edge answers as the API of an edge does, whatever a test makes of it.
type edge struct {
	*httptest.Server
	began time.Time

	mu     sync.Mutex
	token  string // wanted
	live   []object
	ended  []object
	story  map[string]object // by call
	down   bool
	build  string
	hungUp []string
	asked  int // requests
}

// newEdge has two calls up and four that ended, one of each kind that the page treats differently.
func newEdge(t *testing.T) *edge {
	e := &edge{build: "v1.4.0", began: time.Now().UTC().Add(-3 * time.Minute), story: map[string]object{}}
	e.goesOn("5c1e0a7d93b24f60", "+14155550123", 4.4)
	e.goesOn("a0b9c8d7e6f51423", "+442071838750", 3.1)
	e.failed("77aa21f0c4d94e0b")
	e.over("0f3d5b7a9c1e2d4f")
	e.refused("refused-1f0@198.51.100.7")
	e.hostile()
	mux := http.NewServeMux()
	mux.Handle(Path, Handler())
	mux.Handle(Path+"/", Handler())
	mux.Handle("/api/v1/", http.StripPrefix("/api/v1", e.api()))
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

func (e *edge) change(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *edge) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /overview", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, e.overview()) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, object{"calls": e.live}) })
	mux.HandleFunc("GET /calls/ended", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, object{"calls": e.ended}) })
	mux.HandleFunc("GET /calls/{id}", func(w http.ResponseWriter, r *http.Request) {
		if story, known := e.story[r.PathValue("id")]; known {
			reply(w, 200, story)
			return
		}
		reply(w, 404, object{"error": "no such call"})
	})
	mux.HandleFunc("GET /calls/{id}/pcap", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.tcpdump.pcap")
		_, _ = w.Write([]byte{0xd4, 0xc3, 0xb2, 0xa1})
	})
	mux.HandleFunc("POST /calls/{id}/hangup", func(w http.ResponseWriter, r *http.Request) {
		e.hungUp = append(e.hungUp, r.PathValue("id"))
		reply(w, 202, object{"ok": true})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.asked++
		switch {
		case e.down:
			reply(w, 503, object{"error": "the edge is going down"})
		case e.token != "" && r.Header.Get("Authorization") != "Bearer "+e.token:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (e *edge) overview() object {
	now := time.Now().UTC()
	return object{
		"node": "edge-1", "version": e.build, "started": now.Add(-75 * time.Hour), "ready": true, "why": "", "calls": len(e.live), "limit": 1000, "draining": false,
		"targets": []object{
			{"target": "public.0001.voip.us-south.assistant.watson.cloud.ibm.com", "up": true, "since": now.Add(-75 * time.Hour), "error": ""},
			{"target": "public.0002.voip.us-south.assistant.watson.cloud.ibm.com", "up": false, "since": now.Add(-9 * time.Minute), "error": "TLS: certificate has expired"},
		},
		"flows":        []object{{"peer": "twilio", "connections": 3}, {"peer": "watson", "connections": 2}},
		"certificates": []object{{"whose": "ours", "name": "edge.example.com", "expires": now.Add(61 * 24 * time.Hour)}, {"whose": "watson", "name": "*.watson.cloud.ibm.com", "expires": now.Add(12 * 24 * time.Hour)}},
		"paths":        []object{{"path": "kernel", "sessions": 2}, {"path": "userspace", "sessions": 1}, {"path": "portable", "sessions": 0}},
		"ports_free":   9988,
		"rejected":     []object{{"reason": "source", "count": 1204}, {"reason": "limit", "count": 4}, {"reason": "malformed", "count": 31}},
		"transfers": []object{
			{"method": "refer", "result": "success", "reason": "proved", "count": 412}, {"method": "rest", "result": "success", "reason": "proved", "count": 18},
			{"method": "refer", "result": "upstream", "reason": "rejected", "count": 7}, {"method": "refer", "result": "indeterminate", "reason": "silent", "count": 2},
		},
		"ended": []object{
			{"result": "success", "reason": "transferred", "count": 430}, {"result": "success", "reason": "caller_hangup", "count": 866},
			{"result": "caller", "reason": "cancelled", "count": 41}, {"result": "upstream", "reason": "watson_unreachable", "count": 6}, {"result": "us", "reason": "no_ports", "count": len(e.ended)},
		},
	}
}

// exchange is the messages of a call as the API tells them, each a line: offset leg direction label | detail.
func (e *edge) exchange(call string, lines string) []object {
	var all []object
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		head, detail, _ := strings.Cut(strings.TrimSpace(line), "|")
		var offset float64
		var leg, direction string
		if _, err := fmt.Sscan(head, &offset, &leg, &direction); err != nil {
			panic(err)
		}
		words := strings.Fields(head)[3:]
		again := words[len(words)-1] == "again"
		if again {
			words = words[:len(words)-1]
		}
		label := strings.Join(words, " ")
		m := object{
			"at": e.began.Add(time.Duration(offset * 1e9)), "offset": offset, "leg": leg, "direction": direction, "label": label, "detail": strings.TrimSpace(detail), "again": again,
			"peer": map[string]string{"a": "twilio", "b": "watson", "c": "twilio", "-": "unknown"}[leg], "transport": "tls", "local": "203.0.113.10:5061", "remote": "54.172.60.3:41022",
			"raw": raw(call, label),
		}
		if leg == "-" {
			m["leg"] = ""
		}
		all = append(all, m)
	}
	return all
}

func raw(call, label string) string {
	first := "SIP/2.0 " + label
	if method, _, isResponse := strings.Cut(label, " "); !isResponse {
		first = method + " sip:+18885557777@edge.example.com SIP/2.0"
	}
	return strings.Join([]string{
		first, "Via: SIP/2.0/TLS 54.172.60.3:5061;branch=z9hG4bK5a1f.0b8c7e15.0;alias", "From: <sip:+14155550123@acme.sip.twilio.com>;tag=81830742_6772d868",
		"To: <sip:+18885557777@edge.example.com>", "Call-ID: " + call + "@203.0.113.10", "CSeq: 1 INVITE", "X-Twilio-CallSid: CA" + call + call,
		"Authorization: Digest …sha256:9f86d081", "Content-Type: application/sdp", "Content-Length: 254", "", "v=0", "o=root 1 1 IN IP4 54.172.60.3", "s=-", "c=IN IP4 54.172.60.3", "t=0 0",
		"m=audio 13524 RTP/SAVP 0 101", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…sha256:2c26b46b", "a=rtpmap:0 PCMU/8000", "a=sendrecv", "",
	}, "\r\n")
}

const setUp = `	0.0000 a in INVITE | #1, SAVP sendrecv
	0.0004 a out 100 Trying
	0.0121 b out INVITE | #1, SAVP sendrecv
	0.0987 b in 100 Trying
	0.2410 b in 180 Ringing
	0.2413 a out 180 Ringing
	1.1205 b in 200 OK | SAVP sendrecv
	1.1208 b out ACK
	1.1216 a out 200 OK | SAVP sendrecv
	1.6220 a out 200 OK again | SAVP sendrecv
	1.7102 a in ACK`

func (e *edge) record(id, from string) object {
	return object{
		"version": 1, "node": "edge-1", "call": id, "started": e.began, "answered": e.began.Add(1122 * time.Millisecond), "kind": "pv", "source": "54.172.60.3",
		"twilio_call_sid": "CA" + id + id, "twilio_parent_call_sid": "CA" + strings.Repeat("9", 32), "from": from, "to": "+18885557777",
		"legs": []object{{"leg": "a", "call_id": id + "@54.172.60.3", "code": 200}, {"leg": "b", "call_id": id + "@203.0.113.10", "target": "public.0001.voip.us-south.assistant.watson.cloud.ibm.com", "code": 200}},
	}
}

// samples are those of a leg whose network loses packets from the middle on.
func (e *edge) samples(leg string, n int, worst float64) object {
	var all []object
	for i := range n {
		bad := worst * max(0, float64(i-n/2)) / float64(n)
		all = append(all, object{
			"at": e.began.Add(time.Duration(6+5*i) * time.Second), "received": 250 - int(250*bad/4), "lost": int(250 * bad / 4), "jitter": 0.0011 + bad/30 + float64(i%3)/4000, "mos": 4.41 - 2.6*bad,
			"sent": 250, "reported_lost": i % 2, "reported_jitter": 0.0024, "reported_mos": 4.3, "round_trip": 0.021,
		})
	}
	return object{"leg": leg, "interval": 5, "samples": all}
}

// goesOn is a call in progress whose audio has a quality.
func (e *edge) goesOn(id, from string, mos float64) {
	info := object{
		"id": id, "kind": "pv", "started": e.began, "answered": e.began.Add(time.Second), "twilio_call_sid": "CA" + id + id, "from": from, "to": "+18885557777", "mos": mos,
		"legs": []object{{"leg": "a", "state": "confirmed", "call_id": id + "@54.172.60.3"}, {"leg": "b", "state": "confirmed", "call_id": id + "@203.0.113.10"}},
	}
	e.live = append(e.live, info)
	findings := []object{}
	if mos < 4 {
		findings = []object{{"severity": "warning", "at": e.began.Add(100 * time.Second), "what": "The caller is heard badly: his side loses 8 % of its packets.", "do": "Look at the network between Twilio's edge location and this machine; a nearer Twilio region helps most."}}
	}
	e.story[id] = object{
		"call": id, "live": true, "state": info, "record": e.record(id, from), "messages": e.exchange(id, setUp), "dropped": 0, "findings": findings,
		"quality": []object{e.samples("a", 34, 4.5-mos), e.samples("b", 34, 0)},
	}
}

// ends makes a record of a call that is over, and its story.
func (e *edge) ends(id, result, reason string, record object, findings []object, lines string) {
	record["ended"], record["result"], record["reason"] = e.began.Add(64*time.Second), result, reason
	record["duration_seconds"], record["talked_seconds"] = 64.02, 62.9
	record["media"] = []object{{"leg": "a", "received": object{"packets": 3145, "lost": 2, "jitter": 0.0012, "mos": 4.4}, "sent": object{"packets": 3140, "lost": 0, "jitter": 0.002, "mos": 4.4}}}
	e.ended = append(e.ended, record)
	e.story[id] = object{
		"call": id, "live": false, "record": record, "messages": e.exchange(id, lines), "dropped": 0, "findings": findings,
		"quality": []object{e.samples("a", 12, 0), e.samples("b", 12, 0)},
	}
}

// failed is a call whose transfer Twilio refused by every method.
func (e *edge) failed(id string) {
	record := e.record(id, "+13125550188")
	record["transfers"] = []object{{
		"at": e.began.Add(31 * time.Second), "asked_by": "refer", "target": "sip:queue@flex.twilio.com", "key_sha256": "9f86d081", "tried": []string{"refer", "rest", "invite"}, "method": "invite",
		"result": "upstream", "reason": "rejected", "context": "rejected", "took_seconds": 1.34, "dead_air_seconds": 0.61,
	}}
	e.ends(id, "upstream", "transfer_failed", record, []object{
		{"severity": "error", "at": e.began.Add(32 * time.Second), "what": "The transfer failed: Twilio's SIP domain answered 486 to leg C.", "do": "See whether an agent is available in the queue, and what the domain's voice URL does when none is."},
		{"severity": "warning", "what": "Twilio refused the REFER with 603.", "do": "Give the <Sip> noun of the TwiML a referUrl."},
		{"severity": "info", "what": "The caller's 200 OK was sent twice.", "do": "Nothing: the ACK came late."},
	}, setUp+`
	30.8800 b in INVITE | #2, sendonly
	30.8811 b out 200 OK | recvonly
	30.9402 b in ACK
	31.0020 b in REFER | #3, to sip:queue@flex.twilio.com
	31.0024 b out 202 Accepted
	31.0031 b out NOTIFY | 100 Trying
	31.0040 a out REFER | #1, to sip:queue@flex.twilio.com
	31.0722 b in 200 OK | NOTIFY
	31.1508 a in 603 Declined
	31.5120 c out INVITE | #1, SAVP sendrecv
	31.6601 c in 100 Trying
	32.3310 c in 486 Busy Here
	32.3316 c out ACK
	32.3402 b out NOTIFY | 486 Busy Here, terminated
	32.4003 b in 200 OK | NOTIFY
	63.9010 b in BYE
	63.9014 b out 200 OK
	64.0190 a out BYE
	64.0811 a in 200 OK`)
}

// over is a call that was handed over as it should be.
func (e *edge) over(id string) {
	record := e.record(id, "+16175550142")
	record["transfers"] = []object{{
		"at": e.began.Add(40 * time.Second), "asked_by": "refer", "target": "sip:queue@flex.twilio.com", "key_sha256": "9f86d081", "tried": []string{"refer"}, "method": "refer",
		"result": "success", "reason": "proved", "context": "delivered", "took_seconds": 0.42,
	}}
	e.ends(id, "success", "transferred", record, []object{{"severity": "info", "what": "The caller was handed over with the key to his conversation.", "do": ""}}, setUp+`
	40.0020 b in REFER | #2, to sip:queue@flex.twilio.com
	40.0024 b out 202 Accepted
	40.0031 b out NOTIFY | 100 Trying
	40.0040 a out REFER | #1, to sip:queue@flex.twilio.com
	40.0712 b in 200 OK | NOTIFY
	40.1103 a in 202 Accepted
	40.3907 a in NOTIFY | 200 OK
	40.3911 a out 200 OK
	40.3930 a out BYE
	40.3935 b out NOTIFY | 200 OK, terminated
	40.4520 a in 200 OK
	40.4610 b in 200 OK | NOTIFY
	40.4702 b in BYE
	40.4706 b out 200 OK`)
}

// refused is an INVITE that became no call.
func (e *edge) refused(id string) {
	e.story[id] = object{
		"call": "", "live": false, "record": object{"version": 0, "call": "", "started": "0001-01-01T00:00:00Z", "from": "", "to": ""}, "messages": e.exchange(id, "0.0000 - in INVITE | #1\n0.0002 - out 403 Forbidden\n0.0410 - in ACK"), "dropped": 0, "quality": []object{},
		"findings": []object{{"severity": "error", "what": "The INVITE was refused: its address is on no source list.", "do": "If it is Twilio's, add it to twilio.sources."}},
	}
}

const attack = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// hostile is a call whose caller writes HTML wherever he can.
func (e *edge) hostile() {
	record := e.record(attack, attack)
	e.ends(attack, "success", "caller_hangup", record, []object{{"severity": "error", "what": attack, "do": attack}}, setUp)
	messages := e.story[attack]["messages"].([]object)
	messages[0]["raw"], messages[0]["detail"], messages[0]["label"] = "INVITE sip:x SIP/2.0\r\nFrom: "+attack+"\r\n\r\n"+attack, attack, attack
	record["legs"].([]object)[0]["target"] = "javascript:alert(1)"
}
