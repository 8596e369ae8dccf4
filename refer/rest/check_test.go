package rest

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCheckTellsWhatTheAPISays(t *testing.T) {
	const date = "Mon, 02 Jan 2006 15:04:05 GMT"
	at := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		answer   http.HandlerFunc
		rejected int    // status of a Rejected; 0: none
		says     string // in the error; "": none
	}{
		"right":       {answers(200, `{"sid":"AC","status":"active"}`), 0, ""},
		"wrong":       {answers(401, `{"code":20003,"message":"Authenticate"}`), 401, "error 20003: Authenticate"},
		"busy":        {answers(503, ""), 0, "twilio answered 503"},
		"not twilio":  {answers(302, ""), 0, "twilio answered 302"},
		"cut":         {cut, 0, "EOF"},
		"no resource": {answers(404, "nothing here"), 404, "twilio answered 404"},
	} {
		c := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); r.Method != http.MethodGet || r.URL.Path != "/2010-04-01/Accounts/"+account+".json" || user != account || password != secret {
				t.Errorf("%s: asked %s %s", name, r.Method, r.URL.Path)
			}
			w.Header().Set("Date", date)
			tt.answer(w, r)
		})
		got, err := c.Check(bounded(t))
		rejected := Rejected{}
		errors.As(err, &rejected)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) || rejected.Status != tt.rejected {
			t.Errorf("%s: %v", name, err)
		}
		if answered := name != "cut"; got.Equal(at) != answered || got.IsZero() == answered {
			t.Errorf("%s: date %v", name, got)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret shows: %v", name, err)
		}
	}
}
