package refer

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"handoff/metrics"
	"handoff/sip/uri"
)

// checkCustody holds of every request that was understood: whatever key came in comes out at the far
// side of each method that takes it, what goes out is understood the same, and nothing smuggles a line.
func checkCustody(t *testing.T, r Request, policy Policy) {
	t.Helper()
	for _, form := range HeaderForms() {
		text, _, err := r.ReferTo(form, 100000)
		if unfit := (*Unfit)(nil); err != nil {
			if !errors.As(err, &unfit) || unfit.Why == UnfitTooLong {
				t.Fatalf("%v: %v", form, err)
			}
			continue
		}
		if strings.ContainsAny(text, "\r\n\x00\" ") {
			t.Fatalf("%q goes out", text)
		}
		again, err := Decode(Ask{ReferTo: []string{text}}, policy)
		if err != nil || len(again.Dropped) > 0 {
			t.Fatalf("%q is not understood: %v, %v", text, again, err)
		}
		if r.Target.Opaque == "" && (!again.Key.Equal(r.Key) || again.Target.Host != r.Target.Host) {
			t.Fatalf("%q became %v", text, again)
		}
		if form == FormXWatson && !r.Key.Empty() && r.Target.Opaque == "" && !reflect.DeepEqual(again.Context, r.Context) {
			t.Fatalf("the context %v became %v", r.Context, again.Context)
		}
	}
	for _, rest := range []REST{{Studio: "https://webhooks.twilio.com/v1/F"}, {Workflow: "WW"}} {
		if err := r.Fits(metrics.MethodREST, Limits{REST: rest}); err != nil && !errors.As(err, new(*Unfit)) {
			t.Fatal(err)
		}
	}
	for _, h := range r.Headers() {
		if hasControl(h.Value) || !isToken(h.Name) || kindOf(h.Name) != kindContext {
			t.Fatalf("%q: %q goes out", h.Name, h.Value)
		}
	}
}

func fuzzPolicy(t testing.TB) Policy {
	t.Helper()
	policy, err := NewPolicy([]string{"*", "tel:*"})
	if err != nil {
		t.Fatal(err)
	}
	policy.Replaces, policy.Pass = true, true
	return policy
}

func checkRefused(t *testing.T, err error) {
	t.Helper()
	if refusal := (*Refusal)(nil); !errors.As(err, &refusal) {
		t.Fatalf("%v is no refusal", err)
	}
}

// A request, with anything in each of its places.
func FuzzAsk(f *testing.F) {
	for _, c := range readCorpus(f) {
		ask := askOf(c)
		to, header := append(ask.ReferTo, c.One("hangup")), append(ask.Headers, Header{})
		f.Add(to[0], header[0].Name, header[0].Value, ask.Contact)
	}
	policy := fuzzPolicy(f)
	f.Fuzz(func(t *testing.T, referTo, name, value, contact string) {
		r, err := Decode(Ask{ReferTo: []string{referTo}, Headers: []Header{{name, value}}, Contact: contact}, policy)
		if err != nil {
			checkRefused(t, err)
			return
		}
		checkCustody(t, r, policy)
	})
}

// The URI headers of a good target.
func FuzzURIHeaders(f *testing.F) {
	f.Add(KeyHeader + "=dev%3A%3Alatest+1%2B&User-to-User=%22a%3B%22;encoding=ascii&Route=x&Replaces=y")
	f.Add(KeyHeader + "=%22%5C%3C%3E%26%3D%23%ff&X-%25=1")
	policy := fuzzPolicy(f)
	f.Fuzz(func(t *testing.T, headers string) {
		text := "sip:queue@flex.twilio.com?" + headers
		r, err := Decode(Ask{ReferTo: []string{"<" + text + ">"}}, policy)
		if err != nil {
			checkRefused(t, err)
			return
		}
		checkCustody(t, r, policy)
		// The same decoding by the shortest possible reader.
		u, err := uri.Parse(text)
		if err != nil {
			return // the address is another one
		}
		for _, h := range u.Headers {
			if strings.EqualFold(h.Name, KeyHeader) && h.Value != "" {
				if want, err := uri.Unescape(h.Value); err != nil || want != r.Key.Reveal() {
					t.Fatalf("%q: key %q, %v", text, r.Key.Reveal(), err)
				}
			}
		}
	})
}
