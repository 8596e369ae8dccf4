package twilio

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxTwiML is the limit of an update's Twiml.
const maxTwiML = 4000

// byeAfter is how long after its 200 a redirect was seen to end the Dial's leg.
const byeAfter = 166 * time.Millisecond

// REST is how the account's API treats updates and lookups. The zero value does what it is asked.
type REST struct {
	Status       int           // updates are refused with this, and Twilio's code for it; 500 and above too, without acting
	Busy         int           // so many updates are answered 429 before one is looked at
	RetryAfter   string        // header of those 429; empty: none
	Delay        time.Duration // before an update is looked at
	Loss         Loss          // what the client of an update does not get to see
	ByeAfter     time.Duration // from the 200 to the BYE on the leg; 0: 166 ms
	LookupStatus int           // lookups are refused with this
	Orphan       bool          // lookups do not tell the parent
}

// Loss is what goes wrong with the answer to an update.
type Loss uint8

const (
	NoLoss      Loss = iota
	CutBefore        // the connection is dropped, nothing is done
	CutAfter         // it is done, then the connection is dropped
	MuteBefore       // nothing is done and nothing is answered, until the client leaves
	MuteAfter        // it is done, and not answered
	GarbageBody      // it is done, 200, and the body is no JSON
)

var losses = [...]string{"none", "cut before", "cut after", "mute before", "mute after", "garbage body"}

func (l Loss) String() string { return word(losses[:], int(l)) }

// Losses lists them all.
func Losses() []Loss {
	all := make([]Loss, len(losses))
	for i := range all {
		all[i] = Loss(i)
	}
	return all
}

// BehaveREST sets how requests that come from now on are treated.
func (a *Account) BehaveREST(r REST) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = r
}

// RESTURL is the base URL of the API. It needs the account's SID and token, Config.AuthToken.
func (a *Account) RESTURL() string { return a.restURL }

// Updates counts the POSTs that came, refused ones too.
func (a *Account) Updates() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.updates
}

// apiErrors are Twilio's code and message for an HTTP status.
var apiErrors = map[int]struct {
	code    int
	message string
}{
	400: {21220, "Call is not in-progress. Cannot redirect."},
	401: {20003, "Authenticate"},
	403: {20003, "Permission Denied"},
	404: {20404, "The requested resource was not found"},
	429: {20429, "Too Many Requests"},
	500: {20500, "An internal server error has occurred"},
	503: {20503, "Service Unavailable"},
}

func refuse(w http.ResponseWriter, status int) {
	e := apiErrors[status]
	refuseAs(w, status, e.code, e.message)
}

func refuseAs(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, map[string]any{
		"code": code, "message": message, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status,
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		return // the client has gone
	}
}

// serveREST is the handler of /2010-04-01/Accounts/{AC}.json and /2010-04-01/Accounts/{AC}/Calls/{CA}.json.
func (a *Account) serveREST(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); !equal(user, a.cfg.AccountSid) || !equal(password, a.cfg.AuthToken) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
		refuse(w, http.StatusUnauthorized)
		return
	}
	account := "/2010-04-01/Accounts/" + a.cfg.AccountSid
	if r.URL.Path == account+".json" && r.Method == http.MethodGet {
		writeJSON(w, http.StatusOK, map[string]any{"sid": a.cfg.AccountSid, "friendly_name": "simulated", "status": "active", "type": "Full"})
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, account+"/Calls/")
	callSid, isJSON := strings.CutSuffix(path, ".json")
	switch {
	case !ok || !isJSON:
		refuse(w, http.StatusNotFound)
	case r.Method == http.MethodGet:
		a.lookUp(w, callSid)
	case r.Method == http.MethodPost:
		a.update(w, r, callSid)
	default:
		refuseAs(w, http.StatusMethodNotAllowed, 20004, "Method not allowed")
	}
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// bySid finds the call of which callSid is the child, or the parent.
func (a *Account) bySid(callSid string) *Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if c.sid == callSid || c.parent.sid == callSid {
			return c
		}
	}
	return nil
}

func (a *Account) lookUp(w http.ResponseWriter, callSid string) {
	a.mu.Lock()
	o := a.rest
	a.mu.Unlock()
	c := a.bySid(callSid)
	switch {
	case o.LookupStatus != 0:
		refuse(w, o.LookupStatus)
	case c == nil:
		refuse(w, http.StatusNotFound)
	default:
		c.reassure()
		writeJSON(w, http.StatusOK, c.resource(callSid, o.Orphan))
	}
}

// reassure is about an edge that asks what became of its REFER. If nothing did and nothing will, it knows so now, and may try another way.
func (c *Call) reassure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.options.Refer; o.Silent || o.Then == Nothing || o.Then == OnlyTrying {
		c.refer.running = false
	}
}

// resource is the call as the API shows it.
func (c *Call) resource(callSid string, orphan bool) map[string]any {
	r := map[string]any{
		"sid": callSid, "account_sid": c.account.cfg.AccountSid, "api_version": "2010-04-01", "from": c.parent.from, "to": c.parent.to,
		"direction": "inbound", "parent_call_sid": nil, "status": c.parentStatus(),
	}
	if callSid == c.sid {
		r["direction"], r["status"] = "outbound-dial", c.childStatus()
		if !orphan && !c.trunk {
			r["parent_call_sid"] = c.parent.sid
		}
	}
	return r
}

func (c *Call) childStatus() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.ending.How {
	case Alive:
		if c.isAnswered {
			return "in-progress"
		}
		return "ringing"
	case Rejected:
		return "failed"
	case Cancelled:
		return "canceled"
	case NoAnswer:
		return "no-answer"
	}
	return "completed"
}

// parentStatus: the caller's own call goes on when other TwiML took it over.
func (c *Call) parentStatus() string {
	if c.Ending().How == CallerHungUp { // before the action of his Dial has been asked
		return "completed"
	}
	return c.parent.status()
}
