package leg

import (
	"fmt"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestContactsOfARedirect(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("<sips:w.example>, ", maxContacts+5), ", ")
	tests := []struct {
		name     string
		code     int
		contacts []string
		want     string
	}{
		{"all headers and all their values", 302, []string{`"A, B" <sips:a@w.example>;q=0.5, <sips:b@w.example>`, "sips:c@w.example;q=1"},
			`["A, B" <sips:a@w.example>;q=0.5 <sips:b@w.example> <sips:c@w.example>;q=1]`},
		{"one that can't be read is left out", 301, []string{"<sips:a@", "*", "<sips:b@w.example>"}, "[<sips:b@w.example>]"},
		{"none", 300, nil, "[]"},
		{"a refusal has none", 486, []string{"<sips:b@w.example>"}, "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := refusedWith(t, tt.code, tt.contacts...); fmt.Sprint(got.Contacts) != tt.want || got.Code != tt.code {
				t.Errorf("%d: %v", got.Code, got.Contacts)
			}
		})
	}
	if n := len(refusedWith(t, 302, many).Contacts); n != maxContacts {
		t.Errorf("%d contacts", n)
	}
}

// refusedWith is what a UAC tells of a final response.
func refusedWith(t *testing.T, code int, contacts ...string) (failed Failed) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(code, func(res *sipmsg.Response) {
			res.RemoveHeader("Contact")
			for _, c := range contacts {
				res.AppendHeader(sipmsg.NewHeader("Contact", c))
			}
		})
		b.wantTold("Failed")
		failed = b.events[0].(Failed)
	})
	return failed
}
